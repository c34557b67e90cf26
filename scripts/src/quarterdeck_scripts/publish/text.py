"""How plans and outcomes read, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.publish.plan import Act

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_scripts.publish.apply import Outcome
    from quarterdeck_scripts.publish.plan import Plan, Step

_SIGNS = {Act.CREATE: "+", Act.CHANGE: "~", Act.DELETE: "-", Act.LEAVE: "!"}
_COUNTED = {
    Act.CREATE: "to create",
    Act.CHANGE: "to change",
    Act.DELETE: "to delete",
    Act.KEEP: "as they should be",
    Act.LEAVE: "left alone",
}
_LONGEST = 300
"""Characters of a field's difference: a whole query, but no whole dashboard."""


def summary(plan: Plan) -> str:
    """Return how many of what, in one line."""
    counts = Counter(step.act for step in plan.steps)
    return ", ".join(f"{counts[act]} {words}" for act, words in _COUNTED.items() if counts[act]) or "nothing there"


def lines(plan: Plan, left_out: Iterable[str] = ()) -> Iterator[str]:
    """Yield the plan for people: every step but those that keep something, and what cannot be had."""
    for step in plan.steps:
        if step.act is not Act.KEEP:
            yield f"{_SIGNS[step.act]} {step.resource.kind} {step.resource.name}{f': {step.why}' if step.why else ''}"
            yield from (f"    {_short(str(each))}" for each in step.differences)
    for reason in left_out:
        yield f"  not there as the catalogue has it: {reason}"


def report(outcome: Outcome) -> Iterator[str]:
    """Yield what was not done, and why."""
    for step, reason in outcome.failed:
        yield f"✗ {step.act.value} {step.resource.kind} {step.resource.name}: {reason}"
    for step in outcome.untried:
        yield f"✗ {step.act.value} {step.resource.kind} {step.resource.name}: not tried"


def to_json(plan: Plan, left_out: Iterable[str] = (), outcome: Outcome | None = None) -> dict[str, Any]:
    """Return the plan as JSON; with an outcome, what became of each step."""
    became = {} if outcome is None else _became(outcome)
    return {
        "steps": [
            _step(step) | ({"outcome": became[step.resource.key, step.act]} if step.is_change and became else {})
            for step in plan.steps
        ],
        "left_out": list(left_out),
    }


def _became(outcome: Outcome) -> dict[tuple[str, Act], str]:
    return {
        **{(step.resource.key, step.act): "done" for step in outcome.done},
        **{(step.resource.key, step.act): f"failed: {reason}" for step, reason in outcome.failed},
        **{(step.resource.key, step.act): "not tried" for step in outcome.untried},
    }


def _step(step: Step) -> dict[str, Any]:
    said: dict[str, Any] = {
        "act": step.act.value,
        "kind": step.resource.kind,
        "key": step.resource.key,
        "name": step.resource.name,
    }
    if step.found is not None:
        said["id"] = step.found.id
    if step.why:
        said["why"] = step.why
    if step.differences:
        said["differences"] = [
            {"field": each.field, "found": _plain(each.found), "wanted": _plain(each.wanted)}
            for each in step.differences
        ]
    return said


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict) else None


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
