"""What the instrumentation's tests share."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests import programs

from quarterdeck_instrumentation import activation, failures
from quarterdeck_instrumentation.testing import Recording, recording
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_is_lost_later() -> Iterator[None]:
    """Give up, at a test's end, what its senders still hold: they would count it as lost in a later test's midst."""
    yield
    for thread in threading.enumerate():
        if thread.name == "quarterdeck-spans":
            thread._target.__self__.flush(0.0)  # type: ignore[attr-defined]  # nobody else knows of all senders
    failures.forget()


@pytest.fixture
def free_port() -> int:
    """Return a port that nobody listens on."""
    return programs.free_port()


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object], str], object]:
    """Return a function that waits until a condition is true, and says what did not come."""
    return programs.until


@contextmanager
def patched(*names: str) -> Iterator[None]:
    """Have the modules called *names* patched as activation does it; and undo it, for the sake of other tests."""
    modules = [import_module(name) for name in names]
    owners: dict[Any, dict[str, Any]] = {}
    for module in modules:
        for owner in (module, *(value for value in vars(module).values() if isinstance(value, type))):
            owners[owner] = {name: value for name, value in vars(owner).items() if callable(value) or name[:2] != "__"}
    for module in modules:
        activation._patch(module, activation.FRAMEWORKS[module.__name__])
    try:
        yield
    finally:
        for owner, before in owners.items():
            for name, value in before.items():
                if vars(owner)[name] is not value:
                    setattr(owner, name, value)


@pytest.fixture(scope="session", name="patched")
def _patched() -> Callable[..., AbstractContextManager[None]]:
    """Return the context manager that patches modules for a while."""
    return patched


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Return what the test's requests leave behind."""
    failures.forget()
    with recording() as what:
        yield what


COUNT = "http_server_request_duration_seconds_count"
ACTIVE = "http_server_active_requests"


def outcome(recorded: Recording) -> dict[str, str]:
    """Return the labels of the one series of requests there is, which was counted once; nothing has failed."""
    (sample,) = recorded.page().find(COUNT)
    assert sample.value == 1.0
    assert recorded.page().value(ACTIVE) == 0.0
    assert sum(failures.counts().values()) == 0
    return sample.labels


def labels(route: str, status: str = "200", error: str = "", method: str = "GET", module: str = "") -> dict[str, str]:
    """Return the labels of an outcome over plain HTTP."""
    expected = {"http_request_method": method, "http_route": route, "url_scheme": "http"}
    more = {"http_response_status_code": status, "error_type": error, "quarterdeck_module": module}
    return expected | {name: value for name, value in more.items() if value}


async def comes_true(condition: Callable[[], object]) -> None:
    """Wait until *condition* is true, in the event loop."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(0.005)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs a distribution of one module, with entry points, until the test ends."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def installing(name: str, code: str = "", version: str = "1.0", **entry_points: dict[str, str]) -> None:
        (folder / f"{name.replace('-', '_')}.py").write_text(code)
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        groups = (f"[{group}]\n" + "\n".join(map(" = ".join, points.items())) for group, points in entry_points.items())
        (info / "entry_points.txt").write_text("\n".join(groups) + "\n")

    return installing


class Spans:
    """A provider, and the spans it has finished."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def finished(self) -> list[ReadableSpan]:
        """Return them in the order they ended."""
        return list(self._exporter.get_finished_spans())


@pytest.fixture
def spans(recorded: Recording) -> Spans:
    """Return spans that ours go to as well, of the requests that are recorded."""
    made = Spans()
    recorded.runtime.trace_with(Tracing(made.provider))
    return made
