"""What every test may ask for, and the rule that nothing is skipped unseen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
"""The repository."""

SKIPS = ROOT / ".ci" / "skips"
"""The skips CI accepts: `<test id>  # <reason>`, one a line. Any other skip fails the run."""


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def tool() -> Callable[[str], Path]:
    """Return a function from a tool's name to its binary, installed on first use."""
    found: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in found:
            from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- only tests that need a tool pay for it

            found.update(install([name]))
        return found[name]

    return get


_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each skip."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail the run in CI when a test was skipped that `.ci/skips` does not list."""
    yield
    if not os.environ.get("CI"):
        return
    listed = {line.split("#")[0].strip() for line in SKIPS.read_text().splitlines()}
    unlisted = sorted(set(_skipped) - listed)
    if unlisted:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nSkipped, but not listed in {SKIPS.name}: {', '.join(unlisted)}")  # noqa: T201 -- pytest's own output
