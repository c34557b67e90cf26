"""What an environment costs before it is deployed: series and disk of Prometheus, and what all pods ask for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.cost import Assumptions, predict
from quarterdeck_dashboards.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.cost import Prediction
    from quarterdeck_stacks.manifests import Manifest
    from quarterdeck_stacks.settings import Settings

BYTES_PER_SAMPLE = 2
"""On disk, after compression: the upper end of what Prometheus' own page says, one to two
(https://prometheus.io/docs/prometheus/latest/storage/)."""

UNITS = {"cpu": "core", "memory": "GiB", "storage": "GiB", "datadog": "hundred custom metrics"}
"""What a price is for, each for a month."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What pods and claims ask for: what nodes and volumes have to be there for."""

    cpu: Decimal = Decimal(0)
    """Cores."""
    memory: Decimal = Decimal(0)
    """Bytes."""
    storage: Decimal = Decimal(0)
    """Bytes."""

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.cpu + other.cpu, self.memory + other.memory, self.storage + other.storage)

    def __mul__(self, count: int) -> Requests:
        return Requests(self.cpu * count, self.memory * count, self.storage * count)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one environment costs."""

    environment: str
    telemetry: Prediction
    disk: Decimal
    """Bytes of each Prometheus after its whole retention."""
    volume: Decimal | None
    """Size of each Prometheus' volume; None: it has the node's disk."""
    fewest: Requests
    """With as many pods as the catalogue says."""
    most: Requests
    """With as many pods as the autoscalers may run."""
    each_node: Requests
    """What the agents on each node ask for beside that."""
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """For a month, by UNITS' keys; what is missing is not priced."""

    @property
    def fits(self) -> bool:
        """Whether the retention's samples have room on the volume, with a fifth of it left for the write-ahead log."""
        return self.volume is None or self.disk <= self.volume * Decimal("0.8")

    def monthly(self, requests: Requests) -> dict[str, Decimal]:
        """Return what *requests*, and the telemetry, cost in a month, by what is priced."""
        amounts = {
            "cpu": requests.cpu,
            "memory": requests.memory / 1024**3,
            "storage": requests.storage / 1024**3,
            "datadog": Decimal(self.telemetry.total.datadog) / 100,
        }
        return {what: amounts[what] * price for what, price in self.prices.items()}


def plan_of(
    settings: Settings, catalogue: Catalogue, manifests: Iterable[Manifest], prices: Mapping[str, Decimal]
) -> Plan:
    """Return what the environment of *settings* and *manifests* costs."""
    objects = list(manifests)
    interval = settings.prometheus.scrape_interval
    telemetry = predict(catalogue, Assumptions(scrape_interval=interval))
    samples = Decimal(str(telemetry.total.samples)) * int(settings.prometheus.retention.total_seconds())
    size = settings.monitoring.prometheus_storage
    bounds = {
        (each["metadata"].get("namespace"), each["spec"]["scaleTargetRef"]["name"]): each["spec"]
        for each in objects
        if each["kind"] == "HorizontalPodAutoscaler"
    }
    fewest, most, each_node = Requests(), Requests(), Requests()
    for each in objects:
        if each["kind"] == "DaemonSet":
            each_node += _of_pod(each)
        elif each["kind"] in {"Deployment", "StatefulSet"}:
            scaled = bounds.get((each["metadata"].get("namespace"), each["metadata"]["name"]))
            one = _of_pod(each) + _of_claims(each["spec"].get("volumeClaimTemplates") or ())
            fewest += one * (scaled["minReplicas"] if scaled else each["spec"].get("replicas", 1))
            most += one * (scaled["maxReplicas"] if scaled else each["spec"].get("replicas", 1))
        elif each["kind"] == "PersistentVolumeClaim":
            fewest += _of_claims([each])
            most += _of_claims([each])
    return Plan(
        environment=settings.environment,
        telemetry=telemetry,
        disk=samples * BYTES_PER_SAMPLE,
        volume=parse_quantity(size) if size else None,
        fewest=fewest,
        most=most,
        each_node=each_node,
        prices=prices,
    )


def parse_prices(texts: Iterable[str]) -> dict[str, Decimal]:
    """Read prices, each `cpu=21.50`.

    Raises:
        UsageError: one is for something else, or is no number.
    """
    prices: dict[str, Decimal] = {}
    for text in texts:
        what, _, number = text.partition("=")
        whole, _, part = number.partition(".")
        if what not in UNITS or not (whole + part).isdecimal():
            known = ", ".join(f"{key} (a {unit})" for key, unit in UNITS.items())
            raise UsageError(f"a price for a month of {known}", repr(text), "write --price cpu=21.50")
        prices[what] = Decimal(number)
    return prices


def _of_pod(workload: Manifest) -> Requests:
    pod = workload["spec"]["template"]["spec"]
    running = Requests()
    for container in pod["containers"]:
        running += _of_container(container)
    # Init containers run one after another and before the others: a pod asks for the most that any moment needs.
    begun = [_of_container(each) for each in pod.get("initContainers") or ()]
    return Requests(
        max([running.cpu, *(each.cpu for each in begun)]),
        max([running.memory, *(each.memory for each in begun)]),
    )


def _of_container(container: Manifest) -> Requests:
    asked = (container.get("resources") or {}).get("requests") or {}
    return Requests(parse_quantity(str(asked.get("cpu", "0"))), parse_quantity(str(asked.get("memory", "0"))))


def _of_claims(claims: Iterable[Manifest]) -> Requests:
    sizes = (parse_quantity(str(each["spec"]["resources"]["requests"]["storage"])) for each in claims)
    return Requests(storage=sum(sizes, Decimal(0)))
