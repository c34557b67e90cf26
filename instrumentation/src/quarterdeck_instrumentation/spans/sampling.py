"""Which traces are kept: `OTEL_TRACES_SAMPLER`, decided in a few instructions before a span exists.

The six standard samplers, and two of ours that keep so many traces a second. The latter are also entry points of
`opentelemetry_traces_sampler`, so that OpenTelemetry's own SDK can be told to use them. None of them changes
`tracestate`: the SDK's do not either, and a rate that follows the traffic has no fixed threshold to write there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.trace import TraceFlags

from quarterdeck_instrumentation import plugins
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import SpanContext

    from quarterdeck_instrumentation.spans.identity import Identity

NAME = "OTEL_TRACES_SAMPLER"
ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
DEFAULT = "parentbased_always_on"
"""The specification's default sampler."""
RATE_LIMITED = "quarterdeck_ratelimited"
"""Name of the sampler that keeps so many traces a second."""
TRACES_PER_SECOND = 10.0
"""What it keeps without an argument: enough to look at, whatever the load."""
_PARENT_BASED = "parentbased_"
_ENTRY_POINTS = "opentelemetry_traces_sampler"
"""Where sampler packages register, by OpenTelemetry's own convention."""
_SAMPLED = int(TraceFlags.SAMPLED)
_NO_BOUND = float("inf")
_ALL = 1 << 64
"""One more than the greatest low half of a trace id."""


class Sampling:
    """A share of all traces: OpenTelemetry's own samplers, as two numbers."""

    __slots__ = ("bound", "parent_based")

    def __init__(self, bound: int, *, parent_based: bool) -> None:
        self.bound = bound
        """Trace ids whose low half is below this are kept."""
        self.parent_based = parent_based
        """Whether a parent decides, where there is one."""

    @staticmethod
    def everything() -> Sampling:
        """Return the specification's default: all traces, unless a parent says otherwise."""
        return Sampling(_ALL, parent_based=True)

    def keeps(self, trace_id: int, parent: SpanContext | Identity | None) -> bool:
        """Say whether a span is kept."""
        if parent is not None and self.parent_based:
            return parent.trace_flags & _SAMPLED != 0
        return trace_id & (_ALL - 1) < self.bound

    def sampler(self) -> Sampler:
        """Return the SDK's sampler that keeps the same."""
        from quarterdeck_instrumentation.spans import samplers  # noqa: PLC0415 -- imports the SDK, which few need

        return samplers.of_share(self.bound / _ALL, parent_based=self.parent_based)


class RateLimited(Sampling):
    """So many traces a second, in this process: a bucket that fills steadily and holds one second's worth."""

    __slots__ = ("_clock", "_full", "_interval", "_since", "rate")

    def __init__(self, rate: float, *, parent_based: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep *rate* traces a second, and after a pause at most one second's worth (at least one) at once.

        Args:
            rate: traces a second; 0 keeps none.
            parent_based: whether a parent decides, where there is one.
            clock: gives seconds that never go backwards.
        """
        super().__init__(0, parent_based=parent_based)
        self.rate = rate
        self._clock = clock
        self._interval = 1 / rate if rate else float("inf")
        self._full = max(1.0, self._interval)
        self._since = clock() - self._full if rate else float("inf")

    def keeps(self, trace_id: int, parent: SpanContext | Identity | None) -> bool:
        """Say whether a span is kept; a trace that is takes one from the bucket."""
        del trace_id
        if parent is not None and self.parent_based:
            return parent.trace_flags & _SAMPLED != 0
        now = self._clock()
        # From here on nothing is called and nothing jumps back: CPython switches threads only there, so no other
        # thread comes between, and under the GIL no lock is needed. Tokens left are (now - since) / interval.
        since = self._since
        if since < now - self._full:  # noqa: PLR1730 -- `max` would be a call
            since = now - self._full
        if now - since < self._interval * 0.999_999:  # a clock's last digits are not worth a trace
            return False
        self._since = since + self._interval
        return True

    def sampler(self) -> Sampler:
        """Return a sampler for the SDK that takes from the same bucket."""
        from quarterdeck_instrumentation.spans import samplers  # noqa: PLC0415 -- likewise

        return samplers.RateLimitedSampler(self)


def read(environ: Mapping[str, str]) -> Sampling | None:
    """Read which traces are kept; None for a sampler that only its own package knows. What is wrong is said.

    >>> read({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}).bound == 1 << 63
    True
    """
    name = named(environ)
    root = name.removeprefix(_PARENT_BASED)
    based = root != name
    if root == RATE_LIMITED:
        return RateLimited(_number(environ, TRACES_PER_SECOND, _NO_BOUND), parent_based=based)
    if root == "traceidratio":
        return Sampling(round(_number(environ, 1.0, 1.0) * _ALL), parent_based=based)
    if root in ("always_on", "always_off"):
        return Sampling(_ALL if root == "always_on" else 0, parent_based=based)
    return None


def named(environ: Mapping[str, str]) -> str:
    """Return the name of the sampler that is asked for."""
    return environ.get(NAME, "").strip().lower() or DEFAULT


def load(environ: Mapping[str, str]) -> Sampler | None:
    """Return the sampler of another package that is asked for; None if there is none such, which is said."""
    from opentelemetry.sdk.trace.sampling import Sampler  # noqa: PLC0415 -- likewise

    name = environ.get(NAME, "").strip()
    try:
        sampler = plugins.load(_ENTRY_POINTS, name)(environ.get(ARGUMENT))
        if not isinstance(sampler, Sampler):
            raise TypeError("its factory returned no Sampler")  # noqa: TRY301 -- said like all other reasons
    except Exception as error:  # noqa: BLE001 -- not installed, or its own set-up failed
        expected = "expected a standard sampler, ours, or the name of an installed one"
        failed("settings", f"{NAME}: {expected}; found {name}; {DEFAULT} is used", error)
        return None
    return sampler


def rate_limited(argument: str | None) -> Sampler:
    """Return the sampler `quarterdeck_ratelimited`: an entry point, called with `OTEL_TRACES_SAMPLER_ARG`."""
    return _limited(argument, parent_based=False)


def parent_based_rate_limited(argument: str | None) -> Sampler:
    """Return the sampler `parentbased_quarterdeck_ratelimited`, likewise."""
    return _limited(argument, parent_based=True)


def _limited(argument: str | None, *, parent_based: bool) -> Sampler:
    rate = _number({ARGUMENT: argument or ""}, TRACES_PER_SECOND, _NO_BOUND)
    return RateLimited(rate, parent_based=parent_based).sampler()


def _number(environ: Mapping[str, str], default: float, most: float) -> float:
    text = environ.get(ARGUMENT, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if 0 <= number <= most and number != _NO_BOUND:
        return number
    bound = "of at least 0" if most == _NO_BOUND else f"from 0 to {most:g}"
    failed("settings", f"{ARGUMENT}: expected a number {bound}; found {text}; {default:g} is used")
    return default
