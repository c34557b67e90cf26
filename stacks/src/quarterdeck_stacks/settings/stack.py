"""A stack's settings as a whole."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks.settings.cluster import ClusterSettings
from quarterdeck_stacks.settings.consistent import check_consistent
from quarterdeck_stacks.settings.keys import (
    assignments,
    check_keys,
    duration,
    group,
    key,
    read,
    text,
    texts,
    whole_seconds,
)
from quarterdeck_stacks.settings.monitoring import MonitoringSettings, PrometheusSettings, Scale
from quarterdeck_stacks.settings.quota import QuotaSettings
from quarterdeck_stacks.settings.services import ServiceSettings
from quarterdeck_stacks.telemetry import places

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

ENVIRONMENTS = ("local", "dev", "staging", "prod")
"""The shapes there are; `quarterdeck_stacks.environments` has one module for each."""
PREVIEWED = "dev"
"""The shape of `pr-N`, and of the stack in whose cluster a `pr-N` is."""

PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
GRAFANA_PORT = 3000


@dataclass(frozen=True, slots=True)
class Loopback:
    """Where pods are processes on loopback, each with its own address."""

    prefix: str
    """First two octets, `127.77`: so that two environments can live on one machine."""

    @property
    def prometheus(self) -> str:
        """The address Prometheus' pod asks for, so that its URL is known before it runs."""
        return f"{self.prefix}.0.90"

    @property
    def alertmanager(self) -> str:
        """The address Alertmanager's pod asks for, likewise."""
        return f"{self.prefix}.0.93"


def _loopback(value: str) -> Loopback | None:
    if value and not (re.fullmatch(r"127\.\d{1,3}", value) and _is_loopback(f"{value}.0.1")):
        raise ValueError(f"expected two octets of the loopback network, such as 127.77, found {value!r}")
    return Loopback(value) if value else None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


def _replicas(value: str) -> dict[str, int]:
    given = assignments(value)
    for service, number in given.items():
        if not number.isdecimal() or int(number) < 1:
            raise ValueError(f"expected at least 1 replica for {service}, found {number!r}")
    return {service: int(number) for service, number in given.items()}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a stack that is a number or a name; what is a shape is in `environments`."""

    stack: str
    """The stack's name: `local`, `prod`, `pr-42`."""
    looks_like: str = key("environment", text)
    """Which of ENVIRONMENTS a stack looks like that is not named after one; empty is its own name."""
    catalogue: str = key("catalogue", text)
    """Path of services.yaml, relative to the project's root."""
    cluster: ClusterSettings = group(ClusterSettings)
    prometheus: PrometheusSettings = group(PrometheusSettings)
    monitoring: MonitoringSettings = group(MonitoringSettings)
    services: ServiceSettings = group(ServiceSettings)
    quota: QuotaSettings = group(QuotaSettings)
    drain: timedelta = key("drain", whole_seconds)
    """A stopping pod still serves for so long, because clients see it go only some time later."""
    loopback: Loopback | None = key("loopbackPrefix", _loopback)
    """None where pods have a network of their own: everywhere but in the local environment's process nodes."""
    images: dict[str, str] = key("images", assignments)
    """Service to image, where it differs from the catalogue."""
    replicas: dict[str, int] = key("replicas", _replicas)
    """Service to replicas, where they differ from the catalogue."""
    operators: tuple[str, ...] = key("operators", texts)
    """Groups of the cluster's users, as its API server names them, who may roll out services and run their runbooks.
    Without any, the Roles are there and bound to nobody."""

    preview_ttl: timedelta = key("previewTtl", duration)
    """How long a `pr-N` is kept at least: a label on its namespaces, for whoever clears up."""

    @property
    def is_preview(self) -> bool:
        """Whether the stack is `pr-N`, one change's services beside dev's; one that says what it looks like is not."""
        return not self.looks_like and re.fullmatch(r"pr-[1-9]\d*", self.stack) is not None

    @property
    def environment(self) -> str:
        """The stack's name. Also the target label `cluster` and OpenTelemetry's environment."""
        return self.stack

    @property
    def shape(self) -> str:
        """Which of ENVIRONMENTS it looks like: `pr-42` looks like `dev`."""
        return self.looks_like or (PREVIEWED if self.is_preview else self.stack)

    @property
    def prometheus_url(self) -> str:
        """Base URL of what answers PromQL: for commands, dashboards and links from alerts."""
        if self.monitoring.operator:
            return self.monitoring.prometheus_url.rstrip("/")
        if self.monitoring.scale is Scale.DISTRIBUTED:
            return places.url(places.THANOS_QUERY, places.THANOS_HTTP_PORT)
        address = self.loopback.prometheus if self.loopback else f"prometheus.{SYSTEM_NAMESPACE}.svc"
        return f"http://{address}:{PROMETHEUS_PORT}"

    @property
    def alertmanager_url(self) -> str:
        """Base URL for the operator's commands."""
        if self.monitoring.operator:
            return self.monitoring.alertmanager_url.rstrip("/")
        address = self.loopback.alertmanager if self.loopback else f"alertmanager.{SYSTEM_NAMESPACE}.svc"
        return f"http://{address}:{ALERTMANAGER_PORT}"

    @property
    def grafana_url(self) -> str:
        """Where people reach Grafana: the URL given, else its Service; empty where there is none."""
        if not self.monitoring.grafana or self.loopback:
            return ""
        return self.monitoring.grafana_url.rstrip("/") or f"http://grafana.{SYSTEM_NAMESPACE}.svc:{GRAFANA_PORT}"


def parse(stack: str, config: Mapping[str, str]) -> Settings:
    """Read *stack*'s configuration, its keys without the project's name.

    Raises:
        UsageError: a key is unknown or missing, a value is not of its type, or two contradict each other.
    """
    check_keys(Settings, stack, config)
    settings = read(Settings, config, stack=stack)
    if settings.shape not in ENVIRONMENTS:
        raise UsageError(
            f"an environment: {', '.join(ENVIRONMENTS)}",
            repr(settings.shape),
            "name the stack after one, or set the key `environment` to the one it looks like",
        )
    check_consistent(settings)
    return settings
