"""Every metric that a service under Quarterdeck's instrumentation emits: the contract itself.

A metric is stated once, here, under its OpenTelemetry name. Its Prometheus name is derived by
`quarterdeck_contract.naming`, per path. What is emitted and what is stated are compared in
`tests/contract`, both ways.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_

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


@dataclass(frozen=True, slots=True)
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
    (l_.HTTP_METHOD, l_.HTTP_ROUTE, l_.HTTP_STATUS_CODE, l_.ERROR_TYPE, l_.URL_SCHEME),
    SECONDS_BUCKETS,
)

HTTP_SERVER_ACTIVE = Metric(
    "http.server.active_requests",
    "{request}",
    Kind.UP_DOWN_COUNTER,
    "Requests being served at this moment, over all workers.",
    (l_.HTTP_METHOD, l_.URL_SCHEME),
)

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

ALL: tuple[Metric, ...] = (
    HTTP_SERVER_DURATION,
    HTTP_SERVER_ACTIVE,
    BUILD_INFO,
    WORKERS,
    FAILURES,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_START_TIME,
)
"""The whole contract, in the order of the reference."""
