"""What Slack and any other webhook are sent, and what is said when they do not take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.notices.webhooks import Webhook, for_slack, plain
from quarterdeck_scripts.ports import FakeClock

if TYPE_CHECKING:
    from tests.unit.office import Office

    from quarterdeck_scripts.notices.notice import Notice

SECRET = "/services/T0/B0/a-secret-path"  # noqa: S105 -- of a server in this process


def webhook(office: Office) -> Webhook:
    """Return a webhook at *office*, whose path is a secret."""
    api = JsonApi(
        office.url + SECRET, {}, called="Slack", clock=FakeClock(), secret_url=True, decode=lambda _: None, within=30
    )
    return Webhook("Slack", api, plain)


def test_any_webhook_is_sent_what_happened_as_data(office: Office, began: Notice) -> None:
    """Everything a notice has, times as RFC 3339; an answer that is no JSON is an answer."""
    webhook(office).hear(began)

    ((method, target, body),) = office.got
    assert (method, target) == ("POST", SECRET)
    assert body == {
        "source": "quarterdeck",
        "occasion": "began",
        "tone": "info",
        "title": "checkout: rollout of v2 began (prod)",
        "text": "it runs localhost/checkout:v1",
        "at": "2027-01-15T08:00:00Z",
        "began": "2027-01-15T08:00:00Z",
        "run": "checkout-v2-20270115T080000Z",
        "service": "checkout",
        "namespace": "shop",
        "environment": "prod",
        "version": "v2",
        "by": "anna@bridge",
        "kind": "Deployment",
    }


def test_slack_shows_why_and_no_text_becomes_a_mention(ended: Notice) -> None:
    """What a server said may have anything in it: `<!channel>` would wake everybody."""
    message = for_slack(ended)

    assert message["text"] == "checkout: rolled back v2 (prod)"
    section, context = message["blocks"]
    assert section["text"] == {
        "type": "mrkdwn",
        "text": ":rotating_light: *checkout: rolled back v2 (prod)*\nerrors: 12 of 600 &lt;requests&gt; failed",
    }
    assert context["elements"][0]["text"] == "shop/checkout · checkout-v2-20270115T080000Z · anna@bridge"


def test_a_long_reason_is_cut_to_what_slack_takes(ended: Notice) -> None:
    """A message that is refused for its length would tell nobody."""
    object.__setattr__(ended, "text", "x" * 10_000)

    assert len(for_slack(ended)["blocks"][0]["text"]["text"]) == 2900


def test_a_webhook_that_is_refused_is_named_without_its_url(office: Office, began: Notice) -> None:
    """Who knows the URL may write there, so it is in no message, not even when the answer repeats it."""
    office.answers = [(404, f"no_service at {SECRET}".encode(), {})]

    with pytest.raises(QuarterdeckError) as raised:
        webhook(office).hear(began)

    assert raised.value.expected == "Slack to take POST"
    assert raised.value.found == "HTTP 404: no_service at …"


def test_a_message_is_not_sent_twice_when_nobody_knows_whether_it_was_read(office: Office, began: Notice) -> None:
    """A server's error ends it; a rate limit, which says that it was not taken, is waited for."""
    office.answers = [(429, b"", {"Retry-After": "3"}), (500, b"down", {})]

    with pytest.raises(QuarterdeckError, match="HTTP 500"):
        webhook(office).hear(began)
    assert len(office.got) == 2
