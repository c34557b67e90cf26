"""The one loop that carries a plan out. Each resource stands alone: what fails is told, and the rest is done.

To run again is to go on: what was made is found by its marks, and what was not is made then.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.publish.differences import differences
from quarterdeck_scripts.publish.plan import Act, digest, resolved
from quarterdeck_scripts.publish.ports import ChangedMeanwhileError, NoAnswerError, NotTakenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.resource import Resource
    from quarterdeck_scripts.publish.plan import Plan, Step
    from quarterdeck_scripts.publish.ports import Found, Store


@dataclass
class Outcome:
    """What became of a plan's steps, so far."""

    done: list[Step] = field(default_factory=list)
    failed: list[tuple[Step, str]] = field(default_factory=list)
    """With the reason."""
    untried: list[Step] = field(default_factory=list)


def apply(plan: Plan, store: Store, outcome: Outcome, tell: Callable[[str], None]) -> None:
    """Carry *plan* out; *outcome* grows with each step, whatever happens. *tell* is told what is being done.

    When no answer comes at all, nothing further is tried.
    """
    ids = dict(plan.ids)
    steps = list(plan.changes)
    for index, step in enumerate(steps):
        tell(f"{step.act.value} {step.resource.kind} {step.resource.name}")
        try:
            _ACTS[step.act](store, step, ids)
        except NoAnswerError as error:
            outcome.failed.append((step, error.found))
            outcome.untried += steps[index + 1 :]
            return
        except QuarterdeckError as error:
            outcome.failed.append((step, error.found))
        else:
            outcome.done.append(step)


def _create(store: Store, step: Step, ids: dict[str, str]) -> None:
    """Make it once: when the answer is lost, look whether it was made before anything else."""
    resource = _ready(step.resource, ids)
    applied = digest(step.resource)
    try:
        made = store.create(resource, applied)
    except NotTakenError:
        raise
    except NoAnswerError:
        there = [each for each in store.found() if each.resource.key == resource.key]
        made = there[0] if there else store.create(resource, applied)
    ids[resource.key] = made.id


def _change(store: Store, step: Step, ids: dict[str, str]) -> None:
    found = _as_planned(store, step)
    if found is None:
        raise _moved(step, "it is gone, or is not ours any more")
    resource = _ready(step.resource, ids)
    try:
        store.change(found, resource, digest(step.resource))
    except NoAnswerError:
        now = store.get(found)
        if now is None or any(differences(resource.body, now.resource.body)):
            raise


def _delete(store: Store, step: Step, ids: dict[str, str]) -> None:
    del ids
    found = _as_planned(store, step)
    if found is not None:
        store.delete(found)


_UNRESOLVED = re.compile(r"\$\{\w+(/[\w-]+)+\}")
"""A reference that is still one."""
_ACTS = {Act.CREATE: _create, Act.CHANGE: _change, Act.DELETE: _delete}


def _as_planned(store: Store, step: Step) -> Found | None:
    """Return what the step is about, as it is now; None when it is gone or not ours any more.

    Raises:
        ChangedMeanwhileError: it is not as it was when the plan was made.
    """
    if step.found is None:  # such a step is not made
        raise ValueError(step)
    now = store.get(step.found)
    if now is not None and now.version != step.found.version:
        raise _moved(step, "somebody has changed it since the plan was made")
    return now


def _moved(step: Step, found: str) -> ChangedMeanwhileError:
    return ChangedMeanwhileError(
        f"the {step.resource.kind} {step.resource.name} as it was when the plan was made",
        found,
        "run it again and read the new plan",
    )


def _ready(resource: Resource, ids: dict[str, str]) -> Resource:
    """Return *resource* with every id that it refers to.

    Raises:
        QuarterdeckError: what it refers to has not been made.
    """
    body = resolved(resource.body, ids)
    if _UNRESOLVED.search(json.dumps(body)):
        raise QuarterdeckError(
            f"what {resource.name} refers to", "it has not been made", "mend what failed before it and run it again"
        )
    return replace(resource, body=body)
