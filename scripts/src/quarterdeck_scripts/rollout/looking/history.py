"""The rollouts of the past, read out of the audit log: it is in the cluster, so any machine knows them. Pure.

A rollout's state is written down whenever it turns, so the last of the entries that show it say how it ended.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.audit.chain import AFTER, DONE
from quarterdeck_scripts.rollout.steps.state import Direction, Ending

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from quarterdeck_scripts.audit.chain import Entry

_RESTORED = "rollout: restore"
"""The action by which an earlier version comes back: without a rollout under way it is an undo."""

_ENDINGS = {Direction.UNDECIDED: Ending.ABORTED, Direction.FORWARD: Ending.PROMOTED, Direction.BACK: Ending.ROLLED_BACK}
"""How a rollout has ended whose state went while it showed this direction, where the state does not say more."""


@dataclass(frozen=True, slots=True)
class Past:
    """One rollout, or one undo."""

    id: str
    """The rollout's id; an undo has its entry's change."""
    service: str
    namespace: str
    image: str
    """The version it was to, or that was undone."""
    origin: str
    """The version it was from, or that came back."""
    by: str
    """Who began it."""
    began: str
    """RFC 3339."""
    ending: str = ""
    """How it ended; empty while it is under way."""
    reason: str = ""
    """Why, in one sentence."""
    ended: str = ""
    """RFC 3339; empty while it is under way, or where whoever ended it died before writing that down."""
    train: tuple[str, ...] = ()
    """What it went together with: `service=image` each."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self._when}  {self.service}  {self.origin} → {self.image}  {self.ending or 'under way'}"]
        lines.append(f"    {self.id}, by {self.by}{self._lasted}")
        if self.reason:
            lines.append(f"    {self.reason}")
        if self.train:
            lines.append(f"    together: {' '.join(self.train)}")
        return "\n".join(lines)

    @property
    def _when(self) -> str:
        return f"{datetime.fromisoformat(self.began):%Y-%m-%d %H:%M}"

    @property
    def _lasted(self) -> str:
        if not self.ended:
            return ""
        seconds = (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)).total_seconds()
        return f", {max(0.0, seconds) / 60:.0f} min"


def past(entries: Iterable[Entry], namespace: str, service: str, running: str = "") -> list[Past]:
    """Return the rollouts of *service*, the newest first.

    Args:
        entries: of the audit log, in order.
        namespace: the service's.
        service: its name.
        running: id of the rollout that is under way, if one is.
    """
    found: dict[str, Past] = {}
    for entry in entries:
        if entry.subject.partition(" ")[2] != f"{namespace}/{service}":
            continue
        done = entry.phase == AFTER and entry.outcome == DONE
        for state in filter(None, (_state(entry.before), _state(entry.after) if done else None)):
            found[state["id"]] = _with(found.get(state["id"]), state, namespace, service)
        before = _state(entry.before)
        if before and done and entry.after is None:
            found[before["id"]] = replace(found[before["id"]], ended=entry.time)
        elif entry.action == _RESTORED and done and all(each.ended for each in found.values()):
            found[entry.change] = _undone(entry, namespace, service)
    if running in found:
        found[running] = replace(found[running], ending="", ended="")
    return sorted(found.values(), key=lambda each: datetime.fromisoformat(each.began), reverse=True)


def without(ids: Collection[str], every: Iterable[Past]) -> str:
    """Return, in a line for a person, which rollouts of *every* are none of *ids*; empty where none is.

    An undo leaves no record anywhere.
    """
    others = [each for each in every if each.id not in ids and each.ending != Ending.UNDONE]
    if not others:
        return ""
    names = ", ".join(f"{each.id} (by {each.by})" for each in others)
    return (
        f"Not on the page: {names}. Their records are on the machines that ran them; "
        f"`quarterdeck rollout history {others[0].service}` has how they ended, and why, from the cluster."
    )


def _state(value: object) -> dict[str, Any] | None:
    """Return the rollout's state that *value* is; None when it is none."""
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        fields = json.loads(value)
        datetime.fromisoformat(fields["began"])
        Direction(fields["direction"])
    except (ValueError, TypeError, KeyError):
        return None
    return fields if {"id", "image", "origin", "by"} <= set(fields) else None


def _with(known: Past | None, state: dict[str, Any], namespace: str, service: str) -> Past:
    known = known or Past(
        id=state["id"],
        service=service,
        namespace=namespace,
        image=state["image"],
        origin=state["origin"],
        by=state["by"],
        began=state["began"],
        train=tuple(state.get("train", ())),
    )
    ending = str(state.get("ending") or _ENDINGS[Direction(state["direction"])])
    return replace(known, ending=ending, reason=state.get("reason") or known.reason)


def _undone(entry: Entry, namespace: str, service: str) -> Past:
    before, after = (value if isinstance(value, dict) else {} for value in (entry.before, entry.after))
    return Past(
        id=entry.change,
        service=service,
        namespace=namespace,
        image=str(before.get("image", "")),
        origin=", ".join(map(str, after.get("images", ()))),
        by=entry.actor,
        began=entry.time,
        ending=Ending.UNDONE,
        reason=entry.why,
        ended=entry.time,
    )
