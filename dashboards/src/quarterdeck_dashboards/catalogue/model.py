"""The catalogue's models: frozen, validated, with no I/O. Each field's docstring is its documentation."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_dashboards.catalogue.validators import UniqueNames, duration, wrong
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.slo.objective import lowest_objective, unfireable
from quarterdeck_dashboards.slo.windows import MAX_PERIOD, MIN_PERIOD

_DURATION_SCHEMA = {"type": "string", "pattern": r"^([0-9]+(y|w|d|h|ms|m|s))+$", "examples": ["250ms", "5m", "30d"]}

Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A Prometheus duration as text: `250ms`, `30s`, `5m`, `30d`."""

NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$"
IMAGE_PATTERN = r"^[^\s:@]+(?::[0-9]+/[^\s:@]+)?:[A-Za-z0-9_.-]+$"
PATH_PATTERN = r"^/\S*$"
BASE_URL_PATTERN = r"^https?://\S+/$"
WEBHOOK_PATTERN = r"^(https?://|/)\S+$"

PATTERN_WORDS = {
    NAME_PATTERN: "a DNS label of at most 50 characters: a-z, 0-9 and -, beginning with a letter",
    IMAGE_PATTERN: "an image with its tag, such as registry.example/checkout:v1",
    PATH_PATTERN: "a path that begins with /",
    BASE_URL_PATTERN: "an http or https URL that ends with /",
    WEBHOOK_PATTERN: "an http or https URL, or the absolute path of a file that holds one",
}
"""What each pattern means, in words, for messages."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
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
    objective: float = Field(strict=True, json_schema_extra={"exclusiveMinimum": 0, "exclusiveMaximum": 100})
    """Promised share of good events, in percent. 100 leaves no error budget, so it is refused."""
    window: Duration = Field(default=timedelta(days=30), validate_default=True)
    """The rolling window the promise holds over. 30 days: the SRE workbook's, and Datadog's longest but one."""
    threshold: Duration | None = Field(default=None, validate_default=True)
    """For `latency`: the longest good duration. It must be a bucket bound of the contract's histogram."""

    @field_validator("objective")
    @classmethod
    def _leaves_a_budget(cls, value: float) -> float:
        if value == 100:  # noqa: PLR2004 -- percent
            raise wrong(
                "less than 100 percent", "100: it leaves no error budget, so a single failed request breaks it for good"
            )
        if not 0 < value < 100:  # noqa: PLR2004 -- percent; also catches NaN
            raise wrong("a percentage above 0 and below 100", f"{value:g}")
        return value

    @field_validator("window")
    @classmethod
    def _alerts_can_fire(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        if not MIN_PERIOD <= value <= MAX_PERIOD:
            allowed = f"a window from {format_duration(MIN_PERIOD)} to {format_duration(MAX_PERIOD)}"
            raise wrong(allowed, format_duration(value))
        objective = info.data.get("objective")
        row = None if objective is None else unfireable(objective, value)
        if row is not None:
            raise wrong(
                f"more than {lowest_objective(value):.2f} percent",
                f"{objective:g}: the alert for {row.budget:.0%} of the budget in {format_duration(row.long)} "
                "could not fire even if every request failed",
                at=("objective",),
            )
        return value

    @field_validator("threshold")
    @classmethod
    def _is_a_bucket_bound(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        kind = info.data.get("kind")
        if kind is SloKind.LATENCY and value is None:
            raise wrong("a threshold, the longest good duration, for an SLO of the kind latency", "none")
        if kind is SloKind.AVAILABILITY and value is not None:
            raise wrong("no threshold for an SLO of the kind availability", format_duration(value))
        if value is not None:
            _check_bound(value)
        return value


def _check_bound(value: timedelta) -> None:
    bounds = [timedelta(seconds=bound) for bound in HTTP_SERVER_DURATION.buckets]
    if value in bounds:
        return
    below = [bound for bound in bounds if bound < value][-1:]
    above = [bound for bound in bounds if bound > value][:1]
    around = " and ".join(format_duration(bound) for bound in below + above)
    raise wrong(
        f"a bucket bound of {HTTP_SERVER_DURATION.name} (nearest: {around})",
        f"{format_duration(value)}, which the histogram cannot tell from its neighbours",
    )


class RolloutPlan(_Model):
    """How a new version is let in."""

    strategy: Literal["canary"] = "canary"
    """`canary`: some pods of the new version beside the stable ones, under the same Service."""
    canary_replicas: int = Field(default=1, ge=1, strict=True)
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
    image: str = Field(min_length=1, pattern=IMAGE_PATTERN)
    """Image with its tag; the tag is the version."""
    port: int = Field(default=8080, ge=1, le=65535, strict=True)
    """The port it serves on, on the pod's own address."""
    replicas: int = Field(default=2, ge=1, strict=True)
    """Stable pods, unless the environment says otherwise."""
    health: str = Field(default="/healthz", pattern=PATH_PATTERN)
    """Path of the readiness and liveness probe; never measured."""
    slos: Annotated[tuple[Slo, ...], UniqueNames("SLO")] = ()
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
    runbook_base_url: str = Field(pattern=BASE_URL_PATTERN)
    """Where `docs/runbooks/` is published, with a trailing slash; every alert's `runbook_url` begins with it."""
    services: Annotated[tuple[Service, ...], UniqueNames("service")] = Field(min_length=1)
    """Every service. Names are unique."""
    webhooks: dict[str, Annotated[str, Field(pattern=WEBHOOK_PATTERN)]] = {}
    """Owner to the URL that receives its alerts, or to the path of a mounted file that holds a secret one.
    An owner without one is still alerted in Alertmanager, which then tells nobody."""

    @field_validator("webhooks")
    @classmethod
    def _of_known_owners(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        services: tuple[Service, ...] = info.data.get("services", ())
        owners = {service.owner for service in services}
        for owner in value:
            if owners and owner not in owners:
                raise wrong("the owner of a service", f"the text {owner!r}", key=owner, words=owners)
        return value

    def service(self, name: str) -> Service:
        """Return the service called *name*.

        Raises:
            KeyError: there is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)


class _SchemaWithDurations(GenerateJsonSchema):
    """Writes default durations as the catalogue does (`10m`), not in ISO 8601 (`PT10M`)."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `services.yaml`, for editors: keys, types and descriptions, not every rule."""
    schema = Catalogue.model_json_schema(schema_generator=_SchemaWithDurations)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
