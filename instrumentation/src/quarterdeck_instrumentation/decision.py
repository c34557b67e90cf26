"""What makes a worker's spans: decided once, at the first request, and anew when the service sets its own provider."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.failures import failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import TracerProvider

    from quarterdeck_instrumentation.settings import Settings
    from quarterdeck_instrumentation.tracing import Tracing


class Decision:
    """One worker's."""

    def __init__(self, settings: Settings, given_way: Callable[[], None]) -> None:
        """Decide by *settings*; *given_way* is called when the service has set a provider in place of ours."""
        self.made: Tracing | None = None
        """What makes spans, as far as that is decided; None when nobody wants any."""
        self._settings = settings
        self._given_way = given_way
        self._is_made = False
        self._making = threading.RLock()
        self._is_making = False
        """Whether what it is made by asks what was made: an exporter's own set-up may make spans."""

    def tracing(self) -> Tracing | None:
        """Return what makes spans; None when nobody wants any. Decided at the first request.

        Not earlier: the service may choose its own tracer provider while it starts.
        """
        if not self._is_made:
            self._decide()
        return self.made

    def _decide(self) -> None:
        with self._making:  # other threads wait: what they serve meanwhile would have no spans
            if self._is_made or self._is_making:
                return
            self._is_making = True
            try:
                with native.Uncollected():
                    from quarterdeck_instrumentation import providers, tracing  # noqa: PLC0415 -- few services trace

                    chosen = providers.is_set()
                    self.made = tracing.start(self._settings)
                    if not chosen:
                        providers.give_way(self._given_way)
            except Exception as error:  # noqa: BLE001 -- an exporter's set-up may raise anything
                failed("traces", "tracing could not be started", error)
            finally:
                self._is_made, self._is_making = True, False

    def trace_with(self, tracing: Tracing | None) -> None:
        """Have *tracing* make the spans, whatever is configured: for tests, and for services that know better."""
        self.made, self._is_made = tracing, True

    def adopt(self, provider: TracerProvider) -> None:
        """Have spans go to *provider*, which the service gave its framework, unless it is decided where they go."""
        if not self._is_made:
            from quarterdeck_instrumentation import tracing  # noqa: PLC0415 -- few services do that

            self.trace_with(tracing.Tracing(provider))

    def reconsider(self) -> None:
        """Decide anew, at the next request: the service has set its own provider since."""
        if self.made is not None:
            atexit.register(self.made.flush, self._settings.flush_timeout)
        self.made, self._is_made = None, False
