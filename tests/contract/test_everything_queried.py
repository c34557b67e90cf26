"""Everything installed here that asks a question asks for what is emitted, and every alert leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quarterdeck_dashboards.alerts import RUNBOOKS
from quarterdeck_dashboards.catalogue import load, parse
from quarterdeck_dashboards.check.run import check, registered_pages, registered_queries

if TYPE_CHECKING:
    from pathlib import Path


def test_generated_rules_gates_and_runbooks_have_no_finding(root: Path) -> None:
    """Rules of the repository's catalogue, and every query that an installed package registers."""
    catalogue = load(root / "services.yaml")
    result = check(catalogue, scrape_interval=timedelta(seconds=15))

    assert result.findings == ()
    assert result.queries > len(registered_queries(catalogue)) > 0


@pytest.mark.parametrize(
    "slos",
    ["", "    slos: [{name: availability, kind: availability, objective: 99.5, window: 7d}]\n"],
    ids=["none", "7d"],
)
def test_gates_and_runbooks_ask_for_what_this_catalogue_records(slos: str) -> None:
    """A report on objectives asks for the windows that are promised, and for nothing where nothing is."""
    text = "version: 1\nrunbook_base_url: https://example.org/\nservices:\n"
    catalogue = parse(f"{text}  - name: checkout\n    owner: payments\n    image: a/b:v1\n{slos}", "services.yaml")

    assert check(catalogue, scrape_interval=timedelta(seconds=15)).findings == ()


def test_every_alert_has_a_page_that_is_registered_and_written(root: Path) -> None:
    """Its id is the end of the alert's `runbook_url`."""
    pages = set(RUNBOOKS.values())

    assert pages - registered_pages() == set()
    assert {page for page in pages if not (root / "docs/runbooks" / f"{page}.md").exists()} == set()


def test_the_command_says_so_from_the_repositorys_root(root: Path) -> None:
    """Exit code 0, nothing on stdout, the count on stderr."""
    ended = subprocess.run(
        [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", "contract", "check"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.endswith(" alerts, 0 findings.\n")
