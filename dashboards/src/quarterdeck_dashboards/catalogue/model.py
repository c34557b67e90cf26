"""The catalogue's models: frozen, validated, with no I/O. Each field's docstring is its documentation."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.json_schema import GenerateJsonSchema

from quarterdeck_dashboards.catalogue.fields import (
    ALERT_PATTERN,
    BASE_URL_PATTERN,
    IMAGE_PATTERN,
    PATH_PATTERN,
    URL_PATTERN,
    WEBHOOK_PATTERN,
    Duration,
    Model,
    Name,
)
from quarterdeck_dashboards.catalogue.freeze import Freeze
from quarterdeck_dashboards.catalogue.objective import Slo, SloKind, check_bound
from quarterdeck_dashboards.catalogue.own import OwnMetric, measured
from quarterdeck_dashboards.catalogue.running import Dependency, Resources
from quarterdeck_dashboards.catalogue.validators import UniqueNames, wrong
from quarterdeck_dashboards.duration import format_duration

__all__ = [
    "Catalogue",
    "Dependency",
    "Freeze",
    "OwnMetric",
    "Resources",
    "RolloutPlan",
    "Service",
    "Slo",
    "SloKind",
    "json_schema",
]


PLATFORM = "platform"
"""Receiver of alerts that are about nothing in the catalogue: what watches, nodes, volumes."""
HEARTBEAT = "watchdog"
"""Receiver of the alert that always fires."""


class RolloutPlan(Model):
    """How a new version is let in."""

    strategy: Literal["canary", "blue-green", "rolling"] = "canary"
    """`canary`: some pods of the new version beside the stable ones, under the same Service. `blue-green`: as many as
    there are stable ones, to which the Service is switched at once. `rolling`: the workload's own update, held at its
    first pods; the only one for a StatefulSet or a DaemonSet."""
    weights: tuple[Annotated[int, Field(ge=1, le=99, strict=True)], ...] = ()
    """Percent of the requests of the service's HTTPRoutes that a canary gets, step by step, each until a PASS. Left
    out, it gets its pods' share."""
    baseline: Literal["stable", "fresh"] = "stable"
    """What a canary is compared with. `fresh`: as many new pods of the stable version, as cold as the canary."""
    canary_replicas: int = Field(default=1, ge=1, strict=True)
    """Pods of the new version while it is judged; with `blue-green`, as many as there are stable ones instead."""
    max_wait: Duration = timedelta(minutes=10)
    """Give up as INCONCLUSIVE when the evidence decides neither way within this time."""
    ready_within: Duration = timedelta(minutes=5)
    """A new pod that is not Ready by then fails the rollout."""
    warm_up: Duration = timedelta(seconds=30)
    """How long a new pod may be slow, from its first sample on: imports, pools and caches fill once. Its failures count
    from the first request."""
    provider: Literal["prometheus", "datadog"] = "prometheus"
    """Who has the numbers that it is judged by: the environment's Prometheus, or what speaks as one; or Datadog."""
    silence: tuple[Annotated[str, Field(pattern=ALERT_PATTERN)], ...] = ()
    """Alerts on this service that tell nobody while it is rolled out, by name: those that new pods set off by coming
    and going. Only what opens a ticket is kept quiet, never what pages, and no longer than the rollout's run lives."""


