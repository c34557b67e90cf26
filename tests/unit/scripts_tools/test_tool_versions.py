"""Which version a binary says it is, and whether that will do."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.tools.catalogue import tools_named
from quarterdeck_scripts.tools.installation import look
from quarterdeck_scripts.tools.probe import compatible, version_in, version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.tools.settings import Settings

(ETCD,) = tools_named(["etcd"])


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Kubernetes v1.36.3\n", "1.36.3"),
        ("etcd Version: 3.6.8\nGit SHA: Not provided\nGo Version: go1.26.8\n", "3.6.8"),
        ("kwok version v0.8.0 go1.26.8 (linux/amd64)\n", "0.8.0"),
        ("prometheus, version 3.16.0 (branch: HEAD, revision: 5e8b1cb)\n  go version: go1.26.8\n", "3.16.0"),
        ("prometheus, version 3.17.0-rc.1 (branch: HEAD)\n", "3.17.0-rc.1"),
        ("prometheus, version  (branch: , revision: unknown)\n  go version: go1.26.8\n", None),
        ("", None),
    ],
)
def test_the_version_is_the_first_lines(output: str, version: str | None) -> None:
    """Later lines name the Go it was built with, which is no version of the tool."""
    assert version_in(output) == version


@pytest.mark.parametrize(
    ("found", "will_do"),
    [
        ("1.36.3", True),
        ("1.36.9", True),
        ("1.36.0", True),
        ("1.35.3", False),
        ("2.36.3", False),
        ("1.36.4-rc.0", False),
    ],
)
def test_any_patch_of_the_pinned_minor_version_will_do(found: str, *, will_do: bool) -> None:
    """A patch mends; a minor version brings and takes away; a pre-release is neither."""
    assert compatible("1.36.3", found) is will_do


def test_a_binary_that_fails_says_no_version(script: Callable[..., Path], settings: Settings) -> None:
    """What it prints before failing is not its version."""
    assert version_of(script("etcd", "echo 3.6.8", "exit 1"), ETCD, settings) is None


def test_a_file_that_is_no_program_says_no_version(tmp_path: Path, settings: Settings) -> None:
    """A half-written download marked executable, for example."""
    broken = tmp_path / "etcd"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)

    assert version_of(broken, ETCD, settings) is None


def test_a_binary_that_hangs_is_ended_at_the_deadline(script: Callable[..., Path], settings: Settings) -> None:
    """A program of the same name that waits for input or a network holds nobody up."""
    hanging = script("etcd", "exec /bin/sleep 60")
    began = time.monotonic()

    assert version_of(hanging, ETCD, replace(settings, probe_deadline=0.2)) is None
    assert time.monotonic() - began < 30


def test_a_tool_on_path_is_used_when_its_version_fits(script: Callable[..., Path], settings: Settings) -> None:
    """What a user has installed comes first."""
    binary = script("etcd", "echo etcd Version: 3.6.11")

    found = look(ETCD, settings)

    assert (found.path, found.origin, found.passed_over) == (binary, "PATH", ())


def test_a_tool_on_path_of_another_version_is_passed_over_and_said(
    script: Callable[..., Path], settings: Settings
) -> None:
    """Silence would leave a person wondering why their etcd is not used."""
    binary = script("etcd", "echo etcd Version: 3.5.21")

    found = look(ETCD, settings)

    assert found.path is None
    assert found.passed_over == (f"{binary}: it reports 3.5.21, and 3.6.8 is needed",)


def test_a_tool_that_is_nowhere_says_where_it_would_come_from(settings: Settings) -> None:
    """`tools list` shows it."""
    found = look(ETCD, settings)

    assert (found.path, found.origin) == (None, "go.etcd.io/etcd/server/v3 v3.6.8, to be built")
