"""Instrumentation takes whatever the order of imports, and costs nothing until a framework is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURED = """
import asyncio
from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.testing import recording

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    pass

with recording() as recorded:
    scope = {"type": "http", "method": "GET", "path": "/a", "headers": [], "query_string": b"", "scheme": "http"}
    asyncio.run(FastAPI()(scope, receive, send))
    print(recorded.page().value("http_server_request_duration_seconds_count"))
"""
"""Serves one request with FastAPI, and prints how often it was counted."""

LIGHT = {
    "__future__",
    "atexit",
    "fcntl",
    "importlib",
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "warnings",
}
"""What a Python child that serves nothing may have imported for us: 2 ms. `typing` alone would be 11, `socket` 11,
`logging` 15, `dataclasses` 18, `opentelemetry.trace` 30."""


def python(code: str) -> str:
    """Run *code* in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "imports",
    [
        "import quarterdeck_instrumentation.auto\nfrom fastapi import FastAPI",
        "from fastapi import FastAPI\nimport quarterdeck_instrumentation.auto",
        "from fastapi import FastAPI\nimport quarterdeck_instrumentation\nquarterdeck_instrumentation.activate()",
        "import quarterdeck_instrumentation.auto\nfrom fastapi import FastAPI\nquarterdeck_instrumentation.activate()",
        "import starlette.applications\nimport quarterdeck_instrumentation.auto\nfrom fastapi import FastAPI",
    ],
    ids=["before", "after", "by call", "twice", "between"],
)
def test_a_request_is_measured_once(imports: str) -> None:
    """Before the framework, after it, between its parts, or twice."""
    assert python(imports + MEASURED) == "1.0\n"


def test_importing_the_package_changes_nothing() -> None:
    """Activation is asked for."""
    code = "import sys; before = sys.meta_path[:]; import quarterdeck_instrumentation; print(sys.meta_path == before)"

    assert python(code) == "True\n"


def test_a_child_that_serves_nothing_pays_next_to_nothing() -> None:
    """Activated, it has imported nothing that costs anything."""
    code = "import sys\nimport quarterdeck_instrumentation.auto\nprint(*sorted(sys.modules))"
    bare = set(python("import sys\nprint(*sorted(sys.modules))").split())

    added = set(python(code).split()) - bare

    assert {name for name in added if not name.startswith("quarterdeck")} <= LIGHT
    assert {name for name in added if name.startswith("quarterdeck")} == {
        "quarterdeck_contract",
        "quarterdeck_contract.kubernetes",
        "quarterdeck_instrumentation",
        "quarterdeck_instrumentation.activation",
        "quarterdeck_instrumentation.auto",
        "quarterdeck_instrumentation.exposition",
        "quarterdeck_instrumentation.exposition.session",
        "quarterdeck_instrumentation.failures",
    }


def test_a_framework_that_is_not_understood_still_works() -> None:
    """A class that is gone or renamed is said once and counted; the module is what it was."""
    code = """
import sys, types
import quarterdeck_instrumentation.auto
from quarterdeck_instrumentation import activation, failures
activation._patch(types.ModuleType("uvicorn.server"), activation.FRAMEWORKS["uvicorn.server"])
print(failures.counts()["hooks"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout == "1\n"
    assert done.stderr.startswith("uvicorn.server could not be instrumented (AttributeError")


def test_a_modules_loader_is_the_one_it_would_have_had() -> None:
    """Whoever asks it for source or resources gets the real one."""
    code = """
import quarterdeck_instrumentation.auto
import inspect, starlette.applications
print(type(starlette.applications.__loader__).__name__, "exec_module" in vars(starlette.applications.__loader__))
print("class Starlette" in inspect.getsource(starlette.applications))
"""
    assert python(code) == "SourceFileLoader False\nTrue\n"
