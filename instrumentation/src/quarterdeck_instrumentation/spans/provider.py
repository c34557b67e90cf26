"""The provider and its tracers: the SDK's to whoever asks, lean as long as nobody needs what the SDK alone has."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, TraceFlags

from quarterdeck_instrumentation import current
from quarterdeck_instrumentation.spans import limits, resource
from quarterdeck_instrumentation.spans.block import Block
from quarterdeck_instrumentation.spans.described import DescribedSpan
from quarterdeck_instrumentation.spans.identity import Identity, UnsampledSpan
from quarterdeck_instrumentation.spans.server import LeanServerSpan
from quarterdeck_instrumentation.spans.span import LeanSpan, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Link, SpanContext
    from opentelemetry.util.types import Attributes

    from quarterdeck_instrumentation.server_attributes import Facts
    from quarterdeck_instrumentation.spans.described import Description
    from quarterdeck_instrumentation.spans.sampling import Sampling
    from quarterdeck_instrumentation.spans.sdk import SdkProvider
    from quarterdeck_instrumentation.spans.sender import Sender

_RANDOM = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)
"""The flag that says a trace id is random; none before API 1.45."""
_SAMPLED = int(TraceFlags.SAMPLED)
SHUTDOWN = 10.0
"""Seconds that `shutdown` waits for a collector at most: the specification's time for one export."""
_ASKED = frozenset(("sampler", "id_generator"))
"""Attributes of the SDK's provider that users set, and that its tracers ask."""


class LeanProvider(trace.TracerProvider):
    """A provider whose spans go to one sender; a span processor of the user's has the SDK make them instead.

    It becomes a `sdk.SdkProvider` once somebody needs that: who asks whether it is the SDK's has imported the SDK.
    """

    def __init__(
        self,
        sender: Sender,
        sampling: Sampling,
        *,
        sampler: Sampler | None = None,
        id_generator: IdGenerator | None = None,
    ) -> None:
        """Send to *sender* what *sampling* keeps.

        Args:
            sender: takes the spans that have ended.
            sampling: which are kept.
            sampler: one that only the SDK can ask, in place of *sampling*.
            id_generator: one of the user's, which only the SDK can ask.
        """
        self.lean = True
        self.sender = sender
        self.sampling = sampling
        self.chosen_sampler = sampler
        self.chosen_id_generator = id_generator
        self.limits = limits.read(os.environ)
        self.disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        self.why = ""
        """Why the SDK makes the spans; empty while it does not."""
        self._lean_tracers: dict[tuple[str, str | None, str | None], LeanTracer] = {}
        self._becoming = threading.RLock()
        self._has_become = False
        self._own_resource = resource.Resource(os.environ)
        if not resource.simple(os.environ):
            self.become_sdk()
        if sampler is not None:
            self.take_over(f"the sampler {sampler.get_description()} is the SDK's to ask")
        elif id_generator is not None:
            self.take_over(f"{type(id_generator).__name__} makes the ids")
        elif limits.unusual(self.limits):
            self.take_over("the limits of attributes are not the usual ones")

    @property
    def __class__(self) -> type:  # what `isinstance` asks
        if type(self) is LeanProvider and hasattr(sys.modules.get("opentelemetry.sdk.trace"), "TracerProvider"):
            self.become_sdk()
        return type(self)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        object.__dict__["__class__"].__set__(self, kind)

    def __getattr__(self, name: str) -> Any:
        """Return what only the SDK's provider has."""
        if name.startswith("__"):
            raise AttributeError(name)
        self.become_sdk()
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; the SDK's sampler or id generator, set by a user, is the SDK's to ask from then on."""
        if name not in _ASKED:
            object.__setattr__(self, name, value)
            return
        with self._becoming:  # what other threads set comes after what the SDK sets, which is not a user's
            set_up = self._has_become or type(self) is LeanProvider
            if self.lean and set_up:
                self.take_over(f"{name} was set to {type(value).__name__}")
            object.__setattr__(self, name, value)

    def become_sdk(self) -> SdkProvider:
        """Be a provider of the SDK's class as well from now on, with all that it has."""
        from quarterdeck_instrumentation.spans.sdk import SdkProvider  # noqa: PLC0415 -- imports the SDK

        with self._becoming:
            if type(self) is LeanProvider:
                self.__class__ = SdkProvider
                made: SdkProvider = self  # type: ignore[assignment]  # which it is by now
                made.begin()
                self._has_become = True
        return self  # type: ignore[return-value]  # likewise

    def whose_now(self) -> resource.Whose:
        """Return the resource, as it is at this moment: a fork changes it."""
        # Not before the SDK has found its own, for which its detectors may make spans, in threads that it waits for.
        return self.resource if self._has_become else self._own_resource

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> LeanTracer:
        """Return a tracer for a library, as the API has it."""
        name, version = instrumenting_module_name, instrumenting_library_version
        if attributes:
            return LeanTracer(self, (name, version, schema_url, attributes))
        key = (name, version, schema_url)
        tracer = self._lean_tracers.get(key)
        if tracer is None:
            tracer = self._lean_tracers[key] = LeanTracer(self, (*key, None))
        return tracer

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have *span_processor* see every span from now on; it needs the SDK's."""
        self.become_sdk().add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; False if that took longer than *timeout_millis*."""
        return self.sender.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what is queued. A request still in progress is sent by the runtime."""
        self.sender.flush(SHUTDOWN)

    def take_over(self, why: str) -> None:
        """Have the SDK make the spans from now on, and say *why*."""
        with self._becoming:  # or two threads would each have every span sent
            if not self.lean:
                return
            made = self.become_sdk()
            self.lean = False
            self.why = why
            made.send_to(self.sender)
            logging.getLogger("quarterdeck").debug("Spans are made by the OpenTelemetry SDK: %s", why)


