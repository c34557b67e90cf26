"""`pr-N`: one change's services in dev's cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quarterdeck_contract.access import ROLE
from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.expiry import expired
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def preview(root: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that renders the stack *name* with dev's configuration and overrides `key=value`."""

    def rendered(name: str, *overrides: str) -> list[dict[str, Any]]:
        project = load_project(root)
        file = name if (project.stacks / f"Pulumi.{name}.yaml").is_file() else "dev"
        return [clean(each) for each in render(project, name, load_stack(project, file, overrides)).objects]

    return rendered


def test_a_changes_services_are_in_namespaces_of_its_own(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """Nothing of it is where dev's services are, and nothing is for the whole cluster."""
    objects = preview("pr-42")

    assert {each["metadata"].get("namespace") for each in objects} == {None, "pr-42-shop", "quarterdeck"}
    assert [each["metadata"]["name"] for each in objects if each["metadata"].get("namespace") is None] == ["pr-42-shop"]


def test_it_has_facts_of_its_own_beside_devs(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """Else `--env pr-42` would roll out, and restart, what is dev's."""
    (told,) = [each for each in preview("pr-42") if each["metadata"].get("namespace") == "quarterdeck"]

    facts = EnvironmentFacts.from_data(told["data"])
    assert told["metadata"]["name"] == "quarterdeck-environment-pr-42"
    assert (facts.environment, facts.prometheus_url) == ("pr-42", "http://prometheus.quarterdeck.svc:9090")
    assert "namespace: pr-42-shop" in facts.catalogue


def test_devs_prometheus_finds_its_pods_and_calls_their_cluster_by_its_name(
    preview: Callable[..., list[dict[str, Any]]],
) -> None:
    """By the names of namespaces, since they come and go; no other environment's looks beyond its own."""
    configurations = {
        env: yaml.safe_load(each["data"]["prometheus.yml"])["scrape_configs"]
        for env in ("dev", "prod")
        for each in preview(env)
        if "prometheus.yml" in each.get("data", {})
    }

    (job,) = [each for each in configurations["dev"] if each["job_name"] == "changes"]
    assert job["kubernetes_sd_configs"] == [
        {"role": "pod", "selectors": [{"role": "pod", "label": "quarterdeck.dev/track"}]}
    ]
    namespace = ["__meta_kubernetes_namespace"]
    ours = {"source_labels": namespace, "regex": r"(pr-[1-9]\d*)-.+"}
    assert job["relabel_configs"][0] == {**ours, "action": "keep"}
    assert job["relabel_configs"][-1] == {**ours, "target_label": "cluster"}
    assert "changes" not in {each["job_name"] for each in configurations["prod"]}


def test_its_namespaces_say_how_long_they_are_kept(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """For whoever clears up after changes that nobody closed."""
    (namespace,) = [each for each in preview("pr-42", "previewTtl=12h") if each["kind"] == "Namespace"]

    labels = namespace["metadata"]["labels"]
    assert (labels["quarterdeck.dev/preview"], labels["quarterdeck.dev/ttl"]) == ("pr-42", "12h")
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def _namespace(stack: str, created: str, kept: str = "3d") -> dict[str, Any]:
    labels = {"quarterdeck.dev/preview": stack, "quarterdeck.dev/ttl": kept}
    return {"metadata": {"name": f"{stack}-shop", "creationTimestamp": created, "labels": labels}}


def test_a_change_has_expired_when_each_of_its_namespaces_has() -> None:
    """One that was made later is in use; one that cannot be read keeps its change, and dev's are no change's."""
    namespaces = [
        {"metadata": {"name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}},
        _namespace("pr-1", "2026-05-01T11:59:59Z"),
        _namespace("pr-2", "2026-05-01T12:00:01Z"),
        _namespace("pr-3", "2026-05-01T00:00:00Z"),
        _namespace("pr-3", "2026-05-03T00:00:00Z"),
        _namespace("pr-4", "2026-01-01T00:00:00Z", kept="soon"),
        _namespace("pr-5", "2026-05-04T00:00:00Z", kept="12h"),
    ]

    assert expired(namespaces, datetime(2026, 5, 4, 12, 0, 1, tzinfo=UTC)) == ["pr-1", "pr-5"]


@pytest.mark.parametrize(
    ("stdin", "code", "output"),
    [
        ('{"items": []}', 0, ""),
        (json.dumps({"items": [_namespace("pr-1", "2020-01-01T00:00:00Z")]}), 0, "pr-1\n"),
        ("No resources found", 2, ""),
        ('["pr-1"]', 2, ""),
        ('{"items": [1]}', 2, ""),
    ],
)
def test_expired_changes_are_named_for_pulumi_to_destroy(stdin: str, code: int, output: str) -> None:
    """From what kubectl says; anything else is refused, and names nobody."""
    program = "from quarterdeck_scripts.cli import main; main()"
    command = [sys.executable, "-c", program, "stack", "expired"]
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=280, check=False)

    assert (ended.returncode, ended.stdout) == (code, output)


def test_operators_may_roll_out_a_changes_services(preview: Callable[..., list[dict[str, Any]]]) -> None:
    """Their Role is in its namespace; those of the commands' own namespaces are dev's."""
    granted = [each for each in preview("pr-42", 'operators=["sre"]') if each["metadata"]["name"] == ROLE]

    assert {(each["kind"], each["metadata"]["namespace"]) for each in granted} == {
        ("Role", "pr-42-shop"),
        ("RoleBinding", "pr-42-shop"),
    }


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
