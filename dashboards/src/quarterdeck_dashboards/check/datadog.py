"""A Datadog query against the contract: metrics and tags by their OpenTelemetry names, and what may be asked of each.

Of the metrics of Datadog's own integrations nothing is known here, and nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import TARGET_LABELS, TRACK
from quarterdeck_contract.metrics import Kind
from quarterdeck_contract.naming import series_names
from quarterdeck_dashboards.catalogue.problem import one_of
from quarterdeck_dashboards.check import arithmetic
from quarterdeck_dashboards.check.datadog_syntax import Call, DatadogSyntaxError, Name, Number, Operation, Query, parse
from quarterdeck_dashboards.check.shape import PLACEHOLDER, Fault, Shape, like
from quarterdeck_dashboards.check.tree import matching, short
from quarterdeck_dashboards.dashboards.datadog_query import TAGS
from quarterdeck_dashboards.units import NONE, SECONDS, UNKNOWN, Unit, Values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.check.datadog_syntax import Condition, Expression

NAMESPACES = (
    *("agent", "aws", "azure", "container", "containerd", "datadog", "docker", "gcp", "kubernetes", "kubernetes_state"),
    *("kubelet", "mongodb", "mysql", "nginx", "otelcol", "postgresql", "process_stat", "rabbitmq", "redis", "runtime"),
    *("system", "trace", "synthetics", "celery", "kafka"),
)
"""First words of the metrics of Datadog's agent and integrations: the external list."""

HOST_TAGS = frozenset(
    {
        *(
            "env",
            "service",
            "version",
            "host",
            "team",
            "cluster_name",
            "kube_cluster_name",
            "kube_namespace",
            "pod_name",
        ),
        *("kube_deployment", "kube_service", "kube_node", "kube_container_name", "container_name", "container_id"),
        *("image_name", "image_tag", "short_image", "region", "availability-zone", "instance-type", "cloud_provider"),
    }
)
"""Tags that the agent adds: unified service tagging and its Kubernetes integration
(https://docs.datadoghq.com/containers/kubernetes/tag/)."""

_PLAIN = ("avg", "max", "min", "sum")
_AGGREGATIONS = {Kind.HISTOGRAM: (*_PLAIN, "count", "histogram")}
"""What else than percentiles may be asked of a kind."""
_RATES = {"as_rate", "as_count"}
_METHODS = ("as_count", "as_rate", "fill", "rollup", "weighted")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What Datadog is sent."""

    metrics: Mapping[str, Metric] = field(default_factory=lambda: {metric.name: metric for metric in metrics.ALL})
    """By OpenTelemetry name."""
    tags: Collection[str] = HOST_TAGS
    """Tags that any metric can have."""


def examine(query: str, knowledge: Knowledge, names: Collection[str] = ()) -> list[Fault]:
    """Return everything wrong with a query, a formula over *names*, or a monitor's query."""
    try:
        tree = parse(query)
        walk = _Walk(knowledge, names)
        walk.shape(tree)
    except DatadogSyntaxError as error:
        return [Fault(short(query), f"a Datadog query: {error.expected}", error.found)]
    except RecursionError:
        return [Fault(short(query), "a Datadog query", "too many levels of nesting")]
    return walk.faults


