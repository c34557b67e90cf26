"""What a rollout needs from the outside besides a cluster: somebody who answers PromQL, and a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from quarterdeck_contract.errors import QuarterdeckError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Series:
    """One time series' raw samples."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    """Time (Unix seconds) and value, ascending in time; as sent, so a value may be NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an instant query returned: a matrix, or a vector or scalar as series of one sample."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    """Prometheus' own words on why the answer may be incomplete. An answer with any is no evidence."""


class AnswerError(QuarterdeckError):
    """Something answered, but not with usable data: an error, a page of HTML, another shape."""


class Prometheus(Protocol):
    """Somebody who answers instant queries."""

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Evaluate *promql* at the time *at* (Unix seconds), or now by the answerer's clock.

        Raises:
            AnswerError: what came back is not an answer.
            UnreachableError: nothing came back in time (`quarterdeck_scripts.kube.client`).
        """
        ...


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One event that a counter counted, and the trace it belongs to."""

    labels: Mapping[str, str]
    """Of the counter."""
    trace_id: str
    value: float
    """What was measured: of a request's duration, seconds."""
    at: float
    """Unix seconds."""


@runtime_checkable
class Traces(Protocol):
    """Somebody who knows which traces belong to what was counted. Not everybody who answers queries does."""

    def exemplars(self, selector: str, start: float, end: float) -> tuple[Exemplar, ...]:
        """Return the exemplars of the series of *selector* between two times (Unix seconds); none where none are kept.

        Raises:
            AnswerError: what came back is not an answer.
            UnreachableError: nothing came back in time.
        """
        ...


class FakePrometheus:
    """Answers with a plain function from query text and time to an answer. For tests of ours and of users."""

    def __init__(self, answer: Callable[[str, float | None], Answer]) -> None:
        """*answer* may raise what `Prometheus.query` may raise."""
        self._answer = answer
        self.asked: list[str] = []
        """Every query so far, in order."""

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Pass the question to the function."""
        self.asked.append(promql)
        return self._answer(promql, at)


class Clock(Protocol):
    """Time, and the passing of it."""

    def now(self) -> float:
        """Return Unix seconds: for what people read, never for durations."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back: for durations and deadlines."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


_STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while a laptop sleeps, where the system has such a clock: a lock's life does not wait for us."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.clock_gettime(_STEADY)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when somebody sleeps, and then calls *on_sleep*: time passes in tests at once."""

    def __init__(self, start: float = 1_700_000_000.0, on_sleep: Callable[[float], None] | None = None) -> None:
        """*start* is in Unix seconds."""
        self._now = start
        self._on_sleep = on_sleep

    def now(self) -> float:
        """Return the fake time."""
        return self._now

    def monotonic(self) -> float:
        """Return the fake time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds
        if self._on_sleep:
            self._on_sleep(self._now)
