"""What the catalogue's values look like: types shared by its models, and what each pattern means in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from quarterdeck_dashboards.catalogue.validators import duration
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.quantity import QUANTITY_PATTERN

_DURATION_SCHEMA = {"type": "string", "pattern": r"^([0-9]+(y|w|d|h|ms|m|s))+$", "examples": ["250ms", "5m", "30d"]}

Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A Prometheus duration as text: `250ms`, `30s`, `5m`, `30d`."""

NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$"
IMAGE_PATTERN = r"^[^\s:@]+(?::[0-9]+/[^\s:@]+)?:[A-Za-z0-9_.-]+(@sha256:[0-9a-f]{64})?$"
PATH_PATTERN = r"^/\S*$"
BASE_URL_PATTERN = r"^https?://\S+/$"
WEBHOOK_PATTERN = r"^(https?://|/)\S+$"
ROUTE_PATTERN = r"^(/\S*|[A-Za-z_][\w.]*/\w+)$"
METRIC_PATTERN = r"^[A-Za-z][-A-Za-z0-9_./]{0,254}$"
LABEL_PATTERN = r"^[A-Za-z_][-A-Za-z0-9_.]*$"
COUNTER_PATTERN = r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?$"
URL_PATTERN = r"^https?://\S+$"
CIDR_PATTERN = r"^[0-9a-f.:]+/[0-9]{1,3}$"
ALERT_PATTERN = r"^[A-Z][A-Za-z0-9]*$"

PATTERN_WORDS = {
    NAME_PATTERN: "a DNS label of at most 50 characters: a-z, 0-9 and -, beginning with a letter",
    IMAGE_PATTERN: "an image with its tag, such as registry.example/checkout:v1",
    PATH_PATTERN: "a path that begins with /",
    BASE_URL_PATTERN: "an http or https URL that ends with /",
    ROUTE_PATTERN: "a path that begins with /, or a method of gRPC such as shop.Orders/Get",
    METRIC_PATTERN: "an OpenTelemetry instrument name, such as jobs.last_success",
    LABEL_PATTERN: "an attribute name, such as queue.name",
    COUNTER_PATTERN: 'a selector of one metric, such as payments_total{result="refused"}',
    URL_PATTERN: "an http or https URL",
    CIDR_PATTERN: "a range of addresses, such as 10.20.0.0/16",
    QUANTITY_PATTERN: "a quantity, such as 250m or 512Mi",
    ALERT_PATTERN: "the name of an alert, such as ErrorBudgetBurn",
    WEBHOOK_PATTERN: "an http or https URL, or the absolute path of a file that holds one",
}
"""What each pattern means, in words, for messages."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A DNS label that leaves room for suffixes such as `-canary` within Kubernetes' 63 characters."""


class Model(BaseModel):
    """Frozen, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
