"""The contract as JSON, to be committed and compared: what was emitted when this was written.

A lock has what queries depend on: names, kinds, units, labels, values of closed sets, bucket bounds. Descriptions may
change without a word.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quarterdeck_contract import VERSION, metrics
from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def text(stated: Iterable[Metric] = metrics.ALL) -> str:
    """Return the lock of the contract, or of other *stated* metrics."""
    entries = [
        {
            "name": metric.name,
            "kind": metric.kind.value,
            "unit": metric.unit,
            "labels": {label.name: list(label.values) for label in metric.labels},
            "buckets": list(metric.buckets),
        }
        for metric in stated
    ]
    return json.dumps({"version": VERSION, "metrics": entries}, indent=2) + "\n"


def parse(text: str, origin: str) -> dict[str, Metric]:
    """Return the metrics of a lock, by name.

    Raises:
        UsageError: it is none.
    """
    try:
        document = json.loads(text)
        return {metric.name: metric for metric in map(_metric, document["metrics"])}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{origin} to be a lock of the contract",
            f"{type(error).__name__}: {error}",
            "write one with `quarterdeck contract lock`, or take docs/reference/contract.json of another revision",
        ) from error


def _metric(entry: Mapping[str, Any]) -> Metric:
    labels = tuple(Label(name, "", tuple(values)) for name, values in entry["labels"].items())
    buckets = tuple(float(bound) for bound in entry["buckets"])
    return Metric(entry["name"], entry["unit"], Kind(entry["kind"]), "", labels, buckets)
