"""What a service's environment says, and what it gets when it says nothing sensible."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.settings import Settings, read


@pytest.fixture(autouse=True)
def _no_failures() -> None:
    """Begin with nothing said and nothing counted."""
    failures.forget()


def test_an_empty_environment_gives_the_defaults() -> None:
    """The defaults are OpenTelemetry's, and no spans are sent."""
    assert read({}) == Settings()
    assert Settings().metrics_host == "localhost"
    assert Settings().metrics_port == 9464
    assert Settings().traces_exporters == ()


@pytest.mark.parametrize(
    ("environ", "change"),
    [
        ({"OTEL_EXPORTER_PROMETHEUS_HOST": "127.77.1.2"}, {"metrics_host": "127.77.1.2"}),
        ({"OTEL_EXPORTER_PROMETHEUS_PORT": "9999"}, {"metrics_port": 9999}),
        ({"OTEL_METRICS_EXPORTER": "none"}, {"metrics_page": False}),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, {}),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, {"traces_exporters": ("otlp", "console")}),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, {"traces_exporters": ("otlp",)}),
        ({"QUARTERDECK_HEALTH_PATHS": "/up,/down"}, {"health_paths": frozenset({"/up", "/down"})}),
        ({"QUARTERDECK_HEALTH_PATHS": ""}, {"health_paths": frozenset[str]()}),
        ({"QUARTERDECK_CREATED_TIMESTAMPS": "off"}, {"created_timestamps": False}),
        ({"QUARTERDECK_LABEL_SETS": "10"}, {"label_sets": 10}),
        ({"QUARTERDECK_FLUSH_TIMEOUT": "0.25"}, {"flush_timeout": 0.25}),
    ],
)
def test_each_variable_changes_its_own_setting(environ: dict[str, str], change: dict[str, object]) -> None:
    """Every other setting keeps its default."""
    assert read(environ) == replace(Settings(), **change)  # type: ignore[arg-type]  # the table's values are objects


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "http"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "65536"),
        ("QUARTERDECK_CREATED_TIMESTAMPS", "perhaps"),
        ("QUARTERDECK_LABEL_SETS", "0"),
        ("QUARTERDECK_FLUSH_TIMEOUT", "-1"),
        ("QUARTERDECK_FLUSH_TIMEOUT", "nan"),
    ],
)
def test_a_value_that_cannot_be_read_is_counted_and_its_default_used(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A typing error never stops a service; the message names the variable and the default."""
    assert read({name: text}) == Settings()

    assert failures.counts()["settings"] == 1
    assert f"{name}={text} cannot be read" in caplog.text
