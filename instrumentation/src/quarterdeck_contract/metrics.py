"""Every metric that a service under Quarterdeck's instrumentation emits: the contract itself.

A metric is stated once, here, under its OpenTelemetry name. Its Prometheus name is derived by
`quarterdeck_contract.naming`, per path. What is emitted and what is stated are compared in
`tests/contract`, both ways.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.records import record

if TYPE_CHECKING:
    from quarterdeck_contract.labels import Label


class Kind(enum.Enum):
    """Instrument kinds, by what may be asked of them."""

    COUNTER = "counter"
    """Monotonic sum: ask for its rate or increase."""
    UP_DOWN_COUNTER = "updowncounter"
    """Sum that goes both ways: a gauge in Prometheus, additive over processes."""
    GAUGE = "gauge"
    """A current value: never a rate. Over several processes, the greatest."""
    HISTOGRAM = "histogram"
    """Distribution over explicit buckets: `_bucket`, `_sum`, `_count`."""


@record(frozen=True, slots=True)
class Metric:
    """One instrument: OpenTelemetry name, UCUM unit, kind, labels and, for a histogram, bucket bounds."""

    name: str
    unit: str
    kind: Kind
    description: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds in `unit`, ascending, without +Inf. Empty unless `kind` is HISTOGRAM."""


SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Request duration bounds, in seconds: the semantic conventions' advice for HTTP durations."""

HTTP_SERVER_DURATION = Metric(
    "http.server.request.duration",
    "s",
    Kind.HISTOGRAM,
    "Time from the first request byte to the last response byte.",
    (l_.HTTP_METHOD, l_.HTTP_ROUTE, l_.HTTP_STATUS_CODE, l_.ERROR_TYPE, l_.URL_SCHEME, l_.MODULE),
    SECONDS_BUCKETS,
)

HTTP_SERVER_ACTIVE = Metric(
    "http.server.active_requests",
    "{request}",
    Kind.UP_DOWN_COUNTER,
    "Requests being served at this moment, over all workers.",
    (l_.HTTP_METHOD, l_.URL_SCHEME),
)

RPC_SERVER_DURATION = Metric(
    "rpc.server.call.duration",
    "s",
    Kind.HISTOGRAM,
    "Time from the arrival of a remote procedure call to its end; of a stream, to that of the stream.",
    (l_.RPC_SYSTEM, l_.RPC_METHOD, l_.RPC_STATUS_CODE, l_.ERROR_TYPE, l_.MODULE),
    SECONDS_BUCKETS,
)
"""By the conventions' name and unit since their version 1.38, stable since 1.45
(https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/). Before, it was `rpc.server.duration`, in milliseconds,
and the service was a label of its own; it is part of the method now. Only servers of gRPC have it."""

BUILD_INFO = Metric(
    "quarterdeck.build.info",
    "",
    Kind.GAUGE,
    "Always 1; says which contract this service speaks.",
    (l_.CONTRACT_VERSION,),
)

WORKERS = Metric(
    "quarterdeck.workers",
    "{process}",
    Kind.UP_DOWN_COUNTER,
    "Worker processes behind this page at this moment.",
)

FAILURES = Metric(
    "quarterdeck.instrumentation.failures",
    "{failure}",
    Kind.COUNTER,
    "What the instrumentation could not do; the service itself went on.",
    (l_.FAILED_COMPONENT,),
)

PROCESS_CPU_TIME = Metric(
    "process.cpu.time",
    "s",
    Kind.COUNTER,
    "CPU time, user and system, of all workers, those that have ended included.",
)

PROCESS_MEMORY_USAGE = Metric(
    "process.memory.usage",
    "By",
    Kind.UP_DOWN_COUNTER,
    "Resident memory of the workers that live; pages they share are counted in each.",
)

PROCESS_START_TIME = Metric(
    "process.start.time",
    "s",
    Kind.GAUGE,
    "Unix time at which the youngest living worker started: it moves when a worker is replaced.",
)

PROCESS_THREADS = Metric(
    "process.thread.count",
    "{thread}",
    Kind.UP_DOWN_COUNTER,
    "Threads of the workers that live, those that Python does not know included.",
)

PROCESS_OPEN_FILES = Metric(
    "process.unix.file_descriptor.count",
    "{file_descriptor}",
    Kind.UP_DOWN_COUNTER,
    "File descriptors that the living workers have open.",
)

PROCESS_OPEN_FILES_UTILIZATION = Metric(
    "process.unix.file_descriptor.utilization",
    "1",
    Kind.GAUGE,
    "Open file descriptors as a share of the limit, in the worker that is nearest to it; 0 where there is no limit.",
)

PROCESS_CONTEXT_SWITCHES = Metric(
    "process.context_switches",
    "{context_switch}",
    Kind.COUNTER,
    "How often the workers gave up a processor, to wait, or had it taken from them, for want of processors.",
    (l_.CONTEXT_SWITCH_TYPE,),
)

