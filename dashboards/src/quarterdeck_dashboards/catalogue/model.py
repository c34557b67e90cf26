"""The catalogue's models: frozen, validated, with no I/O. Each field's docstring is its documentation."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from quarterdeck_dashboards.duration import parse_duration

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""A Prometheus duration as text: `250ms`, `30s`, `5m`, `30d`."""

Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$")]
"""A DNS label that leaves room for suffixes such as `-canary` within Kubernetes' 63 characters."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SloKind(enum.StrEnum):
    """What a service level objective measures."""

    AVAILABILITY = "availability"
    """The share of requests that did not end in a server error (5xx)."""
    LATENCY = "latency"
    """The share of successful requests that took no longer than `threshold`."""


class Slo(_Model):
    """One promise to the service's users."""

    name: Name
    """Unique within the service; part of rule and alert names."""
    kind: SloKind
    """`availability` or `latency`."""
    objective: float = Field(gt=0, lt=100)
    """Promised share of good events, in percent. 100 leaves no error budget, so it is refused."""
    window: Duration = timedelta(days=30)
    """The rolling window the promise holds over. 30 days: the SRE workbook's, and Datadog's longest but one."""
    threshold: Duration | None = None
    """For `latency`: the longest good duration. It must be a bucket bound of the contract's histogram."""


class RolloutPlan(_Model):
    """How a new version is let in."""

    strategy: Literal["canary"] = "canary"
    """`canary`: some pods of the new version beside the stable ones, under the same Service."""
    canary_replicas: int = Field(default=1, ge=1)
    """Pods of the new version while it is judged."""
    max_wait: Duration = timedelta(minutes=10)
    """Give up as INCONCLUSIVE when the evidence decides neither way within this time."""
    ready_within: Duration = timedelta(minutes=5)
    """A new pod that is not Ready by then fails the rollout."""


class Service(_Model):
    """One service: who owns it, how it is run, what it promises."""

    name: Name
    """Unique in the catalogue: Deployment, Service and the target label `service`."""
    namespace: Name = "default"
    """Kubernetes namespace."""
    owner: str = Field(min_length=1)
    """The team that is paged."""
    tier: Literal[1, 2, 3] = 2
    """1 pages at night; 3 never pages."""
    language: Literal["python"] = "python"
    """What the service is written in."""
    framework: Literal["fastapi", "starlette", "asgi"] = "fastapi"
    """What serves its requests; decides which metrics it must emit."""
    image: str = Field(min_length=1, pattern=r"^[^\s:@]+(?::[0-9]+/[^\s:@]+)?:[A-Za-z0-9_.-]+$")
    """Image with its tag; the tag is the version."""
    port: int = Field(default=8080, ge=1, le=65535)
    """The port it serves on, on the pod's own address."""
    replicas: int = Field(default=2, ge=1)
    """Stable pods, unless the environment says otherwise."""
    health: str = Field(default="/healthz", pattern=r"^/\S*$")
    """Path of the readiness and liveness probe; never measured."""
    slos: tuple[Slo, ...] = ()
    """What is promised. Names are unique within the service."""
    rollout: RolloutPlan = RolloutPlan()
    """How a new version is let in."""

    @property
    def version(self) -> str:
        """The image's tag."""
        return self.image.rpartition(":")[2]


class Catalogue(_Model):
    """The whole of `services.yaml`."""

    version: Literal[1]
    """Version of this file's format."""
    runbook_base_url: str = Field(pattern=r"^https?://\S+/$")
    """Where `docs/runbooks/` is published, with a trailing slash; every alert's `runbook_url` begins with it."""
    services: tuple[Service, ...] = Field(min_length=1)
    """Every service. Names are unique."""

    def service(self, name: str) -> Service:
        """Return the service called *name*.

        Raises:
            KeyError: there is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)