@dataclass
class _Walk:
    knowledge: Knowledge
    names: Collection[str]
    faults: list[Fault] = field(default_factory=list)

    def shape(self, node: Expression) -> Shape:
        """Check *node* and everything below it."""
        match node:
            case Query():
                return Shape(values=self._query(node))
            case Number():
                return Shape(is_scalar=True, number=node.value)
            case Name():
                self._name(node)
                return Shape()
            case Call():
                shapes = [self.shape(each) for each in node.arguments]
                return Shape(values=shapes[0].values if shapes and node.name in _KEEPING else UNKNOWN)
            case Operation():
                return self._operation(node)

    def _report(self, where: str, expected: str, found: str, near: str | None = None) -> None:
        fault = Fault(short(where), expected, found, near)
        if fault not in self.faults:
            self.faults.append(fault)

    def _name(self, node: Name) -> None:
        """A formula's name; without any to choose from, a function's keyword such as `'linear'` or `week_before`."""
        if self.names and node.name not in self.names:
            self._report(node.name, one_of(sorted(self.names)), node.name, like(node.name, sorted(self.names)))

    def _operation(self, node: Operation) -> Shape:
        left, right = self.shape(node.left), self.shape(node.right)
        units = (left.values.unit, right.values.unit)
        if node.symbol in arithmetic.ADDING and units[0] and units[1] and not units[0].goes_with(units[1]):
            self._report(node.text, f"one unit on both sides of {node.symbol}", f"{units[0]} and {units[1]}")
        if right.number is not None and (wrong := arithmetic.unreachable(node.symbol, left.values, right.number)):
            self._report(node.text, *wrong)
        values = arithmetic.of_operation(node.symbol, left, right, is_bool=False)
        return Shape(values=values, number=arithmetic.folded(node.symbol, left.number, right.number))

    # Queries

    def _query(self, node: Query) -> Values:
        for method in node.methods:
            if method not in _METHODS:
                self._report(
                    node.text, one_of([f".{each}()" for each in _METHODS]), f".{method}()", like(method, _METHODS)
                )
        metric = self.knowledge.metrics.get(node.metric)
        if metric is None:
            self._unknown(node)
            return UNKNOWN
        self._use(node, metric)
        known = {label.name: label for label in metric.labels} | _TARGET
        for condition in node.conditions:
            self._condition(node, condition, known, metric)
        for tag in node.by:
            self._tag(node, tag, known, metric)
        return _values(node, metric)

    def _unknown(self, node: Query) -> None:
        if node.metric.partition(".")[0] in NAMESPACES or PLACEHOLDER in node.metric:
            return
        spelt = {name: metric.name for metric in self.knowledge.metrics.values() for name in series_names(metric)}
        near = spelt.get(node.metric) or like(node.metric, self.knowledge.metrics)
        self._report(node.text, "a metric of the contract or of Datadog's integrations", node.metric, near)

    def _use(self, node: Query, metric: Metric) -> None:
        """Check that what is asked of *metric* is something that its kind has."""
        is_percentile = node.aggregation[:1] == "p" and node.aggregation[1:2].isdigit()
        if metric.kind is not Kind.HISTOGRAM and (is_percentile or node.aggregation in {"count", "histogram"}):
            self._report(node.text, f"a distribution for {node.aggregation}:", f"the {metric.kind.value} {metric.name}")
        elif not is_percentile and node.aggregation not in _AGGREGATIONS.get(metric.kind, _PLAIN):
            allowed = [f"{each}:" for each in _AGGREGATIONS.get(metric.kind, _PLAIN)]
            self._report(node.text, one_of(allowed), f"{node.aggregation}:" if node.aggregation else "none")
        rate = next((method for method in node.methods if method in _RATES), None)
        if rate and metric.kind in {Kind.GAUGE, Kind.UP_DOWN_COUNTER}:
            self._report(node.text, f"a counter for .{rate}()", f"the gauge {metric.name}")
        if rate and metric.kind is Kind.HISTOGRAM and node.aggregation not in {"count", "sum"}:
            self._report(node.text, f"count: or sum: for .{rate}()", f"{node.aggregation}:")
        if node.aggregation == "sum" and metric.name.endswith(".utilization"):
            self._report(node.text, "numbers whose sum means something", "a share of each", "max or avg")

    def _condition(self, node: Query, condition: Condition, known: Mapping[str, Label], metric: Metric) -> None:
        if not condition.tag:
            return
        label = self._tag(node, condition.tag, known, metric)
        if label is None or not label.values or any("$" in value for value in condition.values):
            return
        allowed = {value.lower() for value in label.values}
        for value in condition.values:
            pattern = ".*".join(map(_escaped, value.lower().split("*")))
            if not matching(pattern, allowed):
                near = like(value.lower(), sorted(allowed))
                self._report(node.text, f"a value that {label.name} can have", repr(value), near)

    def _tag(self, node: Query, tag: str, known: Mapping[str, Label], metric: Metric) -> Label | None:
        if tag in known or tag in self.knowledge.tags or tag.startswith("$"):
            return known.get(tag)
        spelt = {label.prometheus: name for name, label in known.items()}
        near = spelt.get(tag) or like(tag, sorted({*known, *self.knowledge.tags}))
        self._report(node.text, f"a tag of {metric.name}", tag, near)
        return None


_TARGET = {TAGS.get(label.name, label.name): label for label in TARGET_LABELS if label is not TRACK}
"""Target labels by the tag that stands for each in Datadog; nothing says the track there."""
_KEEPING = frozenset({"default_zero", "abs", "ewma_3", "ewma_5", "ewma_10", "moving_rollup", "top", "median_3", "fill"})
"""Functions whose result is in the unit of their first argument."""


def _escaped(text: str) -> str:
    return "".join(character if character.isalnum() else f"\\{character}" for character in text)


def _values(node: Query, metric: Metric) -> Values:
    """Return what a query's numbers are, before any formula."""
    unit = Unit.parse(metric.unit)
    if metric.kind is Kind.HISTOGRAM and node.aggregation not in {"count", "histogram"}:
        values = Values(unit)
        if node.aggregation != "sum":
            # Datadog estimates within a bucket, so this is no exact bound, but no number is anywhere near ten times it.
            values = Values(unit, 10 * max(metric.buckets), "a quantile" if node.aggregation[:1] == "p" else "a mean")
    elif metric.kind is Kind.HISTOGRAM:
        values = Values(NONE)
    else:
        values = Values(unit, 1.0 if metric.name.endswith(".utilization") else None)
    return replace(values, unit=values.unit / SECONDS) if "as_rate" in node.methods and values.unit else values


def of_services(own: Iterable[Metric], tags: Iterable[str] = ()) -> Knowledge:
    """Return what Datadog is sent when services have metrics of their *own*, and hosts have *tags* of their own."""
    return Knowledge({metric.name: metric for metric in (*metrics.ALL, *own)}, HOST_TAGS | {*tags})
