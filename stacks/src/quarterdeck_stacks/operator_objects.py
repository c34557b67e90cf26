"""Rules and targets as the Prometheus operator's objects, for a cluster whose Prometheus it runs already. Pure.

Which of them its Prometheus reads, its own selectors decide: so each has the labels that they ask for. Source of the
fields: https://prometheus-operator.dev/docs/api-reference/api/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract import kubernetes as names
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_stacks.scraping import target_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

API_VERSION = "monitoring.coreos.com/v1"
_METRICS = "metrics"
"""The name of the port where a service's pods show their metrics."""
_OWN = ("grafana", "loki", "tempo")
"""Programs of the stack whose Services have their metrics on the port `http`."""


@dataclass(frozen=True, slots=True)
class Operated:
    """What an operator's Prometheus is told."""

    cluster: str
    """Value of the target label `cluster`."""
    interval: timedelta
    """Between scrapes, and between evaluations of rules."""
    namespaces: Sequence[str]
    """Of the services."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What its selectors ask for: kube-prometheus-stack's is `release: NAME`."""

    def rules(self, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the specification of each PrometheusRule, by name, from rule files."""
        return {_name(file): {"groups": yaml.safe_load(text)["groups"]} for file, text in sorted(files.items())}

    def pods(self) -> dict[str, Any]:
        """Return the specification of the PodMonitor of the services: of pods, so that a canary is seen at once."""
        return {
            "namespaceSelector": {"matchNames": sorted(self.namespaces)},
            "selector": {"matchExpressions": [{"key": names.APP_NAME, "operator": "Exists"}]},
            "podMetricsEndpoints": [{"port": _METRICS, **self._scraped()}],
        }

    def services(self) -> dict[str, Any]:
        """Return the specification of the ServiceMonitor of the stack's own programs."""
        return {
            "namespaceSelector": {"matchNames": [names.SYSTEM_NAMESPACE]},
            "selector": {"matchExpressions": [{"key": names.APP_NAME, "operator": "In", "values": list(_OWN)}]},
            "endpoints": [{"port": "http", **self._scraped()}],
        }

    def _scraped(self) -> dict[str, Any]:
        return {
            "interval": format_duration(self.interval),
            "relabelings": [_spelt(rule) for rule in target_labels(self.cluster)],
        }


def _name(file: str) -> str:
    return f"quarterdeck-{file.removesuffix('.yaml')}"


def _spelt(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a relabelling rule as the operator spells it: `source_labels` is `sourceLabels`."""
    return {_camel(key): value for key, value in rule.items()}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)
