"""Writing a change down before it is made, and after; and reading back whether the log is what was written."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.audit.chain import AFTER, BEFORE, DONE, Break, Entry, read_line, verify_chain
from quarterdeck_scripts.audit.copy import DiskCopy
from quarterdeck_scripts.audit.segments import Segments
from quarterdeck_scripts.kube.client import ApiError, UnreachableError, path
from quarterdeck_scripts.kube.secrets import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster


@dataclass
class Change:
    """A change being made: say in `after` what the state is then, as far as the action concerns it."""

    id: str
    """UUID; the same in both entries."""
    after: Any = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading the whole log back found."""

    entries: tuple[Entry, ...]
    """The entries up to the first break."""
    broken: Break | None
    """The first place where the log is not what was written; None: it is intact."""
    lines: tuple[str, ...] = ()
    """Every line there is, those after the break too."""

    @property
    def unfinished(self) -> tuple[Entry, ...]:
        """Changes without an entry after: being made now, or whoever made them died."""
        ended = {entry.change for entry in self.entries if entry.phase == AFTER}
        return tuple(entry for entry in self.entries if entry.phase == BEFORE and entry.change not in ended)


def actor_of(cluster: Cluster) -> str:
    """Return who is speaking with *cluster*: user and machine here, and the user the cluster takes them for."""
    try:
        review = cluster.request("POST", path("SelfSubjectReview"), body={"metadata": {}})
        known = review["status"]["userInfo"]["username"]
    except ApiError:
        known = "a user it does not name"
    return f"{actor_here()} as {known}"