class Service(Model):
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
    framework: Literal[
        "fastapi",
        "starlette",
        "litestar",
        "quart",
        "asgi",
        "flask",
        "django",
        "falcon",
        "pyramid",
        "wsgi",
        "aiohttp",
        "tornado",
        "grpc",
        "celery",
        "batch",
    ] = "fastapi"
    """What serves its requests, or does its work; decides which metrics it must emit."""
    image: str = Field(min_length=1, pattern=IMAGE_PATTERN)
    """Image with its tag, and its digest after that where it is pinned; the tag is the version."""
    port: int = Field(default=8080, ge=1, le=65535, strict=True)
    """The port it serves on, on the pod's own address."""
    replicas: int = Field(default=2, ge=1, strict=True)
    """Stable pods, unless the environment says otherwise; the fewest where there is an autoscaler."""
    max_replicas: int | None = Field(default=None, ge=1, strict=True)
    """Most pods where the environment has autoscalers; left out, the environment's multiple of `replicas`. As many as
    `replicas`: it is never scaled."""
    resources: Resources = Resources()
    """What each pod asks for, and what it may not exceed."""
    routes: int | None = Field(default=None, ge=1, strict=True)
    """How many routes it has, each method by itself: what its telemetry costs. Counted in `openapi`, where that is."""
    health: str = Field(default="/healthz", pattern=PATH_PATTERN)
    """Path of the readiness and liveness probe; never measured."""
    openapi: Annotated[str, Field(min_length=1)] | None = None
    """Path of its OpenAPI document, beside the catalogue: what `operation` and `each` in its SLOs speak of."""
    dependencies: Annotated[tuple[Dependency, ...], UniqueNames("dependency")] = ()
    """What it calls."""
    callers: tuple[Name, ...] = ()
    """Namespaces whose pods may call it, an ingress controller's for example, beside its own namespace and the services
    that name it as a dependency."""
    links: dict[str, Annotated[str, Field(pattern=URL_PATTERN)]] = Field(default={})
    """Title to URL: repository, documentation, whatever whoever is on call will look for."""
    runbooks: dict[Annotated[str, Field(pattern=ALERT_PATTERN)], Annotated[str, Field(pattern=URL_PATTERN)]] = Field(
        default={}
    )
    """Alert to the URL of this service's own page on it, instead of the general one."""
    metrics: Annotated[tuple[OwnMetric, ...], UniqueNames("metric")] = ()
    """Metrics of its own, beside the contract's: what `metric` in its SLOs may name."""
    slos: Annotated[tuple[Slo, ...], UniqueNames("SLO")] = ()
    """What is promised. Names are unique within the service."""
    rollout: RolloutPlan = RolloutPlan()
    """How a new version is let in."""

    @field_validator("max_replicas")
    @classmethod
    def _at_least_replicas(cls, value: int | None, info: ValidationInfo) -> int | None:
        replicas = info.data.get("replicas")
        if value is not None and replicas is not None and value < replicas:
            raise wrong(f"at least replicas, {replicas}", str(value))
        return value

    @field_validator("slos")
    @classmethod
    def _can_be_measured(cls, value: tuple[Slo, ...], info: ValidationInfo) -> tuple[Slo, ...]:
        own: tuple[OwnMetric, ...] = info.data.get("metrics", ())
        for index, slo in enumerate(value):
            at = ("slos", index)
            _check_served(slo, info.data.get("framework", ""), at)
            if (slo.each or slo.operation) and not info.data.get("openapi"):
                field = "each" if slo.each else "operation"
                raise wrong(f"the service's openapi document, for an SLO with {field}", "none", at=(*at, field))
            if slo.metric is not None:
                metric = measured(slo.kind, slo.metric, own, (*at, "metric"))
                if slo.kind is SloKind.QUEUE_WAIT and slo.threshold is not None:
                    check_bound(slo.threshold, metric.name, metric.buckets, at=(*at, "threshold"))
        return value

    @property
    def version(self) -> str:
        """The image's tag."""
        return self.image.partition("@")[0].rpartition(":")[2]

    @property
    def serves(self) -> bool:
        """Whether requests are sent to it; otherwise it takes its work from a queue or a calendar."""
        return self.framework not in _UNSERVED


_UNSERVED = ("celery", "batch")
"""Frameworks that serve no requests."""


def _check_served(slo: Slo, framework: str, at: tuple[str | int, ...]) -> None:
    """Refuse an objective about requests that *framework* does not serve."""
    if framework in _UNSERVED and slo.kind in (SloKind.AVAILABILITY, SloKind.LATENCY):
        raise wrong(
            f"an SLO of a kind that {framework} has, freshness, throughput, queue-wait or custom",
            f"{slo.kind.value}, of requests, which it does not serve",
            at=(*at, "kind"),
        )
    if framework == "grpc" and slo.method is not None:
        raise wrong("the method of gRPC as route, such as shop.Orders/Get", f"method {slo.method}", at=(*at, "method"))


class Catalogue(Model):
    """The whole of `services.yaml`."""

    version: Literal[1]
    """Version of this file's format."""
    runbook_base_url: str = Field(pattern=BASE_URL_PATTERN)
    """Where `docs/runbooks/` is published, with a trailing slash; every alert's `runbook_url` begins with it."""
    dashboard_base_url: Annotated[str, Field(pattern=BASE_URL_PATTERN)] | None = None
    """Where dashboards are, with a trailing slash: Grafana's own address. Alerts then lead to them."""
    services: Annotated[tuple[Service, ...], UniqueNames("service")] = Field(min_length=1)
    """Every service. Names are unique."""
    webhooks: dict[str, Annotated[str, Field(pattern=WEBHOOK_PATTERN)]] = Field(default={})
    """Owner to the URL that receives its alerts, or to the path of a mounted file that holds a secret one.
    An owner without one is still alerted in Alertmanager, which then tells nobody. `platform` is whoever gets the
    alerts on what nobody in the catalogue owns; `watchdog` is called every few minutes, and has to raise the alarm
    itself when it is not."""
    freezes: Annotated[tuple[Freeze, ...], UniqueNames("freeze")] = ()
    """When no rollout begins. Going back is never frozen."""

    @field_validator("freezes")
    @classmethod
    def _of_known_services(cls, value: tuple[Freeze, ...], info: ValidationInfo) -> tuple[Freeze, ...]:
        known = {service.name for service in info.data.get("services", ())}
        for number, freeze in enumerate(value):
            for place, name in enumerate(freeze.services):
                if known and name not in known:
                    at = ("freezes", number, "services", place)
                    raise wrong("a service of the catalogue", repr(name), at=at, word=name, words=known)
        return value

    @field_validator("webhooks")
    @classmethod
    def _of_known_owners(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        services: tuple[Service, ...] = info.data.get("services", ())
        owners = {service.owner for service in services}
        for owner in value:
            if owners and owner not in owners | {PLATFORM, HEARTBEAT}:
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
