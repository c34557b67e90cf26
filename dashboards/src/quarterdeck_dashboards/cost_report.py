"""A prediction of costs as a table for people, and as a document for programs. Always with its assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.duration import format_duration

if TYPE_CHECKING:
    from quarterdeck_dashboards.cost import Cost, Prediction

_HEAD = ("service", "pods", "series", "recorded", "samples/s", "memory", "Datadog")


def table(prediction: Prediction) -> str:
    """Return a row for each service, and what was assumed."""
    rows = [_HEAD, *map(_row, (*prediction.services, prediction.others, prediction.total))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if first else cell.rjust(width)
            for cell, width, first in zip(row, widths, _FIRST, strict=True)
        )
        for row in rows
    ]
    own = f"{_megabytes(prediction.memory)}, and {_megabytes(prediction.rollout_memory)} after all pods were replaced"
    return "\n".join([*(line.rstrip() for line in lines), "", f"Prometheus in all: {own}.", *_assumed(prediction), ""])


_FIRST = (True, *(False for _ in _HEAD[1:]))


def _row(cost: Cost) -> tuple[str, ...]:
    numbers = (cost.pods, cost.series, cost.recorded, round(cost.samples))
    return (cost.name, *map(str, numbers), _megabytes(cost.memory), str(cost.datadog))


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB"


def _assumed(prediction: Prediction) -> list[str]:
    a = prediction.assumptions
    interval, percentiles = format_duration(a.scrape_interval), "kept" if a.percentiles else "not kept"
    return [
        f"Assumed: {a.statuses} status codes a route; {a.routes} routes where the catalogue says nothing;",
        f"{a.methods} methods; {a.values} values of each label of a service's own;",
        f"scraped and evaluated every {interval}; percentiles {percentiles} in Datadog.",
    ]


def document(prediction: Prediction) -> dict[str, Any]:
    """Return the prediction for programs: bytes, samples per second, numbers of series."""
    a = prediction.assumptions
    return {
        "services": [_entry(cost) for cost in prediction.services],
        "others": _entry(prediction.others),
        "total": _entry(prediction.total),
        "memory": prediction.memory,
        "memory_after_rollout": prediction.rollout_memory,
        "assumptions": {
            "scrape_interval": format_duration(a.scrape_interval),
            "statuses": a.statuses,
            "routes": a.routes,
            "methods": a.methods,
            "values": a.values,
            "percentiles": a.percentiles,
            "watches_itself": a.watches_itself,
        },
    }


def _entry(cost: Cost) -> dict[str, Any]:
    return {
        "name": cost.name,
        "pods": cost.pods,
        "scraped": cost.scraped,
        "recorded": cost.recorded,
        "series": cost.series,
        "samples_per_second": cost.samples,
        "memory": cost.memory,
        "datadog_custom_metrics": cost.datadog,
    }
