"""Which of OpenTelemetry's instrumentors are loaded, when, and what becomes of one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_instrumentation import activation, contrib, failures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_failed_yet() -> Iterator[None]:
    """Count failures from nothing."""
    failures.forget()
    yield
    failures.forget()


class Instrumentor:
    """An instrumentor that raises *error*, if any, when it is to instrument."""

    def __init__(self, error: Exception | None = None) -> None:
        self.is_instrumented_by_opentelemetry = False
        self._error = error

    def instrumentation_dependencies(self) -> tuple[str, ...]:
        """Say which releases of the library it is for."""
        return ("redis >= 4",)

    def instrument(self, **options: Any) -> None:
        """Instrument, if the library fits."""
        assert options == {"raise_exception_on_conflict": True}
        if self._error is not None:
            raise self._error
        self.is_instrumented_by_opentelemetry = True


class EntryPoint:
    """An entry point that loads *instrumentor*, or raises it."""

    def __init__(self, name: str, instrumentor: Instrumentor | Exception) -> None:
        self.name = name
        self._instrumentor = instrumentor

    def load(self) -> Any:
        """Return what makes the instrumentor."""
        if isinstance(self._instrumentor, Exception):
            raise self._instrumentor
        return lambda: self._instrumentor


@pytest.mark.parametrize(
    "broken",
    [
        ImportError("built for another Python"),
        Instrumentor(AttributeError("no such class")),
        Instrumentor(ValueError('only instruments "redis >= 4", but found 2.0')),
    ],
    ids=["at import", "at instrument", "its library is too old"],
)
def test_one_that_fails_fails_alone(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once and counted each time, and the next one instruments."""
    good = Instrumentor()

    for _ in range(2):
        contrib.instrument(EntryPoint("redis", broken))
    contrib.instrument(EntryPoint("pika", good))

    assert failures.counts() == {"hooks": 2}
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "the instrumentor redis could not be loaded"
    ]
    assert good.is_instrumented_by_opentelemetry


def test_every_instrumentor_of_the_extra_has_a_library_that_loads_it(root: Path) -> None:
    """What `[contrib]` brings is either watched for or ours."""
    project = tomllib.loads((root / "instrumentation" / "pyproject.toml").read_text())["project"]
    brought = {
        pin.partition("==")[0].removeprefix("opentelemetry-instrumentation-")
        for pin in project["optional-dependencies"]["contrib"]
        if pin.startswith("opentelemetry-instrumentation-")
    }
    # A distribution is called after its entry point, but for these.
    brought |= {"aiobotocore", "httpx2", "confluent_kafka", "kafka", "grpc_client", "grpc_aio_client"}
    brought -= {"confluent-kafka", "kafka-python", "grpc"}

    assert brought == {name for library in activation.LIBRARIES for name in contrib.entry_point_names(library)}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://shop/stock", "http://shop/stock"),
        ("http://shop/stock?token=SECRET&page=2", "http://shop/stock?REDACTED"),
        ("http://shop/stock?a=1?b=2", "http://shop/stock?REDACTED"),
    ],
)
def test_a_query_is_not_said(url: str, said: str) -> None:
    """Names and values: nobody can tell which of them is secret."""
    assert contrib.without_query(url) == said


def test_instrumentors_say_stable_names_and_no_queries(tmp_path: Path) -> None:
    """Both are arranged before the first of them is imported, wherever its spans go."""
    code = (
        "from quarterdeck_instrumentation import contrib\n"
        "class EntryPoint:\n"
        "    name = 'shop'\n"
        "    def load(self):\n"
        "        raise ImportError\n"
        "contrib.instrument(EntryPoint())\n"
        "contrib.instrument(EntryPoint())\n"
        "from opentelemetry.instrumentation._semconv import _set_http_url, _StabilityMode\n"
        "said = {}\n"
        "_set_http_url(said, 'http://shop/?token=SECRET', _StabilityMode.HTTP)\n"
        "import os\n"
        "print(said, os.environ['OTEL_SEMCONV_STABILITY_OPT_IN'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ}
    )

    assert done.stdout == "{'url.full': 'http://shop/?REDACTED'} http,database\n"
