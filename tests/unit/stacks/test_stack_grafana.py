"""Grafana as an environment provisions it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.dashboards.files import generated
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]

WITH_TRACES = ("collector=true", "traces=true", "logs=true")


def _pod(objects: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    pod: dict[str, Any] = objects["Deployment", "quarterdeck", "grafana"]["spec"]["template"]["spec"]
    return pod


def _mounted(objects: dict[Any, dict[str, Any]], volume: str) -> dict[str, str]:
    (found,) = [each for each in _pod(objects)["volumes"] if each["name"] == volume]
    data: dict[str, str] = objects["ConfigMap", "quarterdeck", found["configMap"]["name"]]["data"]
    return data


def _datasources(objects: dict[Any, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(_mounted(objects, "datasources")["quarterdeck.yaml"])
    return {each["type"]: each for each in document["datasources"]}


def _environment(objects: dict[Any, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    (container,) = _pod(objects)["containers"]
    return {each["name"]: each for each in container["env"]}


def test_it_has_the_dashboards_that_are_generated_for_review(rendered: Objects, root: Path) -> None:
    """They say the same, so that what is looked at in a change is what people will see."""
    text = (root / "services.yaml").read_text()
    tree = generated(parse(text, "services.yaml", lambda name: (root / name).read_text()))
    expected = {
        path.removeprefix("grafana/"): json.loads(text)
        for path, text in tree.items()
        if path.startswith("grafana/") and path.endswith(".json")
    }

    mounted = _mounted(rendered("prod"), "dashboards")

    assert {name: json.loads(text) for name, text in mounted.items()} == expected


def test_the_folder_that_is_provisioned_is_the_one_that_is_mounted(rendered: Objects) -> None:
    """And nobody can save over it: the next change would undo that."""
    objects = rendered("prod")
    (provider,) = yaml.safe_load(_mounted(objects, "provider")["quarterdeck.yaml"])["providers"]
    (container,) = _pod(objects)["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}

    assert provider["options"]["path"] == mounts["dashboards"]
    assert provider["allowUiUpdates"] is False


def test_an_exemplar_leads_to_its_trace(rendered: Objects) -> None:
    """By the uid of the data source that has the traces."""
    sources = _datasources(rendered("prod", *WITH_TRACES))

    (link,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (link["name"], link["datasourceUid"]) == ("trace_id", sources["tempo"]["uid"])


def test_data_sources_are_what_the_environment_has(rendered: Objects) -> None:
    """One that nothing answers would be an error on every page; each address is in the pod's environment."""
    few = rendered("dev")
    many = rendered("dev", *WITH_TRACES)

    assert _datasources(few).keys() == {"prometheus"}
    assert "exemplarTraceIdDestinations" not in _datasources(few)["prometheus"]["jsonData"]
    assert _datasources(many).keys() == {"prometheus", "tempo", "loki"}
    for each in _datasources(many).values():
        assert _environment(many)[each["url"].removeprefix("$")]["value"].startswith("http://")


def test_where_thanos_has_the_past_it_is_asked_by_dashboards_and_commands(rendered: Objects) -> None:
    """One Prometheus has a part of it, and not the long windows that the ruler records."""
    objects = rendered(
        "prod", "monitoringScale=distributed", "objectStore=s3://samples?region=eu-west-1", "objectStoreIdentity=role"
    )
    facts = objects["ConfigMap", "quarterdeck", "quarterdeck-environment"]["data"]

    url = "http://thanos-query.quarterdeck.svc:10902"
    assert _environment(objects)["PROMETHEUS_URL"]["value"] == facts["prometheus-url"] == url


def test_a_changed_catalogue_rolls_it(objects_of: Objects, root: Path, tmp_path: Path) -> None:
    """The ConfigMap of dashboards is named after its content."""
    other = tmp_path / "services.yaml"
    other.write_text((root / "services.yaml").read_text().replace("owner: ", "owner: other-"))

    volumes = [_pod(objects_of("dev", *more))["volumes"] for more in ((), (), (f"catalogue={other}",))]

    assert volumes[0] == volumes[1] != volumes[2]


def test_the_password_is_a_reference_to_a_secret_that_the_rendering_leaves_out(root: Path) -> None:
    """Whether the stack makes the Secret, from a Pulumi secret, or somebody else does."""
    project = load_project(root)
    made = render(project, "dev", load_stack(project, "dev", ["grafanaPassword=hunter2"]))
    (container,) = [
        each["spec"]["template"]["spec"]["containers"][0]
        for each in made.objects
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "grafana"
    ]
    (password,) = [each for each in container["env"] if each["name"] == "GF_SECURITY_ADMIN_PASSWORD"]

    assert password["valueFrom"] == {"secretKeyRef": {"name": "grafana-admin", "key": "password"}}
    assert any("quarterdeck/grafana-admin" in each for each in made.left_out)
    assert "hunter2" not in repr(made)


def test_it_asks_nothing_of_anybody_outside(rendered: Objects) -> None:
    """Neither updates nor plugins nor statistics: its policy would not let it, and it would wait for that."""
    variables = _environment(rendered("prod"))

    assert {
        name: variables[name]["value"]
        for name in (
            "GF_ANALYTICS_REPORTING_ENABLED",
            "GF_ANALYTICS_CHECK_FOR_UPDATES",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
            "GF_PLUGINS_PREINSTALL_DISABLED",
        )
    } == {
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    }


def test_without_grafana_there_is_nothing_of_it(rendered: Objects) -> None:
    """No object, no policy, no dashboards."""
    assert [key for key in rendered("dev", "grafana=false") if "grafana" in key[2]] == []
