"""A service that nobody sends requests to: is its work done, what waits for it, what does it use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.metrics import Kind
from quarterdeck_dashboards.dashboards import clients, common, foreign, measures, outside, promises, service
from quarterdeck_dashboards.dashboards.description import COLUMNS, Dashboard, Draw, Panel, Row, Unit
from quarterdeck_dashboards.dashboards.outside import CELERY, RABBITMQ
from quarterdeck_dashboards.uid import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.promql import Matcher

_UNITS = {"s": Unit.SECONDS, "By": Unit.BYTES, "1": Unit.SHARE}
"""What a service's own metric is in; anything else is counted."""
_IN_A_ROW = 3


def of(catalogue: Catalogue) -> tuple[Dashboard, ...]:
    """Return a dashboard for each service that serves no requests."""
    return tuple(_of(catalogue, each) for each in catalogue.services if each.framework in service.WITHOUT_REQUESTS)


def _of(catalogue: Catalogue, worker: Service) -> Dashboard:
    own = common.of_service(worker)
    return Dashboard(
        service.uid(worker),
        f"Worker: {worker.name}",
        f"{worker.name} in {worker.namespace}, of {worker.owner}, tier {worker.tier}. Read it from the top: is its "
        "work done, what waits, whom does it wait for, what does it use.",
        (
            *promises.rows(worker),
            *_rows("What it does", [*_tasks(worker, own), *_measured(worker, own)]),
            *_rows("What waits", list(_queues(worker))),
            *clients.rows(worker),
            Row("What runs", (common.processes(*own), common.threads(*own), common.versions(*own))),
            Row("What it uses", tuple(panel(*own) for panel in (common.cpu, common.memory, common.open_files))),
        ),
        tags=(TAG, "worker", worker.owner),
        variables=(common.CLUSTER,),
        annotations=common.marks(worker),
        links=common.links(catalogue, worker),
    )


def _rows(title: str, panels: list[Panel]) -> Iterator[Row]:
    """Yield rows of at most three, each over the whole width."""
    for first in range(0, len(panels), _IN_A_ROW):
        some = panels[first : first + _IN_A_ROW]
        yield Row(f"{title}, further" if first else title, tuple(panel.wide(COLUMNS // len(some)) for panel in some))


def _tasks(worker: Service, own: tuple[Matcher, ...]) -> Iterator[Panel]:
    if worker.framework != "celery":
        return
    by = [foreign.TASK]
    yield Panel(
        "Tasks done",
        "Per second, by task. None, while some wait: the workers hang, or are not there.",
        Draw.LINES,
        Unit.PER_SECOND,
        (measures.rate(foreign.CELERY_TASK_RUNTIME, *own, by=by).query("{task}"),),
    )
    yield Panel(
        "Time taken by task, mean",
        "One task alone: its code or what it calls. All: see what is full.",
        Draw.LINES,
        Unit.SECONDS,
        (measures.mean(foreign.CELERY_TASK_RUNTIME, *own, by=by).query("{task}"),),
    )


def _measured(worker: Service, own: tuple[Matcher, ...]) -> Iterator[Panel]:
    """Yield a panel for each metric of the service's own."""
    for metric in (each.stated() for each in worker.metrics):
        said = metric.description.rstrip(".") or "Measured by the service itself"
        title = metric.name if len(metric.name) <= common.LONGEST_TITLE else f"{metric.name[:39]}…"
        measure, unit, what = _of_metric(metric, own)
        yield Panel(title, f"{said}. {what}", Draw.LINES, unit, (measure.query(metric.name),), minimum=None)


def _of_metric(metric: Metric, own: tuple[Matcher, ...]) -> tuple[measures.Measure, Unit, str]:
    unit = _UNITS.get(metric.unit, Unit.COUNT)
    if metric.kind is Kind.COUNTER:
        return measures.rate(metric, *own), Unit.PER_SECOND, "Per second."
    if metric.kind is Kind.HISTOGRAM:
        return measures.quantile(0.95, metric, *own), unit, "p95."
    return measures.greatest(metric, *own), unit, "The largest of all pods."


def _queues(worker: Service) -> Iterator[Panel]:
    if worker.framework == "celery":
        yield _waiting(outside.total(CELERY, "celery_queue_length", by=[outside.QUEUE_NAME]), "{queue_name}")
        workers = outside.total(CELERY, "celery_active_worker_count", by=[outside.QUEUE_NAME])
        yield _consumers(workers, "{queue_name}")
    elif any(each.kind == "rabbitmq" for each in worker.dependencies):
        yield _waiting(outside.total(RABBITMQ, "rabbitmq_queue_messages_ready", by=[outside.QUEUE]), "{queue}")
        yield _consumers(outside.total(RABBITMQ, "rabbitmq_queue_consumers", by=[outside.QUEUE]), "{queue}")


def _waiting(measure: measures.Measure, name: str) -> Panel:
    return Panel(
        "Waiting in queues",
        "All queues of the broker. A line that only climbs: workers are too few, too slow, or gone.",
        Draw.LINES,
        Unit.COUNT,
        (measure.query(name),),
    )


def _consumers(measure: measures.Measure, name: str) -> Panel:
    return Panel(
        "Consumers of queues",
        "0: nobody takes anything from this queue.",
        Draw.LINES,
        Unit.COUNT,
        (measure.query(name),),
    )
