"""What is different between two states of the contract. Renames are guessed, and said to be guesses."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from quarterdeck_dashboards.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric


class What(enum.StrEnum):
    """Kinds of change."""

    METRIC = "metric"
    KIND = "kind"
    UNIT = "unit"
    LABEL = "label"
    VALUES = "values"
    BUCKETS = "buckets"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    metric: str
    """Its name in the old contract, or in the new one when it is new."""
    what: What
    old: str | None
    """None: there was none."""
    new: str | None
    """None: there is none any more."""
    is_guess: bool = False
    """Whether old and new are taken for the same thing because they are alike."""
    factor: float | None = None
    """Of a unit: what old thresholds are multiplied by."""
    label: str | None = None
    """Of values: whose."""

    def __str__(self) -> str:
        name = f"{self.what} of {self.label}" if self.label else self.what.value
        subject = self.metric if self.what is What.METRIC else f"{self.metric}: {name}"
        if self.old is None:
            return f"{subject}: new: {self.new}"
        if self.new is None:
            return f"{subject}: removed: {self.old}"
        guess = ", by a guess from their likeness" if self.is_guess else ""
        factor = f"; multiply thresholds by {self.factor:g}" if self.factor is not None else ""
        return f"{subject}: {self.old} became {self.new}{guess}{factor}"

    def document(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "metric": self.metric,
            "what": self.what.value,
            "label": self.label,
            "old": self.old,
            "new": self.new,
            "guess": self.is_guess,
            "factor": self.factor,
        }


_LIKENESS = 0.6
"""From 0 to 1: how like two names are, at least, that are taken for one thing's."""


def renames(old: Iterable[str], new: Iterable[str]) -> dict[str, str]:
    """Return which of the names that are gone became which of those that are new: the most alike first.

    >>> renames(["http.server.duration"], ["http.server.request.duration", "jobs.done"])
    {'http.server.duration': 'http.server.request.duration'}
    """
    gone, added = sorted({*old} - {*new}), sorted({*new} - {*old})
    pairs = [(SequenceMatcher(None, was, now).ratio(), was, now) for was in gone for now in added]
    found: dict[str, str] = {}
    for likeness, was, now in sorted(pairs, reverse=True):
        if likeness >= _LIKENESS and was not in found and now not in found.values():
            found[was] = now
    return found


def between(old: Mapping[str, Metric], new: Mapping[str, Metric]) -> tuple[Change, ...]:
    """Return every change from *old* to *new*."""
    renamed = renames(old, new)
    found: list[Change] = []
    for name, was in old.items():
        now = new.get(name) or new.get(renamed.get(name, ""))
        if now is None:
            found.append(Change(name, What.METRIC, name, None))
            continue
        if now.name != name:
            found.append(Change(name, What.METRIC, name, now.name, is_guess=True))
        found += _of_metric(was, now)
    taken = {*old, *renamed.values()}
    return (*found, *(Change(name, What.METRIC, None, name) for name in new if name not in taken))


def _of_metric(was: Metric, now: Metric) -> Iterator[Change]:
    if was.kind is not now.kind:
        yield Change(was.name, What.KIND, was.kind.value, now.kind.value)
    if was.unit != now.unit:
        before, after = Unit.parse(was.unit), Unit.parse(now.unit)
        factor = before.scale / after.scale if before.powers == after.powers else None
        yield Change(was.name, What.UNIT, was.unit or "none", now.unit or "none", factor=factor)
    if was.buckets != now.buckets:
        yield Change(was.name, What.BUCKETS, _bounds(was.buckets), _bounds(now.buckets))
    yield from _of_labels(was, now)


def _of_labels(was: Metric, now: Metric) -> Iterator[Change]:
    before, after = _by_name(was.labels), _by_name(now.labels)
    renamed = renames(before, after)
    for name, label in before.items():
        other = after.get(name) or after.get(renamed.get(name, ""))
        if name not in after:
            yield Change(was.name, What.LABEL, name, renamed.get(name), is_guess=name in renamed)
        if other is not None and label.values != other.values:
            before_it, after_it = (", ".join(each.values) or "any" for each in (label, other))
            yield Change(was.name, What.VALUES, before_it, after_it, label=name)
    for name in after:
        if name not in before and name not in renamed.values():
            yield Change(was.name, What.LABEL, None, name)


def _by_name(labels: Iterable[Label]) -> dict[str, Label]:
    return {label.name: label for label in labels}


def _bounds(buckets: Iterable[float]) -> str:
    return ", ".join(f"{bound:g}" for bound in buckets) or "none"
