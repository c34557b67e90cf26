"""What a service waits for: its dependencies, as its own clients measure them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import SECONDS_BUCKETS
from quarterdeck_dashboards.dashboards import common, foreign, measures
from quarterdeck_dashboards.dashboards.description import Draw, Panel, Row, Unit
from quarterdeck_dashboards.promql import has

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.promql import Matcher

_BY_HTTP = frozenset({"service", "http"})
_BY_DB_API = frozenset({"postgresql", "mysql"})


def rows(service: Service) -> Iterator[Row]:
    """Yield a row for each kind of client that *service*'s dependencies need and that measures anything."""
    for kinds, metric, label in (
        (_BY_HTTP, foreign.HTTP_CLIENT_DURATION, foreign.SERVER_ADDRESS),
        (_BY_DB_API, foreign.DB_CLIENT_DURATION, foreign.DB_OPERATION),
    ):
        names = [each.name for each in service.dependencies if each.kind in kinds]
        if names:
            panels = _panels(metric, label, common.of_service(service))
            yield Row(f"What it waits for: {', '.join(names)}", tuple(panels))


def _panels(metric: Metric, label: Label, own: tuple[Matcher, ...]) -> Iterator[Panel]:
    by, name = [label], f"{{{label.name}}}"
    calls = measures.rate(metric, *own, by=by)
    failed = measures.rate(metric, *own, has(l_.ERROR_TYPE), by=by)
    yield Panel(
        "Calls",
        "Per second, as this service's client counts them.",
        Draw.LINES,
        Unit.PER_SECOND,
        (calls.query(name),),
    )
    yield Panel(
        "Failed calls",
        "Share of calls that ended in an error. It rises before this service's own failures: they are the other's.",
        Draw.LINES,
        Unit.SHARE,
        (measures.share(failed, calls).query(name),),
    )
    has_buckets = metric.buckets == SECONDS_BUCKETS
    took = measures.quantile(0.95, metric, *own, by=by) if has_buckets else measures.mean(metric, *own, by=by)
    yield Panel(
        f"Time taken, {'p95' if has_buckets else 'mean'}",
        "Of calls, the network included. It rises with this service's own: the time goes there.",
        Draw.LINES,
        Unit.SECONDS,
        (took.query(name),),
    )
