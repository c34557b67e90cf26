"""The log as a person reads it: one line a change, from the two entries that it has. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from quarterdeck_scripts.audit.chain import BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.audit.chain import Entry

UNFINISHED = "unfinished"
"""Outcome of a change without an entry after: it is being made now, or whoever made it died."""

_WIDTH = 100
"""Characters of a state that are shown; the whole of it is in the JSON."""


@dataclass(frozen=True, slots=True)
class Made:
    """One change, made or tried."""

    first: Entry
    last: Entry | None
    """None while there is no entry after."""

    @property
    def outcome(self) -> str:
        """`done`, `failed: …`, or UNFINISHED."""
        return self.last.outcome if self.last else UNFINISHED

    def as_json(self) -> dict[str, object]:
        """Return what there is to know, as JSON."""
        entry = self.first
        return {
            "change": entry.change,
            "time": entry.time,
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "why": entry.why,
            "before": entry.before,
            "after": self.last.after if self.last else None,
            "ended": self.last.time if self.last else None,
            "outcome": self.outcome,
        }

    def __str__(self) -> str:
        entry = self.first
        lines = [f"{entry.time}  {entry.actor}", f"  {entry.action}  {entry.subject}: {self.outcome}"]
        if entry.why:
            lines.append(f"  why     {entry.why}")
        lines.append(f"  before  {_short(entry.before)}")
        if self.last:
            lines.append(f"  after   {_short(self.last.after)}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes are looked for; an empty text is any."""

    service: str = ""
    """Of the subject: the last part of its name, or a canary's of it."""
    action: str = ""
    """How the action begins: `rollout`, `rollout: promote`."""
    actor: str = ""
    """A part of who."""
    since: datetime | None = None

    def takes(self, made: Made) -> bool:
        """Return whether *made* is looked for."""
        entry = made.first
        name = entry.subject.rpartition("/")[2]
        return (
            (not self.service or name == self.service or name.startswith(f"{self.service}-"))
            and entry.action.startswith(self.action)
            and self.actor in entry.actor
            and (self.since is None or datetime.fromisoformat(entry.time) >= self.since)
        )


def changes(entries: Iterable[Entry]) -> list[Made]:
    """Return the changes that *entries* tell of, in the order they began."""
    begun: dict[str, Entry] = {}
    ended: dict[str, Entry] = {}
    for entry in entries:
        (begun if entry.phase == BEFORE else ended)[entry.change] = entry
    return [Made(entry, ended.get(change)) for change, entry in begun.items()]


def _short(state: object) -> str:
    text = json.dumps(state, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"
