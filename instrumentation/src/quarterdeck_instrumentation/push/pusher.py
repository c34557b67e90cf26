"""When a worker's metrics are posted: every minute, and once more before it ends. From a thread of its own.

Each worker pushes its own, under a `service.instance.id` of its own, as OpenTelemetry has it: sums over instances are
then what the page shows, and an instance that has ended goes stale by itself. An id that is configured is not the
worker's alone, so the process id is added to it. What is cumulative says since when, so nothing of a worker is lost if
it reaches the collector once; what a dead collector missed comes with the next push, and nothing piles up meanwhile.
What a MeterProvider of the service's own measures is for that provider's readers to push, and is not pushed here.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.records import record
from quarterdeck_instrumentation import native
from quarterdeck_instrumentation.exposition.snapshot import Snapshot
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.spans import target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource

    from quarterdeck_instrumentation.spans.sender import Post

    Take = Callable[[], tuple[Snapshot, Mapping[int, Mapping[str, Any]]]]
    """Gives the values of this moment, and by number of a series its labels as they were, where they were not text."""

_INSTANCE = "service.instance.id"
_HTTP = "http/protobuf"
_IMPORTS = (*target.POSTING, "quarterdeck_instrumentation.push.encoding")
"""What the thread imports."""


@record(frozen=True, slots=True)
class Plan:
    """How metrics are pushed: OpenTelemetry's own variables, read once."""

    to: target.Target
    """Where to: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/metrics` added."""
    interval: float = 60.0
    """Seconds between two pushes: `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds there."""
    timeout: float = 10.0
    """Seconds a push may take: the least of `OTEL_METRIC_EXPORT_TIMEOUT` (milliseconds) and the target's own."""
    delta: bool = False
    """Whether counters and histograms are pushed as what changed since the last push:
    `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, `delta` or `lowmemory`; `cumulative` is the default."""


def plan(environ: Mapping[str, str]) -> Plan | None:
    """Read how metrics are pushed; None, which is said, if the protocol that is asked for is not spoken here.

    Raises:
        ValueError: the endpoint is no HTTP URL.
    """
    protocol = environ.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _HTTP
    if protocol.strip().lower() != _HTTP:
        failed("metrics", f"metrics are not pushed, because {_HTTP} was expected and the protocol is {protocol}")
        return None
    to = target.read(environ, "METRICS")
    preference = environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    if preference not in ("", "cumulative", "delta", "lowmemory"):
        expected = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: expected cumulative, delta or lowmemory"
        failed("settings", f"{expected}; found {preference}; cumulative is used")
    return Plan(
        to,
        target.milliseconds(environ, "OTEL_METRIC_EXPORT_INTERVAL", 60.0),
        min(to.timeout, target.milliseconds(environ, "OTEL_METRIC_EXPORT_TIMEOUT", 30.0)),
        preference in ("delta", "lowmemory"),
    )


def resource() -> Resource:
    """Return this worker's resource."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- 30 ms, only where metrics are pushed

    whole = Resource.create()
    given = _configured(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    instance = f"{given}-{os.getpid()}" if given else f"{os.getpid()}-{os.urandom(8).hex()}"
    return whole.merge(Resource({_INSTANCE: instance}))


def _configured(attributes: str) -> str:
    pairs = dict(pair.partition("=")[::2] for pair in attributes.split(","))
    return {name.strip(): value.strip() for name, value in pairs.items()}.get(_INSTANCE, "")


def make(environ: Mapping[str, str], take: Take) -> Pusher | None:
    """Return what pushes as *environ* says, begun; None if it cannot, which is said.

    Raises:
        ValueError: the endpoint is no HTTP URL.
    """
    planned = plan(environ)
    if planned is None:
        return None

    def connect() -> Post:
        from quarterdeck_instrumentation.spans.post import Poster  # noqa: PLC0415 -- 30 ms, spent in the thread

        return Poster(planned.to, native.sleep, "metrics")

    # Now, not at the first push: that may be the last one too, at an end that lets the SDK start no threads for it.
    pusher = Pusher(planned, take, connect, resource())
    pusher.start()
    return pusher


class Pusher:
    """The thread that pushes."""

    def __init__(
        self,
        planned: Plan,
        take: Take,
        connect: Callable[[], Post],
        whose: Resource,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Push as *planned*.

        Args:
            planned: how.
            take: gives what is pushed.
            connect: gives what posts; called in the thread.
            whose: who pushes.
            clock: the monotonic clock.
        """
        self._clock = clock
        self._plan = planned
        self._take = take
        self._connect = connect
        self._resource = whose
        self._post: Post | None = None
        self._sent = (Snapshot(), 0.0) if planned.delta else None
        self._bell = native.Bell()
        self._done = native.Bell()
        self._deadline: float | None = None
        """Until when everything is pushed; None before a flush."""
        self._answers = False
        """Whether the collector took what was pushed last, since a flush was begun."""
        self._gave_up = False

    def start(self) -> None:
        """Start the thread."""
        native.start_thread(self._run, "quarterdeck-metrics", _IMPORTS)

    def begin_flush(self, seconds: float) -> None:
        """Have everything pushed now, within *seconds*; returns at once.

        Begun a second time it is pushed again, for which a collector that has not taken the first gets no more time.
        """
        if self._gave_up:
            return
        now = self._clock()
        deadline = now + seconds
        if self._deadline is not None and not self._answers:
            deadline = min(deadline, self._deadline)
        if deadline < now:
            return
        self._deadline, self._answers = deadline, False
        self._done = native.Bell()
        self._bell.ring()

    def finish_flush(self) -> None:
        """Wait until that is done, or its time is over; if the collector has not taken it, no other flush is tried."""
        if self._deadline is None or self._gave_up:
            return
        done = self._done.wait(self._deadline - self._clock())
        self._gave_up = not self._answers
        if not done:
            failed("metrics", "the last metrics could not be sent in time")

    def push(self, deadline: float) -> None:
        """Push once, by *deadline*, a time of the monotonic clock; never raises."""
        from quarterdeck_instrumentation.push.encoding import requests  # noqa: PLC0415 -- brings 20 ms, in the thread
        from quarterdeck_instrumentation.spans.sender import UndeliveredError  # noqa: PLC0415 -- likewise

        try:
            if self._post is None:
                self._post = self._connect()
            now, attributes = self._take()
            when = time.time()
            for body in requests(self._resource, now, when, attributes, self._sent):
                self._post(body, deadline)
        except UndeliveredError as why:
            failed("metrics", str(why))
        except Exception as error:  # noqa: BLE001 -- ours: the thread must live on
            failed("metrics", "metrics could not be pushed", error)
        else:
            self._answers = True
            if self._plan.delta:
                self._sent = (now, when)

    def _run(self) -> None:
        due = self._clock() + self._plan.interval
        while True:
            asked = self._bell.wait(due - self._clock())
            limit = self._clock() + self._plan.timeout
            if not asked and self._clock() < due:
                continue
            due = self._clock() + self._plan.interval
            done = self._done
            self.push(limit if self._deadline is None else min(limit, self._deadline))
            if asked:
                done.ring()
