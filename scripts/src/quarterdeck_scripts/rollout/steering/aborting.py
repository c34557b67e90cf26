"""Asks whoever runs a rollout to put everything back, and waits until that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts import console
from quarterdeck_scripts.rollout.acting.lock import holder_of
from quarterdeck_scripts.rollout.steering.asking import Asker
from quarterdeck_scripts.rollout.steps.asks import Wish
from quarterdeck_scripts.rollout.steps.state import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quarterdeck_scripts.rollout.going_back import Left
    from quarterdeck_scripts.rollout.session import Session
    from quarterdeck_scripts.rollout.steps.actions import Situation

EVERY = 2.0
"""Seconds between two looks at how far it is."""

HEARD_WITHIN = 90.0
"""Seconds, besides a scrape interval, in which a run that is alive turns back: it may keep evidence at that moment, or
wait for a server that is silent."""

_LOOKS = 3
"""Looks in a row without anybody at it until it counts as left: a run of several services has no lock between two."""


def by_whoever_runs_it(left: Sequence[Left], why: str) -> bool:
    """Have whoever runs what is *left* put it back; return False where nobody runs it, or nobody does any more.

    Raises:
        RefusedError: it is run, but has not turned back in time. What was asked stands.
        QuarterdeckError: it came to its end before it read that, or the stable version is not whole.
    """
    runners = list(filter(None, map(_runner, left)))
    if not any(each.situation.state for each in left) or not runners:
        return False
    clock = left[0].session.clock
    until = clock.monotonic() + HEARD_WITHIN + max(each.session.interval for each in left)
    alone = 0
    with console.step(f"Have {runners[0]} put everything back") as step:
        while True:
            now = [each.session.view().inspect(any_state=True) for each in left]
            under_way = [(each, seen) for each, seen in zip(left, now, strict=True) if seen.state]
            if not under_way:
                break
            alone = 0 if any(map(_runner, left)) else alone + 1
            if alone == _LOOKS:
                return False
            turned = any(seen.state.direction is Direction.BACK for _, seen in under_way if seen.state)
            if not turned:
                _ask([each for each, _ in under_way], why)
                if clock.monotonic() >= until:
                    raise _is_deaf(left, runners[0])
            step.update("; ".join(filter(None, (_progress(each.session) for each, _ in under_way))))
            clock.sleep(EVERY)
    for each, seen in zip(left, now, strict=True):
        _tell(each, seen, runners[0])
    return True


def _ask(left: Iterable[Left], why: str) -> None:
    """Write it beside each state that does not have it: of several services the one that is at work reads its own."""
    for each in left:
        session = each.session
        environment = session.environment
        asker = Asker(environment.cluster, environment.cluster_uid, session.view(), session.clock, session.actor)
        try:
            stable, state, ask = asker.under_way()
            if ask is None or ask.wish is not Wish.ABORT:
                asker.write(stable, asker.wished(Wish.ABORT, why, state), why, session.audit())
        except RefusedError:
            continue  # it has moved on, or is over: the next look shows


def _runner(left: Left) -> str:
    """Return who is at it now, by the look of the lock; empty when nobody is."""
    session = left.session
    try:
        session.lock().refuse_if_held()
    except RefusedError:
        return holder_of(session.environment.cluster, session.service.namespace, session.service.name).name
    return ""


def _progress(session: Session) -> str:
    return holder_of(session.environment.cluster, session.service.namespace, session.service.name).progress


def _tell(left: Left, seen: Situation, runner: str) -> None:
    name = left.session.service.name
    if seen.stable_image == left.image:
        raise QuarterdeckError(
            f"{name} to be put back by {runner}",
            f"it was promoted before that was read, and runs {left.image}",
            f"take it back with `quarterdeck rollout undo {name}`",
        )
    if not seen.stable_settled:
        raise QuarterdeckError(
            f"{name} to be whole on {seen.stable_image}, to which {runner} has put it back",
            "pods that are missing, or not Ready",
            f"see `quarterdeck rollout status {name}`",
        )
    console.emit_done(f"{name}: aborted by {runner}, as asked; it runs {seen.stable_image}.")


def _is_deaf(left: Sequence[Left], runner: str) -> RefusedError:
    services = " ".join(each.session.service.name for each in left)
    return RefusedError(
        f"{runner} to put everything back, as asked",
        f"nothing of it within {HEARD_WITHIN:.0f} s",
        f"look at `quarterdeck rollout status`: what was asked stands; `quarterdeck rollout abort {services} "
        "--take-over` does it here at once",
    )
