"""`prometheus_client`'s default registry on the page: what a service measures with it, added up over all workers.

The registry is collected, as for a page of its own, when something in it has changed, and before a page is made. The
alternative is a value class of ours for each number (`prometheus_client.values.ValueClass`, which the library's
multi-process mode replaces). It would not know which registry a metric is in; it sees neither `Info`, `Enum`, functions
of gauges and custom collectors nor what was made before it was put in place; and the service's own page would show
values that are kept by us. All it would save is copying numbers, in another thread, a few times a second while they
change.

So the value class stays what it is, but its methods also say that something has changed: nothing is collected while
nothing happens. Custom collectors, and what has no value class, are collected every few seconds. Under
`PROMETHEUS_MULTIPROC_DIR` values are this process's own as well, and are read in the same way.

A forked child's counters, histograms and summaries begin at zero, on its own page too, as they do in the library's
multi-process mode: what the parent counted is on our page already. `multiprocess_mode` says how several workers'
gauges become one. Its default, `all`, puts a label `pid` on each worker's, and is `liveall` here: a series for each
worker there ever was would grow with every restart. Of gauges of custom collectors the greatest is shown.

The library's own collectors, of the process, the interpreter and its garbage, are left out: ours say the same over all
workers, and the library's multi-process mode leaves them out as well.
"""

from __future__ import annotations

import os
import sys
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.meters.families import take
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.readings import Readings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from quarterdeck_instrumentation.registry import Registry

_REGISTRY = "prometheus_client.registry"
_STANDARD = frozenset(f"prometheus_client.{name}_collector" for name in ("process", "platform", "gc"))
"""Modules of the library's own collectors."""
_COUNTS = frozenset(("counter", "histogram", "summary"))
"""Types that can begin at zero."""


def patch_values(module: ModuleType) -> None:
    """Have the default registry read, and values say that they have changed."""
    metrics = Metrics()
    value_class = module.ValueClass
    value_class.inc = _telling(value_class.inc, metrics)
    value_class.set = _telling(value_class.set, metrics)
    home.add(metrics)
    home.add(Collectors())
    os.register_at_fork(after_in_child=metrics.forked)


def _telling(change: Callable[..., None], metrics: Metrics) -> Callable[..., None]:
    @wraps(change)
    def changing(self: Any, *arguments: Any, **options: Any) -> None:
        change(self, *arguments, **options)
        if not metrics.changed:
            metrics.changed = True
            home.wake()

    return changing


class Metrics:
    """The registry's own metrics: counters, gauges, histograms, summaries, infos, enums."""

    spacing = 0.25

    def __init__(self) -> None:
        self.changed = True
        """Whether a value has changed since the last reading began."""
        self._readings = Readings()
        self._before: dict[tuple[str, ...], tuple[float, float]] = {}
        self._set: dict[tuple[str, ...], tuple[float, float]] = {}
        """By series, in the last reading and in this one: its value, and when it was first read."""

    def read(self, registry: Registry) -> None:
        """Bring the page up to date; one that cannot be read keeps no other from being."""
        self.changed = False
        self._before, self._set = self._set, {}
        with self._readings.of(registry) as reading:
            for metric in filter(_is_metric, _registered()):
                try:
                    for family in metric.collect():
                        take(reading, family, getattr(metric, "_multiprocess_mode", ""), self._set_at)
                except Exception as error:  # noqa: BLE001 -- a gauge's function is the service's, and may raise anything
                    failed("metrics", f"{metric!r} cannot be shown on the page", error)

    def forked(self) -> None:
        """Begin at zero, in a forked child: what changed in its parent is no news of its own."""
        self.changed = False
        begin_at_zero()

    def _set_at(self, series: tuple[str, ...], value: float) -> float:
        known = self._before.get(series)
        if known is None or known[0] != value:
            known = (value, time.time())
        self._set[series] = known
        return known[1]


class Collectors:
    """Collectors that the service has written itself."""

    spacing = 0.0

    def __init__(self) -> None:
        self._readings = Readings()

    def read(self, registry: Registry) -> None:
        """Bring the page up to date; a collector that raises has no series this time."""
        with self._readings.of(registry) as reading:
            for collector in _registered():
                if _is_metric(collector) or type(collector).__module__ in _STANDARD:
                    continue
                try:
                    for family in collector.collect():
                        take(reading, family, "", lambda _series, _value: time.time())
                except Exception as error:  # noqa: BLE001 -- the service's own, which may raise anything
                    failed("metrics", f"the collector {type(collector).__qualname__} failed", error)


def _registered() -> list[Any]:
    """Return what the default registry has; there is no public way to ask."""
    registry = getattr(sys.modules.get(_REGISTRY), "REGISTRY", None)
    return list(getattr(registry, "_collector_to_names", ()))


def _is_metric(collector: Any) -> bool:
    return hasattr(collector, "_metric_init")


def begin_at_zero() -> None:
    """Have all that the default registry counts begin at zero: in a forked child, and in a test of its own."""
    for metric in filter(_is_metric, _registered()):
        if metric._type not in _COUNTS:  # noqa: SLF001 -- there is no public way to ask, here and below
            continue
        try:
            for child in list(metric._metrics.values()) if metric._is_parent() else [metric]:  # noqa: SLF001 -- likewise
                child._metric_init()  # noqa: SLF001 -- likewise
        except Exception as error:  # noqa: BLE001 -- the child must live
            failed("metrics", f"{metric!r} counts on from where it was", error)