def actor_here() -> str:
    """Return who runs this process: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


class AuditLog:
    """The log of one cluster: in its ConfigMaps, and copied to a file in *directory*."""

    def __init__(self, cluster: Cluster, directory: Path, actor: str) -> None:
        """*directory* is `.quarterdeck/audit`; the file in it is named after the cluster's UID.

        Args:
            cluster: whose changes are logged.
            directory: made when the first entry is written.
            actor: who makes the changes; `actor_of` says it.
        """
        self._cluster = cluster
        self._directory = directory
        self._actor = actor
        self._segments = Segments(cluster)
        self._known_uid = ""
        self._needs_copy = True
        self.uncopied = ""
        """Why this machine's copy lacks entries that the cluster's log has; empty while it lacks none."""

    def go_on_without_copy(self) -> None:
        """From now on the cluster's log is enough where this machine's disk takes nothing.

        What was begun comes to its end, and what puts everything back is not kept from that. The copy gets what it
        lacks with the next entry that it takes.
        """
        self._needs_copy = False

    @contextmanager
    def change(self, *, action: str, subject: str, before: Any, why: str) -> Iterator[Change]:
        """Write that a change is about to be made; the body makes it; write how it ended.

        Args:
            action: what is done: `restart`.
            subject: to what: `Deployment shop/checkout`.
            before: the state that the action changes, as JSON. Secrets in it are left out.
            why: the reason given; may be empty.

        Raises:
            RefusedError: the entry before cannot be written, in the cluster and on disk; nothing was changed.
            QuarterdeckError: the change was made, but the entry after could not be written.
        """
        change = Change(str(uuid.uuid4()))
        told = {"change": change.id, "action": action, "subject": subject, "why": why}
        try:
            self._write(phase=BEFORE, before=before, after=None, outcome="", **told)
        except (ApiError, UnreachableError, OSError) as error:
            if isinstance(error, OSError):
                self._withdraw(f"refused: {_first_line(error)}", before, told)
            raise RefusedError(
                "every change to be written to the audit log first, in the cluster and on disk",
                _first_line(error),
                "mend that; nothing was changed",
            ) from error
        try:
            yield change
        except BaseException as error:
            outcome = f"failed: {_first_line(error)}"
            try:
                self._write(phase=AFTER, before=before, after=change.after, outcome=outcome, **told)
            except (QuarterdeckError, OSError) as unwritten:
                error.add_note(f"Besides, the audit log lacks how it ended: {_first_line(unwritten)}")
            raise
        try:
            self._write(phase=AFTER, before=before, after=change.after, outcome=DONE, **told)
        except (QuarterdeckError, OSError) as error:
            raise QuarterdeckError(
                f"the result of {action} {subject} in the audit log",
                f"{_first_line(error)}; the change itself was made",
                "mend that and run the command again: it finds the change made, and writes that down",
            ) from error

    def verify(self) -> Verification:
        """Read the whole log back, and compare it with this machine's copy."""
        uid = self._uid()
        lines = list(self._segments.read())
        entries, broken = verify_chain(lines, uid)
        if broken is None:
            for number, (where, line) in enumerate(DiskCopy(self._file(uid)).read()):
                if number >= len(lines) or lines[number][1] != line:
                    broken = Break(where, "the cluster's log has another entry there, or none")
                    entries = entries[:number]
                    break
        return Verification(tuple(entries), broken, tuple(line for _, line in lines))

    def _write(self, **told: Any) -> None:
        """Append an entry to the cluster's log, and whatever this machine has not seen yet to its copy."""
        uid = self._uid()
        copy = DiskCopy(self._file(uid))
        with ExitStack() as locked:
            with self._unless_needed():
                locked.enter_context(copy.locked())
            seen = None
            with self._unless_needed():
                seen = copy.last()
            first = self._read(seen)[0].segment if seen else 1

            def compose(lines: list[str], segment: int) -> Entry:
                self._unseen(lines, seen)  # refuses before anything is written
                return self._entry(lines, segment, uid, told)

            unseen = self._unseen(self._segments.append(compose, first), seen)
            with self._unless_needed():
                copy.append(unseen)
                self.uncopied = ""

    @contextmanager
    def _unless_needed(self) -> Iterator[None]:
        """Note why the copy could not be had, where the cluster's log is enough."""
        try:
            yield
        except OSError as error:
            if self._needs_copy:
                raise
            self.uncopied = _first_line(error)

    def _entry(self, lines: list[str], segment: int, uid: str, told: dict[str, Any]) -> Entry:
        previous, stated = self._read(lines[-1]) if lines else (None, uid)
        plain = {**told, "before": without_secrets(told["before"]), "after": without_secrets(told["after"])}
        return Entry(
            sequence=previous.sequence + 1 if previous else 1,
            segment=segment,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            actor=self._actor,
            previous=stated,
            **plain,
        )

    def _unseen(self, lines: list[str], seen: str | None) -> list[str]:
        """Return the cluster's *lines* after the last one of the copy.

        Raises:
            RefusedError: the cluster's log is not the one the copy was made of.
        """
        if seen is None:
            return lines
        if seen not in lines:
            raise self._tampered("the entry that was the last when this machine wrote to it", "no such entry")
        return lines[lines.index(seen) + 1 :]

    def _read(self, line: str) -> tuple[Entry, str]:
        try:
            return read_line(line)
        except (ValueError, TypeError) as error:
            raise self._tampered("entries", f"{line[:60]!r}: {error}") from error

    def _tampered(self, expected: str, found: str) -> RefusedError:
        return RefusedError(
            f"in the audit log {expected}",
            f"{found}: it was cut off, altered or deleted",
            f"find out who did it; to begin anew, keep both as evidence: move {self._directory} away, and "
            "save and delete the ConfigMaps quarterdeck-audit-*",
        )

    def _withdraw(self, outcome: str, before: Any, told: dict[str, Any]) -> None:
        """Say in the cluster's log, where the entry before may stand, that the change was not made after all."""
        ended = {**told, "phase": AFTER, "before": before, "after": before, "outcome": outcome}
        with suppress(QuarterdeckError):  # the refusal itself is what matters, and is told in any case
            uid = self._uid()
            self._segments.append(lambda lines, segment: self._entry(lines, segment, uid, ended), 1)

    def _uid(self) -> str:
        """Return the cluster's UID, read once: what ends a change has one request less that may fail."""
        if not self._known_uid:
            found = self._cluster.request("GET", path("Namespace", name="kube-system"))
            self._known_uid = str(found["metadata"]["uid"])
        return self._known_uid

    def _file(self, uid: str) -> Path:
        return self._directory / f"{uid}.jsonl"


def verify_export(file: Path) -> Verification:
    """Follow the chain of an exported log, whose first entry says which cluster it is of.

    Raises:
        OSError: the file cannot be read.
    """
    lines = list(DiskCopy(file).read())
    try:
        uid = read_line(lines[0][1])[0].previous if lines else ""
    except (ValueError, TypeError):
        uid = ""  # following the chain says what is wrong with that line
    entries, broken = verify_chain(lines, uid)
    return Verification(tuple(entries), broken, tuple(line for _, line in lines))


def _first_line(error: BaseException) -> str:
    if isinstance(error, QuarterdeckError):
        return error.found
    return (str(error) or type(error).__name__).splitlines()[0][:300]
