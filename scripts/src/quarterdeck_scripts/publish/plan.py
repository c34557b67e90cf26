"""What is to be done: a step for everything that should be there or is. Pure."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_dashboards.resource import reference
from quarterdeck_scripts.publish.differences import Difference, differences

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from quarterdeck_dashboards.resource import Json, Resource
    from quarterdeck_scripts.publish.ports import Found


class Act(enum.StrEnum):
    """What becomes of one resource."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    KEEP = "keep"
    """It is as it should be."""
    LEAVE = "leave"
    """Something that is not ours is in its way, so nothing is done."""


REFERRED_TO = frozenset({"slo"})
"""Kinds that others refer to, so that they go last."""

DRIFT = "changed there since it was last applied"
NEWS = "the catalogue says otherwise now"
SURPLUS = "the catalogue has it no more"
SECOND = "a second one with the same key"


@dataclass(frozen=True, slots=True)
class Step:
    """One resource, and what becomes of it."""

    act: Act
    resource: Resource
    """As it should be; as it is, when it is to be deleted."""
    found: Found | None = None
    differences: tuple[Difference, ...] = ()
    why: str = ""

    @property
    def is_change(self) -> bool:
        """Whether anything is to be changed there."""
        return self.act in {Act.CREATE, Act.CHANGE, Act.DELETE}


@dataclass(frozen=True, slots=True)
class Plan:
    """Every step, in the order in which they are to be taken."""

    steps: tuple[Step, ...]
    ids: Mapping[str, str]
    """Key to id of what is there and stays."""

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.is_change)

    @property
    def left(self) -> tuple[Step, ...]:
        """What is not done, because something foreign is in the way."""
        return tuple(step for step in self.steps if step.act is Act.LEAVE)


def missing(wanted: Iterable[Resource], found: Iterable[Found]) -> tuple[Resource, ...]:
    """Return what is not there yet: what something foreign may be in the way of."""
    there = {each.resource.key for each in found}
    return tuple(resource for resource in wanted if resource.key not in there)


def make(
    wanted: Collection[Resource],
    found: Collection[Found],
    others: Mapping[str, tuple[str, ...]],
    *,
    kept: frozenset[str] = frozenset(),
) -> Plan:
    """Decide what is to be done.

    Args:
        wanted: what should be there; what others refer to comes first.
        found: what is there of ours, the oldest first.
        others: key of what is missing, to the ids of what is in its way.
        kept: kinds that are not deleted for not being wanted.
    """
    first: dict[str, Found] = {}
    for each in found:
        first.setdefault(each.resource.key, each)
    keys = {resource.key for resource in wanted}
    ids = {key: each.id for key, each in first.items() if key in keys}
    steps = [_step(resource, first.get(resource.key), others.get(resource.key, ()), ids) for resource in wanted]
    return Plan((*steps, *_deletions(found, first, keys, kept)), ids)


def resolved(body: Json, ids: Mapping[str, str]) -> Json:
    """Return *body* with the ids that are known in place of references."""
    if isinstance(body, dict):
        return {name: resolved(value, ids) for name, value in body.items()}
    if isinstance(body, list):
        return [resolved(value, ids) for value in body]
    if isinstance(body, str):
        for key, known in ids.items():
            body = body.replace(reference(key), known)
    return body


def digest(resource: Resource) -> str:
    """Return what tells this state of *resource* from others: 12 hexadecimal digits."""
    text = json.dumps([resource.name, resource.body], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _step(resource: Resource, found: Found | None, others: tuple[str, ...], ids: Mapping[str, str]) -> Step:
    if found is None and others:
        return Step(Act.LEAVE, resource, why=f"{', '.join(others)} has this name and not our marks")
    if found is None:
        return Step(Act.CREATE, resource)
    known = replace(resource, body=resolved(resource.body, ids))
    different = tuple(differences(known.body, found.resource.body))
    if not different:
        return Step(Act.KEEP, known, found)
    return Step(Act.CHANGE, resource, found, different, DRIFT if found.applied == digest(resource) else NEWS)


def _deletions(
    found: Collection[Found], first: Mapping[str, Found], keys: Collection[str], kept: frozenset[str]
) -> Iterator[Step]:
    """Yield what is to go, the newest first, and what others refer to last."""
    newest_first = tuple(found)[::-1]
    for each in sorted(newest_first, key=lambda each: each.resource.kind in REFERRED_TO):
        if each is not first[each.resource.key]:
            yield Step(Act.DELETE, each.resource, each, why=SECOND)
        elif each.resource.key not in keys and each.resource.kind not in kept:
            yield Step(Act.DELETE, each.resource, each, why=SURPLUS if keys else "")
