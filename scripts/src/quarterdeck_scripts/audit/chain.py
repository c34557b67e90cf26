"""Entries and the chain they form: each names the hash of the one before it. Pure.

The chain shows that an entry was altered, removed or put in between, from that entry on. It cannot show that
the newest entries were cut off, nor that all of it was written anew: that shows in comparison with the copy on
the disk of whoever made a change.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

BEFORE = "before"
"""Phase of an entry: a change is about to be made."""
AFTER = "after"
"""Phase of an entry: it was made, or was not, as `outcome` says."""

DONE = "done"
"""Outcome of a change that was made and verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log. Two entries with one `change` are the two sides of one change."""

    sequence: int
    """Counts from 1, without a gap."""
    segment: int
    """Which ConfigMap of the log it is in; counts from 1."""
    time: str
    """When it was written, by the writer's clock: RFC 3339, UTC."""
    change: str
    """UUID of the change."""
    phase: str
    """`before` or `after`."""
    actor: str
    """Who: user and machine, and the user the cluster took them for."""
    action: str
    """What: `restart`, `scale`, `rollout start`."""
    subject: str
    """To what: `Deployment shop/checkout`."""
    why: str
    """The reason given; empty when none was."""
    before: Any
    """The state before the change, as far as the action concerns it. Never a secret."""
    after: Any
    """The state after it; None in the entry before."""
    outcome: str
    """Empty in the entry before; then `done`, or `failed: …`."""
    previous: str
    """The hash of the entry before this one; the cluster's UID in the first."""

    @property
    def digest(self) -> str:
        """SHA-256 over the entry as canonical JSON, hexadecimal."""
        return hashlib.sha256(_canonical(asdict(self)).encode()).hexdigest()

    def to_line(self) -> str:
        """Return the entry with its hash, as one line of JSON without its newline."""
        return _canonical({**asdict(self), "hash": self.digest})


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_line(line: str) -> tuple[Entry, str]:
    """Return the entry that a line holds, and the hash it states.

    Raises:
        ValueError: it is no entry.
    """
    found = json.loads(line)
    names = {field.name for field in fields(Entry)} | {"hash"}
    if not isinstance(found, dict) or set(found) != names:
        raise ValueError(f"expected the keys {', '.join(sorted(names))}")
    stated = found.pop("hash")
    return Entry(**found), str(stated)


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the log is not what was written."""

    where: str
    """The line: `entry 7 of ConfigMap quarterdeck/quarterdeck-audit-000001`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def verify_chain(lines: Iterable[tuple[str, str]], cluster_uid: str) -> tuple[list[Entry], Break | None]:
    """Follow the chain from its first entry.

    Args:
        lines: each line with where it is.
        cluster_uid: what the first entry names as its previous hash.

    Returns:
        The entries up to the break, and the break; None when the chain is whole.
    """
    entries: list[Entry] = []
    previous = cluster_uid
    for expected, (where, line) in enumerate(lines, start=1):
        try:
            entry, stated = read_line(line)
        except (ValueError, TypeError) as error:
            return entries, Break(where, f"it is no entry: {error}")
        if entry.digest != stated:
            return entries, Break(where, f"it was altered: its hash is {entry.digest}, it states {stated}")
        if entry.sequence != expected:
            return entries, Break(where, f"entry {expected} is expected here, it is entry {entry.sequence}")
        if entry.previous != previous:
            return entries, Break(where, f"it follows {entry.previous}, the entry before it is {previous}")
        previous = stated
        entries.append(entry)
    return entries, None
