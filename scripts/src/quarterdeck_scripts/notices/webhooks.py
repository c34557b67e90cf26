"""Whatever takes a POST: Slack's incoming webhooks, and any other that reads JSON.

A webhook's URL is a secret: who knows it may write there.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_scripts.notices.notice import Tone

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.notices.notice import Notice
    from quarterdeck_scripts.publish.ports import Api

_SECTION = 2900
"""Characters of a section's text; Slack takes 3,000 (https://docs.slack.dev/reference/block-kit/blocks/section-block)."""
_MARKS = {
    Tone.INFO: ":information_source:",
    Tone.SUCCESS: ":white_check_mark:",
    Tone.WARNING: ":warning:",
    Tone.ERROR: ":rotating_light:",
}


class Webhook:
    """Somebody behind a URL; see `notices.ports.Listener`."""

    def __init__(self, name: str, api: Api, written: Callable[[Notice], Json]) -> None:
        """*api* is at the URL itself; *written* makes what is posted there."""
        self.name = name
        self._api = api
        self._written = written

    def hear(self, notice: Notice) -> None:
        """Post it. It is not posted again when no answer came: it may have been read."""
        self._api.request("POST", "", body=self._written(notice))


def plain(notice: Notice) -> Json:
    """Return *notice* as data, for whoever makes something else of it."""
    at = {name: _time(getattr(notice, name)) for name in ("at", "began")}
    return {"source": "quarterdeck", **asdict(notice), **at}


def for_slack(notice: Notice) -> Json:
    """Return *notice* as a message of Slack's (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).

    `text` is what notifications show, and what other chats that take the same webhooks read.
    """
    title = f"{_MARKS[notice.tone]} *{_escaped(notice.title)}*"
    said = f"{title}\n{_escaped(notice.text)}" if notice.text else title
    context = f"{notice.namespace}/{notice.service} · {notice.run} · {notice.by}"
    return {
        "text": _escaped(notice.title),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": said[:_SECTION]}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": _escaped(context)}]},
        ],
    }


def _escaped(text: str) -> str:
    """Return *text* with what Slack would read as a link or a mention made harmless."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
