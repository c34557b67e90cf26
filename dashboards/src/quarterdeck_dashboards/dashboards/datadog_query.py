"""Datadog's metric queries as values, by OpenTelemetry's names: what its agent and exporter make of OTLP.

A metric keeps its name with dots, an attribute its name as a tag. A histogram is a distribution
(https://docs.datadoghq.com/metrics/open_telemetry/otlp_metric_types/), a monotonic sum a count. Resource attributes
become tags under Datadog's own names
(https://docs.datadoghq.com/opentelemetry/mapping/semantic_mapping/). Quantiles of a distribution are there only once
percentiles are switched on for it in Datadog (https://docs.datadoghq.com/metrics/distributions/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_contract.labels import Label
    from quarterdeck_dashboards.promql import Matcher

TAGS: Mapping[str, str] = {
    l_.CLUSTER.name: "kube_cluster_name",
    l_.NAMESPACE.name: "kube_namespace",
    l_.SERVICE.name: "service",
    l_.POD.name: "pod_name",
    l_.VERSION.name: "version",
}
"""Target label → the tag that stands for the resource attribute (`k8s.cluster.name`, `k8s.namespace.name`,
`service.name`, `k8s.pod.name`, `service.version`). A label that is not here has its own name."""


class Untranslatable(ValueError):  # noqa: N818 -- what happened, not an error of anybody's
    """A condition that Datadog cannot state."""


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """`aggregation:metric{conditions} by {tags}.as_rate()`."""

    aggregation: str
    """`sum`, `avg`, `max`, `min`; of distributions also `count` and `p50` … `p99`."""
    metric: str
    """OpenTelemetry name."""
    conditions: tuple[str, ...] = ()
    """All must hold."""
    by: tuple[str, ...] = ()
    suffix: str = ""
    """`.as_rate()`, `.as_count()` or nothing."""
    above: str = ""
    """Of a distribution: count only values so, as `v: v<=0.25`."""

    def __str__(self) -> str:
        inside = " AND ".join(self.conditions) if len(self.conditions) > 1 else "".join(self.conditions)
        by = f" by {{{','.join(self.by)}}}" if self.by else ""
        aggregation = f"{self.aggregation}({self.above})" if self.above else self.aggregation
        return f"{aggregation}:{self.metric}{{{inside or '*'}}}{by}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Formula:
    """Arithmetic on queries, which it calls by name."""

    text: str
    """Such as `default_zero(query1) / query2`."""
    queries: Mapping[str, MetricQuery] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the queries in the formula's places, as monitors write them."""
        return re.sub(r"query\d+", lambda name: str(self.queries[name[0]]), self.text)


def tag(label: Label) -> str:
    """Return what Datadog calls *label*.

    Raises:
        Untranslatable: nothing says it there.
    """
    if label is l_.TRACK:
        raise Untranslatable("no resource attribute says which side of a rollout a pod is on")
    return TAGS.get(label.name, label.name)


def condition(matcher: Matcher) -> str:
    """Return *matcher* as Datadog writes it.

    >>> from quarterdeck_dashboards.promql import equals, lacks, matches
    >>> condition(equals(l_.SERVICE, "checkout")), condition(matches(l_.CLUSTER, "$cluster"))
    ('service:checkout', '$cluster')
    >>> condition(lacks(l_.HTTP_STATUS_CODE, "5..")), condition(matches(l_.RPC_STATUS_CODE, "INTERNAL|UNKNOWN"))
    ('NOT http.response.status_code:5*', 'rpc.response.status_code IN (internal,unknown)')

    Raises:
        Untranslatable: it is a regular expression that no wildcard says.
    """
    name, value = tag(matcher.label), matcher.value
    if value.startswith("$"):
        return value
    if (matcher.operator, value) == ("!=", ""):
        return f"{name}:*"
    sign = "NOT " if matcher.operator.startswith("!") else ""
    if matcher.operator in {"=", "!="}:
        return f"{sign}{name}:{_tag_value(value)}"
    if re.fullmatch(r"[\w.-]+?(?:\.+|\.\*)", value) and "." not in (stem := re.sub(r"(?:\.+|\.\*)$", "", value)):
        return f"{sign}{name}:{_tag_value(stem)}*"
    if re.fullmatch(r"[\w|-]+", value):
        words = ",".join(map(_tag_value, value.split("|")))
        return f"{name} {sign}IN ({words})"
    raise Untranslatable(f"expected a wildcard or a list, found the pattern {value}")


def _tag_value(text: str) -> str:
    """Return *text* as Datadog keeps a tag's value: in small letters."""
    return text.lower()
