"""What a service promises: one objective, of whichever kind, with what its kind needs and nothing else."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_dashboards.catalogue.fields import (
    COUNTER_PATTERN,
    METRIC_PATTERN,
    ROUTE_PATTERN,
    Duration,
    Model,
    Name,
)
from quarterdeck_dashboards.catalogue.problem import one_of
from quarterdeck_dashboards.catalogue.validators import wrong
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.slo.calendar import Calendar
from quarterdeck_dashboards.slo.objective import lowest_objective, unfireable
from quarterdeck_dashboards.slo.windows import MAX_PERIOD, MIN_PERIOD, TABLE_PERIOD


class SloKind(enum.StrEnum):
    """What a service level objective measures."""

    AVAILABILITY = "availability"
    """The share of requests that did not end in a server error (5xx)."""
    LATENCY = "latency"
    """The share of successful requests that took no longer than `threshold`."""
    FRESHNESS = "freshness"
    """The share of time in which `metric`, a Unix time such as that of the last success, was no older than
    `threshold`."""
    THROUGHPUT = "throughput"
    """The share of time in which `metric`, a counter, grew by at least `minimum` a second."""
    QUEUE_WAIT = "queue-wait"
    """The share of what was taken from a queue that had waited no longer than `threshold`, by `metric`, a histogram
    in seconds."""
    CUSTOM = "custom"
    """The share of `events`, a selector of counters, that are not among `errors`, another one."""


_REQUESTS = ("route", "method", "module", "operation", "each")
_NEEDS: dict[SloKind, tuple[str, ...]] = {
    SloKind.AVAILABILITY: (),
    SloKind.LATENCY: ("threshold",),
    SloKind.FRESHNESS: ("metric", "threshold"),
    SloKind.THROUGHPUT: ("metric", "minimum"),
    SloKind.QUEUE_WAIT: ("metric", "threshold"),
    SloKind.CUSTOM: ("errors", "events"),
}
"""Fields without which a kind cannot be measured."""
_MAY: dict[SloKind, tuple[str, ...]] = {SloKind.AVAILABILITY: _REQUESTS, SloKind.LATENCY: _REQUESTS}
"""Fields that narrow a kind down."""
_MEANINGS = {
    "threshold": "a threshold, the longest good duration,",
    "metric": "a metric",
    "minimum": "a minimum, per second,",
    "errors": "errors, a selector of counters,",
    "events": "events, a selector of counters,",
}


class Slo(Model):
    """One promise to the service's users."""

    name: Name
    """Unique within the service; part of rule and alert names."""
    kind: SloKind
    """What is promised; decides which of the fields below belong to it."""
    objective: float = Field(strict=True, json_schema_extra={"exclusiveMinimum": 0, "exclusiveMaximum": 100})
    """Promised share of good events, in percent. 100 leaves no error budget, so it is refused."""
    calendar: Calendar | None = None
    """Begin the budget anew with each `week`, `month` or `quarter`, in UTC, and not over a rolling window. Alerts
    reckon with 7, 30 and 90 days."""
    window: Duration = Field(default=TABLE_PERIOD, validate_default=True)
    """The rolling window the promise holds over. 30 days: the SRE workbook's, and Datadog's longest but one."""
    threshold: Duration | None = Field(default=None, validate_default=True)
    """The longest good duration. For `latency` and `queue-wait` it must be a bucket bound of the histogram."""
    route: Annotated[str, Field(pattern=ROUTE_PATTERN)] | None = Field(default=None, validate_default=True)
    """Only requests that this route's template served. A parameter in braces, `/users/{id}`, is found as any framework
    writes it: `/users/<int:id>`, `users/<id>/`. Of gRPC, the method: `shop.Orders/Get`."""
    method: str | None = Field(default=None, validate_default=True)
    """Only requests with this method."""
    module: Annotated[str, Field(min_length=1)] | None = Field(default=None, validate_default=True)
    """Only requests to this module of the service: Django app, Flask blueprint, FastAPI router."""
    operation: Annotated[str, Field(min_length=1)] | None = Field(default=None, validate_default=True)
    """Only requests for this operationId of the service's `openapi` document."""
    each: Literal["operation"] | None = Field(default=None, validate_default=True)
    """`operation`: one such objective for every operation of the `openapi` document, named after it."""
    metric: Annotated[str, Field(pattern=METRIC_PATTERN)] | None = Field(default=None, validate_default=True)
    """OpenTelemetry name of a metric of the contract, or of the service's own `metrics`."""
    minimum: Annotated[float, Field(gt=0)] | None = Field(default=None, validate_default=True)
    """Least good growth per second."""
    errors: Annotated[str, Field(pattern=COUNTER_PATTERN)] | None = Field(default=None, validate_default=True)
    """PromQL selector of the counters of bad events; narrowed to the service's own series and summed."""
    events: Annotated[str, Field(pattern=COUNTER_PATTERN)] | None = Field(default=None, validate_default=True)
    """PromQL selector of the counters of all events."""
    minimum_errors: int = Field(default=5, ge=1, strict=True)
    """Bad events that an alert's long window must hold: what keeps a quiet night's one failure from waking somebody.
    For freshness and throughput, bad seconds."""

    @property
    def over(self) -> str:
        """What the promise holds over, in words: `30d`, or `each month`."""
        return format_duration(self.window) if self.calendar is None else f"each {self.calendar.value}"

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

    @field_validator("window", mode="before")
    @classmethod
    def _is_one_window(cls, value: Any, info: ValidationInfo) -> Any:
        calendar: Calendar | None = info.data.get("calendar")
        if calendar is None:
            return value
        if value != TABLE_PERIOD:
            raise wrong("no window beside calendar", f"{value}")
        return calendar.period

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

    @field_validator("threshold", "metric", "minimum", "errors", "events", *_REQUESTS)
    @classmethod
    def _belongs_to_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        kind, name = info.data.get("kind"), str(info.field_name)
        if kind is None:
            return value
        if value is None and name in _NEEDS[kind]:
            raise wrong(f"{_MEANINGS[name]} for an SLO of the kind {kind.value}", "none")
        if value is not None and name not in (*_NEEDS[kind], *_MAY.get(kind, ())):
            shown = format_duration(value) if isinstance(value, timedelta) else repr(value)
            raise wrong(f"no {name} for an SLO of the kind {kind.value}", shown)
        return value

    @field_validator("threshold")
    @classmethod
    def _is_a_bucket_bound(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if value is not None and info.data.get("kind") is SloKind.LATENCY:
            check_bound(value, HTTP_SERVER_DURATION.name, HTTP_SERVER_DURATION.buckets)
        return value

    @field_validator("method")
    @classmethod
    def _is_a_method(cls, value: str | None) -> str | None:
        if value is not None and value not in l_.HTTP_METHOD.values:
            raise wrong(one_of(l_.HTTP_METHOD.values), repr(value))
        return value

    @field_validator("operation", "each")
    @classmethod
    def _is_named_once(cls, value: str | None, info: ValidationInfo) -> str | None:
        others = [name for name in ("route", "method", "operation") if info.data.get(name) is not None]
        if value is not None and others:
            raise wrong(f"no {others[0]} beside {info.field_name}, which says it already", repr(value))
        return value


def check_bound(
    value: timedelta, metric: str, buckets: tuple[float, ...], at: tuple[str | int, ...] | None = None
) -> None:
    """Refuse a threshold that is no bucket bound of the histogram *metric*, whose *buckets* are in seconds."""
    bounds = [timedelta(seconds=bound) for bound in buckets]
    if value in bounds:
        return
    below = [bound for bound in bounds if bound < value][-1:]
    above = [bound for bound in bounds if bound > value][:1]
    around = " and ".join(format_duration(bound) for bound in below + above)
    raise wrong(
        f"a bucket bound of {metric} (nearest: {around})",
        f"{format_duration(value)}, which the histogram cannot tell from its neighbours",
        at=at,
    )
