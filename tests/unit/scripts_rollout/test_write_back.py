"""What a rollout made true is printed as a change to the files that `pulumi up` reads."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.rollout.checks.write_back import Sources, change, read

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = """\
# What runs.
version: 1
services:
  - name: cart
    image: localhost/cart:v1
  - image: "localhost/checkout:v1"  # promoted by hand
    name: checkout
"""

STACK = """\
config:
  quarterdeck:images:
    - cart=localhost/cart:v7
    - checkout=localhost/checkout:v1 # until Friday
"""


def test_one_line_of_the_catalogue_changes() -> None:
    """Comments, quotes and everything else stay."""
    assert change(Sources("services.yaml", CATALOGUE), "checkout", "localhost/checkout:v2") == (
        "--- a/services.yaml\n"
        "+++ b/services.yaml\n"
        "@@ -3,5 +3,5 @@\n"
        " services:\n"
        "   - name: cart\n"
        "     image: localhost/cart:v1\n"
        '-  - image: "localhost/checkout:v1"  # promoted by hand\n'
        '+  - image: "localhost/checkout:v2"  # promoted by hand\n'
        "     name: checkout\n"
    )


def test_a_stacks_own_image_goes_before_the_catalogues() -> None:
    """So it is that one which has to change; of a service that it does not name, the catalogue's."""
    sources = Sources("services.yaml", CATALOGUE, "stacks/Pulumi.dev.yaml", STACK)

    changed = change(sources, "checkout", "localhost/checkout:v2")
    assert changed.startswith("--- a/stacks/Pulumi.dev.yaml\n")
    assert "-    - checkout=localhost/checkout:v1 # until Friday\n" in changed
    assert "+    - checkout=localhost/checkout:v2 # until Friday\n" in changed

    other = Sources("services.yaml", CATALOGUE, "stacks/Pulumi.dev.yaml", "config:\n  quarterdeck:images: []\n")
    assert change(other, "checkout", "localhost/checkout:v2").startswith("--- a/services.yaml\n")


def test_files_that_say_so_already_need_no_change() -> None:
    """Also where nothing is said of the service."""
    assert change(Sources("services.yaml", CATALOGUE), "checkout", "localhost/checkout:v1") == ""
    assert change(Sources("services.yaml", CATALOGUE), "billing", "localhost/billing:v1") == ""


def test_the_checkouts_files_are_read_where_there_is_one(tmp_path: Path) -> None:
    """Else the catalogue as deployed, which the cluster has."""
    assert read(tmp_path, "dev", "deployed") == Sources("services.yaml", "deployed")

    (tmp_path / "Pulumi.yaml").write_text("name: quarterdeck\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config: {'quarterdeck:catalogue': ours.yaml}\n")
    (tmp_path / "ours.yaml").write_text(CATALOGUE)

    sources = read(tmp_path, "dev", "deployed")
    assert (sources.catalogue_name, sources.catalogue, sources.stack_name) == (
        "ours.yaml",
        CATALOGUE,
        "stacks/Pulumi.dev.yaml",
    )


@pytest.mark.parametrize("end", ["\n", ""])
def test_git_applies_what_is_printed(tmp_path: Path, end: str) -> None:
    """Also to a file whose last line has no end."""
    git = shutil.which("git")
    assert git
    text = CATALOGUE.rstrip("\n") + end
    (tmp_path / "services.yaml").write_text(text)

    difference = change(Sources("services.yaml", text), "checkout", "localhost/checkout:v2")
    subprocess.run([git, "apply", "-"], input=difference.encode(), cwd=tmp_path, check=True)

    assert (tmp_path / "services.yaml").read_text() == text.replace("checkout:v1", "checkout:v2")
