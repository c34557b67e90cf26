"""Ours say of a request what OpenTelemetry's own instrumentations say in stable mode, but for what is listed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = Path(__file__).with_name("upstream_driver.py")
_COMPARED = ("name", "status", "description of the status", "parent", "events", "other spans")

Found = dict[str, dict[str, dict[str, Any]]]
"""Framework → request → its server span."""
Observed = tuple[str, str, str, str, str]
"""What differs, theirs, ours, framework, request."""


@pytest.fixture(scope="module")
def table(root: Path) -> Any:
    """Return the module that lists the differences."""
    spec = importlib.util.spec_from_file_location("differences", root / "tools" / "differences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(side: str) -> Found:
    """Return the spans of every request, under *side*'s instrumentation."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
    done = subprocess.run(
        [sys.executable, DRIVER, side],
        env={**inherited, "OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Found = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def observed(table: Any) -> set[Observed]:
    """Return every difference there is."""
    theirs, ours = run("theirs"), run("ours")
    assert {name: list(requests) for name, requests in theirs.items()} == {
        name: list(requests) for name, requests in ours.items()
    }
    return {
        (what, one, other, framework, request)
        for framework, requests in theirs.items()
        for request, span in requests.items()
        for what, one, other in compared(span, ours[framework][request], table.NOTHING)
    }


def compared(theirs: dict[str, Any], ours: dict[str, Any], nothing: str) -> Iterator[tuple[str, str, str]]:
    """Yield what differs between two spans of one request, with what each says."""
    if ("name" in theirs) != ("name" in ours):
        yield "span", theirs.get("name", nothing), ours.get("name", nothing)
    if "name" not in theirs or "name" not in ours:
        return
    for what in _COMPARED:
        if theirs[what] != ours[what]:
            yield what, str(theirs[what]), str(ours[what])
    for what in sorted(theirs["attributes"].keys() | ours["attributes"].keys()):
        one, other = (str(side["attributes"].get(what, nothing)) for side in (theirs, ours))
        if one != other:
            yield what, one, other


def covers(listed: Any, difference: Observed, nothing: str) -> bool:
    """Say whether *listed* is about *difference*: the same in the same framework, missing on the same side."""
    what, theirs, ours, framework, _ = difference
    missing = [(one == nothing) == (other == nothing) for one, other in ((listed.theirs, theirs), (listed.ours, ours))]
    return what == listed.what and framework in listed.frameworks and all(missing)


def test_every_difference_is_listed(table: Any, observed: set[Observed]) -> None:
    """With its reason: nothing is said otherwise by accident."""
    unlisted = {each for each in observed if not any(covers(row, each, table.NOTHING) for row in table.DIFFERENCES)}

    assert unlisted == set()


def test_every_listed_difference_exists(table: Any, observed: set[Observed]) -> None:
    """In every framework it is listed for, and its example word for word."""
    gone = [
        (row.what, framework)
        for row in table.DIFFERENCES
        for framework in row.frameworks
        if not any(covers(row._replace(frameworks=(framework,)), each, table.NOTHING) for each in observed)
    ]
    examples = {(row.what, row.theirs, row.ours) for row in table.DIFFERENCES}

    assert gone == []
    assert examples - {(what, theirs, ours) for what, theirs, ours, _, _ in observed} == set()


def test_the_release_compared_with_is_the_one_that_is_named(table: Any) -> None:
    """A new one may say something else."""
    assert version("opentelemetry-instrumentation-asgi") == table.RELEASE
