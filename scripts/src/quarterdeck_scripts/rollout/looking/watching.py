"""Following a rollout that somebody else runs, by what it leaves in the cluster."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.rollout.acting.lock import LockSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.ports import Clock
    from quarterdeck_scripts.rollout.status import RolloutStatus

EVERY = 5.0
"""Seconds between two looks: five requests each, so one a second, and as often as a lock is renewed."""

_LIFE = LockSettings().lapse
"""Seconds without a sign of life after which nobody runs it."""

_UNANSWERED = 60.0
"""Seconds that an API server may be silent."""


class End(enum.Enum):
    """Why there is nothing more to follow."""

    NONE = "none"
    """No rollout is under way."""
    OVER = "over"
    """It has come to its end."""
    ABANDONED = "abandoned"
    """Nobody runs it any more."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was followed, and why no further."""

    rollout: str
    """Its id; empty without one."""
    end: End


def watch(read: Callable[[], RolloutStatus], clock: Clock, show: Callable[[str], None]) -> Watched:
    """Follow the rollout that is under way until it ends, or nobody runs it.

    Args:
        read: looks at the service.
        clock: time.
        show: called with where it stands, whenever that is something else.

    Raises:
        UnreachableError: the API server did not answer for a minute.
    """
    rollout, shown, sign = "", "", ("", "")
    answered = alive = clock.monotonic()
    while True:
        now = clock.monotonic()
        try:
            status = read()
        except UnreachableError:
            if now - answered >= _UNANSWERED:
                raise
            clock.sleep(EVERY)
            continue
        answered = now
        state = status.state
        if state is None or (rollout and state.id != rollout):
            return Watched(rollout, End.OVER if rollout else End.NONE)
        if (status.holder, status.renewed) != sign:
            sign, alive = (status.holder, status.renewed), now
        elif now - alive >= (_LIFE if status.holder else EVERY):
            return Watched(state.id, End.ABANDONED)
        rollout = state.id
        line = _line(status)
        if line != shown:
            show(line)
            shown = line
        clock.sleep(EVERY)


def _line(status: RolloutStatus) -> str:
    told = [status.ask, status.progress or (status.state.reason if status.state else "")]
    return "; ".join(filter(None, [str(status.state.direction) if status.state else "", *told]))
