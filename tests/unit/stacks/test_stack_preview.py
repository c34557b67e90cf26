"""`pr-N`: one change's services in dev's cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from quarterdeck_contract.errors import UsageError


@pytest.fixture
def preview(root: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that renders the stack *name* with dev's configuration and overrides `key=value`."""

    def rendered(name: str, *overrides: str) -> list[dict[str, Any]]:
        project = load_project(root)
        return [clean(each) for each in render(project, name, load_stack(project, "dev", overrides)).objects]

    return rendered


def test_a_changes_services_are_in_namespaces_of_its_own(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """Nothing of it is where dev's services or dev's monitoring are, and nothing is for the whole cluster."""
    objects = preview("pr-42")

    assert {each["metadata"].get("namespace") for each in objects} == {None, "pr-42-shop"}
    assert [each["metadata"]["name"] for each in objects if each["metadata"].get("namespace") is None] == ["pr-42-shop"]


def test_its_namespaces_say_how_long_they_are_kept(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """For whoever clears up after changes that nobody closed."""
    (namespace,) = [each for each in preview("pr-42", "previewTtl=12h") if each["kind"] == "Namespace"]

    labels = namespace["metadata"]["labels"]
    assert (labels["quarterdeck.dev/preview"], labels["quarterdeck.dev/ttl"]) == ("pr-42", "12h")
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_its_spans_say_which_environment_they_are_from(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """They go to dev's collector, among dev's."""
    (deployment,) = [each for each in preview("pr-42") if each["kind"] == "Deployment"]

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value", "") for each in container["env"]}
    assert "deployment.environment.name=pr-42" in variables["OTEL_RESOURCE_ATTRIBUTES"].split(",")


def test_a_change_gets_no_cluster_of_its_own(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """The stack `dev` makes the cluster; a second stack that made it would make another."""
    with pytest.raises(UsageError) as refused:
        preview("pr-42", "clusterKind=gke")

    assert refused.value.expected == "a change's environment in the cluster of dev, which the stack dev makes"
