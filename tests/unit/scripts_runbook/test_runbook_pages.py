"""The committed pages are the docstrings, and every runbook has a proper one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.runbook.command import pages
from quarterdeck_scripts.runbook.documents import documents
from quarterdeck_scripts.runbook.registry import runbooks

if TYPE_CHECKING:
    from pathlib import Path


def test_the_committed_pages_are_the_docstrings(root: Path) -> None:
    """What an alert's URL shows is what `for-alert` prints."""
    present = {file.name: file.read_text(encoding="utf-8") for file in (root / "docs" / "runbooks").glob("*.md")}

    assert present == documents(runbooks().values())


@pytest.mark.parametrize("name", list(runbooks()))
def test_a_page_says_what_it_is_for(name: str) -> None:
    """A summary that is a sentence, and sections below it; an action says when it is done and what it refuses."""
    page = runbooks()[name].page

    assert re.fullmatch(r"[A-Z].*\.", page.summary())
    sections = re.findall(r"^## (.*)$", page.body(), re.MULTILINE)
    if runbooks()[name].action:
        assert {"When", "What it does", "When it is done", "Refused"} <= set(sections)
    else:
        assert sections[:2] == ["What it means", "First look"]


def test_check_names_what_is_stale(tmp_path: Path) -> None:
    """Altered, missing and surplus files; writing mends all three."""
    pages.main(args=["--out", str(tmp_path)], standalone_mode=False)
    pages.main(args=["--out", str(tmp_path), "--check"], standalone_mode=False)
    (tmp_path / "drain.md").write_text("# by hand\n")
    (tmp_path / "scale.md").unlink()
    (tmp_path / "surplus.md").write_text("")

    with pytest.raises(QuarterdeckError) as caught:
        pages.main(args=["--out", str(tmp_path), "--check"], standalone_mode=False)

    assert caught.value.found == "others: drain.md, scale.md, surplus.md"
    assert caught.value.exit_code == 1
    pages.main(args=["--out", str(tmp_path)], standalone_mode=False)
    pages.main(args=["--out", str(tmp_path), "--check"], standalone_mode=False)