class LeanTracer(trace.Tracer):
    """Makes the spans of one library."""

    def __init__(self, provider: LeanProvider, named: tuple[str, str | None, str | None, Attributes]) -> None:
        self._provider = provider
        self._named = named
        self._sdk: trace.Tracer | None = trace.NoOpTracer() if provider.disabled else None
        self._silent = provider.disabled
        name, version, schema, attributes = named
        scope = InstrumentationScope(name or "", version or "", schema, attributes)
        self._origin = Origin(scope, provider.limits, provider.whose_now, provider.sender.add)

    def start_span(  # noqa: PLR0917 -- the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
    ) -> trace.Span:
        """Begin a span; child of the one that is current in *context*."""
        made = self.begin(LeanSpan, name, _identity(current.span(context)), kind, start_time)
        if made is None:
            return self._by_sdk().start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        if isinstance(made, LeanSpan):
            if attributes:
                made.set_attributes(attributes)
            for link in links or ():
                made.add_link(link.context, link.attributes)
            if not (record_exception and set_status_on_exception):
                made.catching(record=record_exception, set_status=set_status_on_exception)
        return made

    def start_described_span(self, description: Description) -> trace.Span:
        """Begin a span that says what *description* does; child of the one that is current."""
        parent = _identity(current.span())
        made = self.begin(DescribedSpan, description.name, parent, description.kind, None)
        if made is None:
            return self._by_sdk().start_span(description.name, None, description.kind, description.attributes)
        if isinstance(made, DescribedSpan):
            made.description = description
        return made

    def described(self, description: Description) -> Callable[[], Block]:
        """Return what makes blocks of such spans: each begins one, current in the block, and ends it after."""
        return partial(Block, (self.start_described_span, (description,)))

    def start_server_span(self, name: str, context: Context | None, facts: Facts, path: str) -> trace.Span | None:
        """Begin the span of a request, child of *context* alone; None where the SDK has to make it."""
        parent = trace.get_current_span(context).get_span_context() if context else None
        made = self.begin(LeanServerSpan, name, parent, SpanKind.SERVER, None)
        if isinstance(made, LeanServerSpan):
            made.received(facts, path)
        return made

    def start_as_current_span(  # type: ignore[override]  # noqa: PLR0917 -- the API's signature; what it returns is lighter
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
        end_on_exit: bool = True,  # noqa: FBT001, FBT002 -- likewise
    ) -> Block:
        """Return what begins a span that is current in the block, and ends it after."""
        start = (self.start_span, (name, context, kind, attributes, links, start_time))
        return Block(start, end_on_exit, record_exception, set_status_on_exception)

    def _by_sdk(self) -> trace.Tracer:
        if self._sdk is None:
            self._sdk = self._provider.become_sdk().sdk_tracer(self._named)
        return self._sdk

    def begin(
        self,
        make: type[LeanSpan],
        name: str,
        parent: SpanContext | Identity | None,
        kind: SpanKind,
        start_time: int | None,
    ) -> LeanSpan | UnsampledSpan | None:
        """Return a new span of class *make*, or an unsampled one; None where the SDK has to make it."""
        provider = self._provider
        if self._silent or not provider.lean:
            return None
        if parent is None or not parent.is_valid:
            parent = None
            identity = Identity(random.getrandbits(128) or 1, random.getrandbits(64) or 1, _RANDOM, None)
        else:
            flags = parent.trace_flags & _RANDOM
            identity = Identity(parent.trace_id, random.getrandbits(64) or 1, flags, parent.trace_state)
        if not provider.sampling.keeps(identity.trace_id, parent):
            return UnsampledSpan(identity)
        identity.trace_flags |= _SAMPLED
        return make(self._origin, name, identity, parent, kind, start_time)


def _identity(above: Any) -> SpanContext | Identity | None:
    """Return which span *above* is; None where it is none."""
    if above is None:
        return None
    own: Identity | None = getattr(above, "identity", None)
    if isinstance(own, Identity):  # the API's SpanContext of most of ours is never made
        return own
    return above.get_span_context() if isinstance(above, trace.Span) else None
