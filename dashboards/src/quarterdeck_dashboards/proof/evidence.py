"""What each alert is proved by: the series that show its fault, in good order, just short of it, and broken.

Written beside the rules and not derived from them, so that a threshold, a unit or a label that is wrong there is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_dashboards.series import only

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_contract.metrics import Metric


@dataclass(frozen=True, slots=True)
class Signal:
    """One series: values of a gauge, or growths per minute of a counter."""

    name: str
    ok: float
    bad: float
    below: float | None = None
    """As bad as can be without the alert; None when there is nothing between good and bad."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Beside those of its target."""
    is_counter: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one alert is proved by. Times are in minutes."""

    signals: tuple[Signal, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the alert has from its condition, beside the cluster."""
    breaks: int = 10
    """When things go wrong."""
    takes: int = 0
    """Until the condition holds, for those that look back."""
    holds: int = 0
    """For how long the condition may still hold when all is well again."""
    comes_up: bool = False
    """Whether just below has to be come up to from good order, to be as bad as it can be."""

    @property
    def has_edge(self) -> bool:
        """Whether there is something between good and bad."""
        return any(signal.below is not None for signal in self.signals)


RATE = 5
"""For how long what is grown in a rate's window is seen."""


def _gauge(metric: Metric, ok: float, bad: float, below: float, /, **labels: str) -> Signal:
    return Signal(only(metric).name, ok, bad, below, labels)


def grows(name: str, labels: Mapping[str, str] | None = None) -> Signal:
    """Return a counter that stands still in good order."""
    return Signal(name, 0, 1, labels=labels or {}, is_counter=True)


def _of_service(*signals: Signal, takes: int = 0, holds: int = 0, **labels: str) -> Evidence:
    return Evidence(signals, labels, takes=takes, holds=holds)


OF_SERVICE: Mapping[str, Evidence] = {
    "WorkersSaturated": _of_service(
        _gauge(metrics.WORKER_BUSY, 1, 37, 36, pool="requests"),
        _gauge(metrics.WORKER_CAPACITY, 40, 40, 40, pool="requests"),
        pool="requests",
    ),
    "EventLoopStalled": _of_service(_gauge(metrics.EVENT_LOOP_STALL, 0, 2.5, 2), pod="checkout-0"),
    "EventLoopBusy": _of_service(
        Signal(only(metrics.EVENT_LOOP_CPU_TIME).name, 60, 120, 107, is_counter=True),
        _gauge(metrics.WORKERS, 2, 2, 2),
        takes=3,
        holds=RATE,
    ),
    "ListenQueueFilling": _of_service(
        _gauge(metrics.LISTEN_QUEUE_LENGTH, 0, 65, 64),
        _gauge(metrics.LISTEN_QUEUE_LIMIT, 128, 128, 128),
        pod="checkout-0",
    ),
    "OpenFilesNearLimit": _of_service(_gauge(metrics.PROCESS_OPEN_FILES_UTILIZATION, 0.1, 0.81, 0.8), pod="checkout-0"),
    "TelemetryOverflow": _of_service(
        _gauge(metrics.LABEL_SETS, 20, 2000, 1999, metric="orders.paid"),
        _gauge(metrics.LABEL_SETS_LIMIT, 2000, 2000, 2000),
        metric="orders.paid",
    ),
    "InstrumentationFailing": _of_service(
        grows(only(metrics.FAILURES).name, {"component": "hooks"}), holds=60, component="hooks"
    ),
    "TelemetryNotSent": _of_service(
        grows(only(metrics.FAILURES).name, {"component": "traces"}), holds=RATE, component="traces"
    ),
}
"""Of a service's alerts; each of its series has the labels of a pod."""


def queue_of_service(name: str) -> Evidence:
    """Return what the alert on a queue is proved by whose length is the series *name* of a service."""
    return Evidence((Signal(name, 100, 201, 200),), breaks=80, takes=14, comes_up=True)
