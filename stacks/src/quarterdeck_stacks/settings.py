"""A stack's settings: frozen, parsed once, before any resource is registered.

The keys, their types and defaults are in Pulumi.yaml, where `pulumi config` sees them; here is what they mean.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_dashboards.duration import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Catalogue

T = TypeVar("T")

ENVIRONMENTS = ("local",)
"""The shapes there are; `quarterdeck_stacks.environments` has one module for each."""

PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093

_RESERVED_NAMESPACES = frozenset({"kube-node-lease", "kube-public", "kube-system"})
"""The cluster's own. What runs there could not run under the PodSecurity level that ours enforce."""

_KEYS = frozenset({
    "catalogue", "context", "drain", "environment", "images", "kubeconfig",
    "loopbackPrefix", "replicas", "retention", "scrapeInterval",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which cluster the stack is deployed to."""

    kubeconfig: str = field(repr=False)
    """Path relative to the project's root, or the contents; empty is kubectl's own. Not shown: it may be a secret."""
    context: str
    """Empty is the kubeconfig's current one."""


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Numbers of Prometheus."""

    scrape_interval: timedelta
    """Also the interval of rule evaluation: a measurement is no older than this."""
    retention: timedelta
    """Samples older than this are deleted."""


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


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a stack that is a number or a name; what is a shape is in `environments`."""

    environment: str
    """The stack's name: `local`, `prod`, `pr-42`. Also the target label `cluster` and OpenTelemetry's environment."""
    shape: str
    """Which of ENVIRONMENTS it looks like: `pr-42` may look like `dev`."""
    catalogue: str
    """Path of services.yaml, relative to the project's root."""
    cluster: ClusterSettings
    prometheus: PrometheusSettings
    drain: timedelta
    """A stopping pod still serves for so long, because clients see it go only some time later."""
    loopback: Loopback | None
    """None where pods have a network of their own: everywhere but in the local environment's process nodes."""
    images: dict[str, str]
    """Service to image, where it differs from the catalogue."""
    replicas: dict[str, int]
    """Service to replicas, where they differ from the catalogue."""

    @property
    def prometheus_url(self) -> str:
        """Base URL for the operator's commands."""
        address = self.loopback.prometheus if self.loopback else f"prometheus.{SYSTEM_NAMESPACE}.svc"
        return f"http://{address}:{PROMETHEUS_PORT}"

    @property
    def alertmanager_url(self) -> str:
        """Base URL for the operator's commands."""
        address = self.loopback.alertmanager if self.loopback else f"alertmanager.{SYSTEM_NAMESPACE}.svc"
        return f"http://{address}:{ALERTMANAGER_PORT}"


def parse(stack: str, config: Mapping[str, str]) -> Settings:
    """Read *stack*'s configuration, its keys without the project's name.

    Raises:
        UsageError: a key is unknown or missing, or a value is not of its type.
    """
    unknown = sorted(config.keys() - _KEYS)
    if unknown:
        near = difflib.get_close_matches(unknown[0], _KEYS, n=1)
        step = f"write {near[0]}" if near else "remove it"
        raise UsageError(f"configuration keys {', '.join(sorted(_KEYS))}", unknown[0], f"{step} in Pulumi.{stack}.yaml")
    missing = sorted(_KEYS - config.keys())
    if missing:
        raise UsageError(
            f"a value for {', '.join(missing)}",
            "none",
            f"`pulumi config set {missing[0]} …`, or a default in Pulumi.yaml",
        )
    shape = config["environment"] or stack
    if shape not in ENVIRONMENTS:
        raise UsageError(
            f"an environment: {', '.join(ENVIRONMENTS)}",
            repr(shape),
            "name the stack after one, or set the key `environment` to the one it looks like",
        )
    prefix = config["loopbackPrefix"]
    return Settings(
        environment=stack,
        shape=shape,
        catalogue=config["catalogue"],
        cluster=_cluster(config),
        prometheus=PrometheusSettings(
            scrape_interval=_value(config, "scrapeInterval", parse_duration),
            retention=_value(config, "retention", parse_duration),
        ),
        drain=_value(config, "drain", _whole_seconds),
        loopback=Loopback(_value(config, "loopbackPrefix", _loopback_prefix)) if prefix else None,
        images=_value(config, "images", _assignments),
        replicas={name: _count(name, text) for name, text in _value(config, "replicas", _assignments).items()},
    )


def check_against(settings: Settings, catalogue: Catalogue) -> None:
    """Refuse what is right by itself and wrong together.

    Raises:
        UsageError: samples are deleted before an SLO's window has passed, or a service wants a reserved namespace.
    """
    for service in catalogue.services:
        if service.namespace in _RESERVED_NAMESPACES:
            raise UsageError(
                f"service {service.name} in a namespace of its own",
                f"{service.namespace}, which is the cluster's",
                f"choose another `namespace` for it in {settings.catalogue}",
            )
        if service.name in {"prometheus", "alertmanager"} and service.namespace == SYSTEM_NAMESPACE:
            raise UsageError(
                f"no service {service.name} in the namespace {SYSTEM_NAMESPACE}",
                "one, which would replace the environment's own",
                f"rename it or move it in {settings.catalogue}",
            )
        for slo in service.slos:
            window = format_duration(slo.window)
            if slo.window > settings.prometheus.retention:
                raise UsageError(
                    f"retention of at least {window}, the window of {service.name}'s SLO {slo.name}",
                    format_duration(settings.prometheus.retention),
                    f"`pulumi config set retention {window}` or longer",
                )


def _cluster(config: Mapping[str, str]) -> ClusterSettings:
    if not config["kubeconfig"] and not config["context"]:
        raise UsageError(
            "a kubeconfig or a context, which says what cluster this stack belongs to",
            "neither",
            "`pulumi config set context …`; the current context of whoever runs this is not asked",
        )
    return ClusterSettings(config["kubeconfig"], config["context"])


def _value(config: Mapping[str, str], key: str, read: Callable[[str], T]) -> T:
    try:
        return read(config[key])
    except ValueError as error:
        # Each says "expected A, found B".
        expected, _, found = str(error).removeprefix("expected ").rpartition(", found ")
        raise UsageError(f"the key {key} to be {expected}", found, f"`pulumi config set {key} …`") from error


def _whole_seconds(text: str) -> timedelta:
    value = parse_duration(text)
    if value.microseconds:
        raise ValueError(f"expected whole seconds, found {text!r}")
    return value


def _loopback_prefix(text: str) -> str:
    if not re.fullmatch(r"127\.\d{1,3}", text) or not _is_loopback(f"{text}.0.1"):
        raise ValueError(f"expected two octets of the loopback network, such as 127.77, found {text!r}")
    return text


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


def _assignments(text: str) -> dict[str, str]:
    """Read a JSON list of `name=value`, which is how Pulumi hands a list to a program."""
    try:
        items = json.loads(text)
    except ValueError:
        raise ValueError(f'expected a list such as ["checkout=…"], found {text!r}') from None
    if not isinstance(items, list) or not all(isinstance(item, str) and item.partition("=")[2] for item in items):
        raise ValueError(f"expected a list of service=value, found {text!r}")
    return {name: value for name, _, value in (item.partition("=") for item in items)}


def _count(service: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"a number of replicas, at least 1, for {service}", repr(text), "`pulumi config set replicas …`"
        )
    return int(text)
