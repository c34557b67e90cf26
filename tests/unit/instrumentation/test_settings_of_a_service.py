"""What a service's environment says, and what it gets when it says nothing sensible."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from quarterdeck_instrumentation import failures, native, settings
from quarterdeck_instrumentation.settings import Settings, choose, effective, origins, read


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
        ({"OTEL_METRICS_EXPORTER": "otlp"}, {"metrics_page": False, "metrics_push": True}),
        ({"OTEL_METRICS_EXPORTER": "prometheus, otlp"}, {"metrics_push": True}),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, {"traces_exporters": ("otlp", "console")}),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, {"traces_exporters": ("otlp",)}),
        ({"QUARTERDECK_HEALTH_PATHS": "/up,/down"}, {"health_paths": frozenset({"/up", "/down"})}),
        ({"QUARTERDECK_HEALTH_PATHS": ""}, {"health_paths": frozenset[str]()}),
        ({"QUARTERDECK_CREATED_TIMESTAMPS": "off"}, {"created_timestamps": False}),
        ({"QUARTERDECK_LABEL_SETS": "10"}, {"label_sets": 10}),
        ({"QUARTERDECK_LOG_RECORDS": "off"}, {"log_records": False}),
        ({"QUARTERDECK_FLUSH_TIMEOUT": "0.25"}, {"flush_timeout": 0.25}),
        (
            {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis, celery"},
            {"disabled_instrumentations": frozenset({"redis", "celery"})},
        ),
    ],
)
def test_each_variable_changes_its_own_setting(environ: dict[str, str], change: dict[str, object]) -> None:
    """Every other setting keeps its default."""
    assert read(environ) == replace(Settings(), **change)  # type: ignore[arg-type]  # the table's values are objects


@pytest.mark.parametrize(
    ("written", "meant"), [("[::1]", "::1"), ("::1", "::1"), ("*", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")]
)
def test_the_pages_address_as_people_write_it(written: str, meant: str) -> None:
    """In brackets as in a URL, or a star as other servers have it; both left the service without a page."""
    address = effective({"OTEL_EXPORTER_PROMETHEUS_HOST": written}).metrics_host

    with closing(native.listen(address, 0)) as listener:
        assert listener.getsockname()[0] == meant


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "http", "a port, a number from 1 to 65535"),
        ("OTEL_METRICS_EXPORTER", "console", "prometheus, otlp or none"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "65536", "a port, a number from 1 to 65535"),
        ("QUARTERDECK_CREATED_TIMESTAMPS", "perhaps", "on or off"),
        ("QUARTERDECK_LABEL_SETS", "0", "a number of at least 1"),
        ("QUARTERDECK_FLUSH_TIMEOUT", "-1", "a number of seconds from 0 to 60"),
        ("QUARTERDECK_FLUSH_TIMEOUT", "nan", "a number of seconds from 0 to 60"),
    ],
)
def test_a_value_that_cannot_be_read_is_counted_and_its_default_used(
    name: str, text: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A typing error never stops a service; the message names the variable and the default."""
    assert read({name: text}) == Settings()

    assert failures.counts()["settings"] == 1
    assert f"{name}: expected {expected}; found {text}; " in caplog.text


@pytest.mark.parametrize(
    ("chosen", "kind", "words"),
    [
        ({"health_paths": "/up"}, TypeError, "health_paths: expected texts, in a set, list or tuple; found '/up'"),
        ({"health_paths": [1]}, TypeError, r"health_paths: expected texts, in a set, list or tuple; found \[1\]"),
        ({"metrics_page": "no"}, TypeError, "metrics_page: expected bool; found 'no'"),
        ({"label_sets": True}, TypeError, "label_sets: expected int; found True"),
        ({"label_sets": 0}, ValueError, "label_sets: expected a number of at least 1; found 0"),
        ({"metrics_port": 70000}, ValueError, "metrics_port: expected a port, a number from 1 to 65535; found 70000"),
        ({"flush_timeout": 61.0}, ValueError, "flush_timeout: expected a number of seconds from 0 to 60; found 61.0"),
        ({"metrics_prot": 1}, TypeError, "metrics_prot"),
    ],
)
def test_a_choice_in_code_that_cannot_be_is_the_services_own_mistake(
    chosen: dict[str, object], kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised where it was made, and nothing is chosen."""
    monkeypatch.setattr(settings, "_chosen", {})

    with pytest.raises(kind, match=words):
        choose(**{"flush_timeout": 1, **chosen})

    assert effective({}) == Settings()


def test_who_says_so_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's code, or a variable; what says no more than the default says nothing."""
    monkeypatch.setattr(settings, "_chosen", {})
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "QUARTERDECK_LABEL_SETS": "10",
        "QUARTERDECK_FLUSH_TIMEOUT": "0.75",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "http",
    }
    choose(label_sets=20, health_paths={"/up"})

    assert effective(environ) == replace(
        Settings(), label_sets=20, health_paths=frozenset({"/up"}), traces_exporters=("otlp",)
    )
    assert origins(environ) == {
        "health_paths": "code",
        "label_sets": "code",
        "traces_exporters": "OTEL_EXPORTER_OTLP_ENDPOINT",
    }
