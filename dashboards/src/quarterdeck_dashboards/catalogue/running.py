"""How a service is run: what its pods are given, and what they call."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from quarterdeck_dashboards.catalogue.fields import CIDR_PATTERN, Model, Name
from quarterdeck_dashboards.catalogue.validators import wrong
from quarterdeck_dashboards.quantity import QUANTITY_PATTERN, parse_quantity

Quantity = Annotated[str, Field(pattern=QUANTITY_PATTERN)]
"""A quantity of Kubernetes as text: `100m`, `512Mi`."""


class Resources(Model):
    """What each pod asks for, and what it may not exceed."""

    cpu: Quantity = "100m"
    """Processor time a pod asks for; an autoscaler's target is a percentage of it. There is no limit: throttling shows
    as latency, which is what SLOs are about."""
    memory: Quantity = "128Mi"
    """Memory a pod asks for."""
    memory_limit: Quantity = "512Mi"
    """Memory beyond which a pod is killed."""

    @field_validator("memory_limit")
    @classmethod
    def _at_least_what_is_asked_for(cls, value: str, info: ValidationInfo) -> str:
        asked = info.data.get("memory")
        if asked is not None and parse_quantity(value) < parse_quantity(asked):
            raise wrong(f"at least memory, {asked}", value)
        return value


class Dependency(Model):
    """Something a service cannot do its work without, or does worse."""

    name: Name
    """Another service of the catalogue, or what else it is called."""
    kind: Literal[
        "service", "http", "grpc", "postgresql", "mysql", "mongodb", "redis", "rabbitmq", "kafka", "other"
    ] = "service"
    """What it is; decides which client metrics and links its panels have."""
    critical: bool = True
    """Whether the service's promises break without it."""
    port: int | None = Field(default=None, ge=1, le=65535, strict=True)
    """The port it is called on: what network policies let through. Left out, its kind's own (5432 for `postgresql`), or
    that of the catalogue's service of this name."""
    cidr: Annotated[str, Field(pattern=CIDR_PATTERN)] | None = None
    """The addresses it has, `10.20.0.0/16`, where it is outside the cluster; left out, any address on its port."""
