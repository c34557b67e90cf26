"""Which traces show what was counted: a request that failed or was slow, as one would look it up. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_scripts.ports import Exemplar

_MOST = 100
"""Traces that are named; more than anybody opens."""


def lines(exemplars: Iterable[Exemplar]) -> Iterator[str]:
    """Yield a line for each trace once: failed requests first, then the slowest."""
    found = {exemplar.trace_id: exemplar for exemplar in exemplars}.values()
    for exemplar in sorted(found, key=lambda each: (not _failed(each), -each.value, each.trace_id))[:_MOST]:
        said = exemplar.labels
        at = datetime.fromtimestamp(exemplar.at, UTC).isoformat(timespec="milliseconds")
        what = [said.get(label.prometheus, "-") for label in (labels.HTTP_METHOD, labels.HTTP_ROUTE)]
        answer = f"{_status(exemplar)} after {exemplar.value:.3f} s"
        pod = said.get(labels.POD.prometheus, "-")
        yield f"{exemplar.trace_id}  {' '.join(what)}: {answer}, pod {pod}, {at}"


def _failed(exemplar: Exemplar) -> bool:
    return _status(exemplar).startswith("5")


def _status(exemplar: Exemplar) -> str:
    return exemplar.labels.get(labels.HTTP_STATUS_CODE.prometheus, "no status")
