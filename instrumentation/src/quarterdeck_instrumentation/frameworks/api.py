"""OpenTelemetry's API: the first span or the first measurement begins telemetry, where no server would ever begin it.

So batch jobs, consumers and scripts have a provider and a page, and lose nothing at their end. Until then all this
costs such a process is a look-up in the environment. A service may still set a provider of its own after its first
span, which OpenTelemetry would otherwise refuse: what was traced by then goes where the environment says, and all
that comes later to the service's own.

What is changed here is private to OpenTelemetry, because nothing public is called by every span and by no other
thing. It is put back as soon as telemetry has begun, so nothing is slower after that. Our own modules are imported
by then: many processes import the API, and few ever make a span.
"""

from __future__ import annotations

import os
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from quarterdeck_instrumentation.settings import Settings

_RECORDING = {"_ProxyCounter": "add", "_ProxyUpDownCounter": "add", "_ProxyHistogram": "record", "_ProxyGauge": "set"}
"""Instruments that were made before there was a provider, and what records with each."""
_PATIENCE = 5.0
"""Seconds that a thread waits for telemetry that another has begun."""


def patch_trace(module: ModuleType) -> None:
    """Have the first span of a tracer that has no provider yet begin telemetry, if spans go anywhere."""
    proxy: Any = module.ProxyTracer
    proxy.start_as_current_span = _directly(proxy.start_as_current_span)
    original = proxy._tracer  # noqa: SLF001 -- where it looks for its provider, when a span is made and not before

    def begin() -> None:
        if module._TRACER_PROVIDER is None and _settings().traces_exporters:  # noqa: SLF001 -- likewise
            _trace()

    def restore() -> None:
        proxy._tracer = original  # noqa: SLF001 -- likewise

    first = _First(begin, restore)

    def tracer(self: Any) -> Any:
        first.seen()
        return original.fget(self)

    proxy._tracer = property(tracer)  # noqa: SLF001 -- likewise


def patch_propagators(module: ModuleType) -> None:
    """Take what is not installed out of `OTEL_PROPAGATORS`: `opentelemetry.propagate` would raise on it.

    FastAPI imports that, where the API is installed, and would not start. It imports *module* before it looks.
    """
    del module
    if os.environ.get("OTEL_PROPAGATORS"):
        from quarterdeck_instrumentation.providers import readable  # noqa: PLC0415 -- see the top

        readable(os.environ)


def _directly(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return *start*, a block by a tracer's proxy, the tracer's own where that is known: else two generators more."""

    @wraps(start)
    def starting(self: Any, *arguments: Any, **named: Any) -> Any:
        real = getattr(self, "_real_tracer", None)
        return start(self, *arguments, **named) if real is None else real.start_as_current_span(*arguments, **named)

    return starting


def patch_instruments(module: ModuleType) -> None:
    """Have the first measurement with an instrument that has no provider yet begin telemetry, if anybody wants it."""
    originals = {
        (getattr(module, name), method): getattr(getattr(module, name), method) for name, method in _RECORDING.items()
    }

    def begin() -> None:
        settings = _settings()
        if settings.metrics_page or settings.metrics_push:
            from quarterdeck_instrumentation import runtime  # noqa: PLC0415 -- see the top

            runtime.current()

    def restore() -> None:
        for (kind, method), original in originals.items():
            setattr(kind, method, original)

    first = _First(begin, restore)

    def beginning(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def recording(self: Any, *arguments: Any, **named: Any) -> Any:
            first.seen()
            return original(self, *arguments, **named)

        return recording

    for (kind, method), original in originals.items():
        setattr(kind, method, beginning(original))


class _First:
    """Begins something at the first of many events, which may come from several threads at once."""

    def __init__(self, begin: Callable[[], None], restore: Callable[[], None]) -> None:
        """Have *begin* called once, and *restore* when that is over: no more events are wanted."""
        self._begin, self._restore = begin, restore
        self._lock = RLock()
        self._begun = False

    def seen(self) -> None:
        """Note an event. The first begins, those of other threads wait for that: what they record would be lost.

        Not for ever: a child may be forked while a thread that it does not have is at it.
        """
        if not self._lock.acquire(timeout=_PATIENCE):
            self._restore()
            return
        try:
            if not self._begun:  # else what beginning it records itself
                self._begun = True
                try:
                    self._begin()
                finally:
                    self._restore()
        finally:
            self._lock.release()


def _settings() -> Settings:
    from quarterdeck_instrumentation.settings import effective  # noqa: PLC0415 -- see the top

    return effective(os.environ)


def _trace() -> None:
    from quarterdeck_instrumentation import runtime  # noqa: PLC0415 -- see the top

    begun = runtime.current()
    if begun is not None:
        begun.tracing()
