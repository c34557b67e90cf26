"""What is current: OpenTelemetry's context, without the calls that its API makes on the way there."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.context import Context

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.trace import Span

(SPAN,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""Key of the current span in a context: the API makes it up at random, and does not say it."""
_SUPPRESSED = context._SUPPRESS_INSTRUMENTATION_KEY  # noqa: SLF001 -- how it is called in all releases of the API
_SUPPRESSED_PLAIN = "suppress_instrumentation"
"""The same in words: what instrumentors set, and look for, besides."""
_found = getattr(context._RUNTIME_CONTEXT, "_current_context", None)  # noqa: SLF001 -- the API says it nowhere else
_variable: ContextVar[Context] | None = _found if isinstance(_found, ContextVar) else None
"""Where the API keeps the current context; None: in something that another package provides."""


def span(within: Context | None = None) -> Any:
    """Return the span that is current in *within*, without it here; None if there is none."""
    if within is None:
        within = context.get_current() if _variable is None else _variable.get()
    return within.get(SPAN)


def is_suppressed() -> bool:
    """Say whether instrumentors are to keep quiet here, as they ask it themselves before each thing they do."""
    within = context.get_current() if _variable is None else _variable.get()
    return bool(within.get(_SUPPRESSED) or within.get(_SUPPRESSED_PLAIN))


def enter(entered: Span) -> Token[Context]:
    """Make *entered* current, until `leave` is called with what is returned."""
    if _variable is None:
        return context.attach(trace.set_span_in_context(entered))
    return _variable.set(Context({**_variable.get(), SPAN: entered}))


def attach(whole: Context) -> Token[Context]:
    """Make *whole* the current context, until `leave` is called with what is returned."""
    return context.attach(whole) if _variable is None else _variable.set(whole)


def leave(token: Token[Context]) -> None:
    """Make current again what was before; out of turn, or in another context, the API logs that it could not."""
    if _variable is not None:
        try:
            _variable.reset(token)
        except (ValueError, RuntimeError):
            pass
        else:
            return
    context.detach(token)
