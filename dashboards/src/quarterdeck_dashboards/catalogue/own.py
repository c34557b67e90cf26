"""A service's own metrics, declared as the contract declares its: so that what asks for them can be checked."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from quarterdeck_contract import metrics as contract
from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_dashboards.catalogue.fields import LABEL_PATTERN, METRIC_PATTERN, Model
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.catalogue.validators import wrong

if TYPE_CHECKING:
    from collections.abc import Iterable


class OwnMetric(Model):
    """One instrument of a service's own, by its OpenTelemetry name."""

    name: Annotated[str, Field(pattern=METRIC_PATTERN)]
    """As the service calls it; its Prometheus name is derived as the contract's are."""
    kind: Kind
    """`counter`, `updowncounter`, `gauge` or `histogram`."""
    unit: str = ""
    """UCUM unit: `s`, `By`, `{job}`; empty for none."""
    description: str = ""
    """What it says, for panels."""
    labels: tuple[Annotated[str, Field(pattern=LABEL_PATTERN)], ...] = ()
    """Its attributes."""
    buckets: tuple[float, ...] = Field(default=(), validate_default=True)
    """Upper bounds of a histogram, in its unit, ascending, without +Inf."""

    @field_validator("name")
    @classmethod
    def _is_not_the_contracts(cls, value: str) -> str:
        if any(metric.name == value for metric in contract.ALL):
            raise wrong("a name that the contract does not have", f"the contract's own {value!r}")
        return value

    @field_validator("buckets")
    @classmethod
    def _are_a_histograms(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        kind = info.data.get("kind")
        if kind is Kind.HISTOGRAM and not value:
            raise wrong("the buckets of the histogram", "none")
        if kind is not None and kind is not Kind.HISTOGRAM and value:
            raise wrong(f"no buckets for a {kind.value}", "a list")
        if any(low >= high for low, high in pairwise(value)):
            raise wrong("bucket bounds that ascend", ", ".join(f"{bound:g}" for bound in value))
        return value

    def stated(self) -> Metric:
        """Return it as the contract would state it."""
        labels = tuple(Label(name, "") for name in self.labels)
        return Metric(self.name, self.unit, self.kind, self.description, labels, self.buckets)


def known_metrics(own: Iterable[OwnMetric]) -> dict[str, Metric]:
    """Return the contract's metrics, and those that a service has of its *own*, by name."""
    return {metric.name: metric for metric in (*contract.ALL, *(each.stated() for each in own))}


_KINDS = {
    SloKind.FRESHNESS: (Kind.GAUGE, Kind.UP_DOWN_COUNTER),
    SloKind.THROUGHPUT: (Kind.COUNTER,),
    SloKind.QUEUE_WAIT: (Kind.HISTOGRAM,),
}
"""What a kind of objective can be measured by."""


def measured(kind: SloKind, name: str, own: tuple[OwnMetric, ...], at: tuple[Any, ...]) -> Metric:
    """Return the metric *name*, of the contract or of a service's *own*, if an SLO of *kind* can be measured by it.

    Raises:
        PydanticCustomError: it is not known, or of another kind.
    """
    known = known_metrics(own)
    metric = known.get(name)
    if metric is None:
        raise wrong("a metric of the contract or of the service's metrics", repr(name), at=at, word=name, words=known)
    wanted = _KINDS[kind]
    if metric.kind not in wanted:
        words = " or ".join(each.value for each in wanted)
        raise wrong(f"a {words} for an SLO of the kind {kind.value}", f"the {metric.kind.value} {name}", at=at)
    return metric