GC_DURATION = Metric(
    "cpython.gc.duration",
    "s",
    Kind.HISTOGRAM,
    "Time that a garbage collection stopped its worker for.",
    (l_.GC_GENERATION,),
    (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0),
)

GC_COLLECTIONS = Metric(
    "cpython.gc.collections",
    "{collection}",
    Kind.COUNTER,
    "Garbage collections, since telemetry began in each worker.",
    (l_.GC_GENERATION,),
)

GC_COLLECTED = Metric(
    "cpython.gc.collected_objects",
    "{object}",
    Kind.COUNTER,
    "Objects that garbage collections freed, since telemetry began in each worker.",
    (l_.GC_GENERATION,),
)

GC_UNCOLLECTABLE = Metric(
    "cpython.gc.uncollectable_objects",
    "{object}",
    Kind.COUNTER,
    "Objects that garbage collections could not free, since telemetry began in each worker.",
    (l_.GC_GENERATION,),
)

EVENT_LOOP_LAG = Metric(
    "quarterdeck.event_loop.lag",
    "s",
    Kind.HISTOGRAM,
    "Time that an event waits until its worker's event loop comes to it: sampled, at most five times a second and "
    "worker. Without an event loop there are no samples.",
    (),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

EVENT_LOOP_STALL = Metric(
    "quarterdeck.event_loop.stall",
    "s",
    Kind.GAUGE,
    "How long the event loop that is slowest to answer has not answered, at this moment; 0 when all have.",
)

EVENT_LOOP_CPU_TIME = Metric(
    "quarterdeck.event_loop.cpu.time",
    "s",
    Kind.COUNTER,
    "CPU time of the threads that run event loops. Its rate over the number of workers is how busy the loops are: "
    "at 1 they can do no more.",
)

WORKER_BUSY = Metric(
    "quarterdeck.worker.busy",
    "{slot}",
    Kind.UP_DOWN_COUNTER,
    "Slots that are taken at this moment, over all workers; each serves one thing at a time.",
    (l_.POOL,),
)

WORKER_CAPACITY = Metric(
    "quarterdeck.worker.capacity",
    "{slot}",
    Kind.UP_DOWN_COUNTER,
    "Slots there are, over all workers. When all are taken, what comes next waits, or is refused.",
    (l_.POOL,),
)

LISTEN_QUEUE_LENGTH = Metric(
    "quarterdeck.listen_queue.length",
    "{connection}",
    Kind.GAUGE,
    "Connections that wait to be accepted by a worker, in the fullest queue of the service's TCP sockets.",
)

LISTEN_QUEUE_LIMIT = Metric(
    "quarterdeck.listen_queue.limit",
    "{connection}",
    Kind.GAUGE,
    "Connections that may wait in that queue; more are refused, or tried again by their clients a second later.",
)

LOG_RECORDS = Metric(
    "quarterdeck.log.records",
    "{log_record}",
    Kind.COUNTER,
    "What was logged through Python's `logging`, from warnings on, and reached handlers; not what telemetry logs.",
    (l_.LOG_SEVERITY,),
)
"""Ours: the conventions' `otel.sdk.log.created` counts what is given to an SDK, by no severity, and what a service logs
need not be. Micrometer has `logback.events` by `level`."""

LABEL_SETS = Metric(
    "quarterdeck.metric.label_sets",
    "{label_set}",
    Kind.GAUGE,
    "Label sets of a metric that has several, in the worker that has most. At the limit all further ones share one "
    "series, and a log line names the label that has most values.",
    (l_.METRIC,),
)

LABEL_SETS_LIMIT = Metric(
    "quarterdeck.metric.label_sets.limit",
    "{label_set}",
    Kind.GAUGE,
    "Label sets that a metric may have in each worker.",
)

ALL: tuple[Metric, ...] = (
    HTTP_SERVER_DURATION,
    HTTP_SERVER_ACTIVE,
    RPC_SERVER_DURATION,
    BUILD_INFO,
    WORKERS,
    FAILURES,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_START_TIME,
    PROCESS_THREADS,
    PROCESS_OPEN_FILES,
    PROCESS_OPEN_FILES_UTILIZATION,
    PROCESS_CONTEXT_SWITCHES,
    GC_DURATION,
    GC_COLLECTIONS,
    GC_COLLECTED,
    GC_UNCOLLECTABLE,
    EVENT_LOOP_LAG,
    EVENT_LOOP_STALL,
    EVENT_LOOP_CPU_TIME,
    WORKER_BUSY,
    WORKER_CAPACITY,
    LISTEN_QUEUE_LENGTH,
    LISTEN_QUEUE_LIMIT,
    LOG_RECORDS,
    LABEL_SETS,
    LABEL_SETS_LIMIT,
)
"""The whole contract, in the order of the reference."""
