"""The metrics of an HTTP server, whatever framework serves: what the contract says of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.labels import HTTP_METHOD, URL_SCHEME
from quarterdeck_contract.metrics import HTTP_SERVER_ACTIVE, HTTP_SERVER_DURATION
from quarterdeck_instrumentation.registry import VALUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_instrumentation.exemplars import Sighting
    from quarterdeck_instrumentation.registry import Cell, Distribution, Registry

OTHER_METHOD = "_OTHER"
"""The one value for every method outside the contract's closed set."""
SERVER_ERROR = 500
"""The first status code that is the server's fault; also what every server sends when an application sends nothing."""

_METHODS = {method: method for method in HTTP_METHOD.values}
_SCHEMES = frozenset(URL_SCHEME.values)

Outcome = tuple[str, str, int | None, str, str, str]
"""How a request ended: method, route, status code (None: none was sent), error type, scheme, module."""


def method_label(method: str) -> str:
    """Return *method* as the contract spells it."""
    return _METHODS.get(method, OTHER_METHOD)


def scheme_label(scheme: str) -> str:
    """Return *scheme* as the contract spells it; ASGI servers say `ws` where browsers do."""
    if scheme in _SCHEMES:
        return scheme
    return "https" if scheme == "wss" else "http"


def error_type(error: BaseException) -> str:
    """Return the qualified name of an exception's class, as the semantic conventions want it.

    >>> error_type(ValueError())
    'ValueError'
    """
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class HttpServerMetrics:
    """Records requests; children are looked up once for each outcome and kept."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._accepted: dict[tuple[str, str], tuple[str, str, Cell]] = {}
        self._active: dict[tuple[str, str], Cell] = {}
        self._durations: dict[Outcome, Distribution] = {}
        self.noticed: Callable[[], None] = _nobody
        """Called in a request's own thread, and loop, the first time that one of its method is served."""
        registry.declare(HTTP_SERVER_DURATION)
        registry.declare(HTTP_SERVER_ACTIVE)

    def accept(self, method: str, scheme: str) -> tuple[str, str, Cell]:
        """Return *method* and *scheme*, as sent, as the contract spells them, and the child that counts what runs."""
        key = (method, scheme)
        accepted = self._accepted.get(key)
        if accepted is None:
            label, spelt = method_label(method), scheme_label(scheme)
            accepted = (label, spelt, self.active(label, spelt))
            if len(self._accepted) < _SENT:
                self._accepted[key] = accepted
        return accepted

    def active(self, method: str, scheme: str) -> Cell:
        """Return the child that counts running requests."""
        key = (method, scheme)
        child = self._active.get(key)
        if child is None:
            self.noticed()
            child = self._active[key] = self._registry.cell(HTTP_SERVER_ACTIVE, method, scheme)
        return child

    def running(self) -> float:
        """Return how many requests this worker serves at this moment."""
        return sum(child.values[VALUE] for child in list(self._active.values()))

    def record(self, outcome: Outcome, seconds: float, exemplar: Sighting | None) -> None:
        """Count one finished request."""
        child = self._durations.get(outcome)
        if child is None:
            method, route, status, error, scheme, module = outcome
            code = "" if status is None else str(status)
            child = self._registry.distribution(HTTP_SERVER_DURATION, method, route, code, error, scheme, module)
            if len(self._durations) < _KEPT:
                self._durations[outcome] = child
        bucket = child.observe(seconds)
        if exemplar is not None:
            child.exemplars[bucket] = exemplar
        self._registry.touch()


_KEPT = 10_000
"""Outcomes whose child is kept. Beyond the registry's own limit they all share one child, so this bounds memory."""


_SENT = 64
"""Methods and schemes, as sent, that are kept: more than there are, and clients may make some up."""


def _nobody() -> None:
    """Nobody wants to know."""
