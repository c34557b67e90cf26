"""The collectors' configurations of each environment, as rendered, judged by the collector itself.

Two components cannot be built from the Go module proxy: the load-balancing exporter and the file log receiver. Their
settings are held against the keys of their own schemas, and the rest is judged with OTLP in their places.
"""

from __future__ import annotations

import copy
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.tools

ENVIRONMENTS = {
    "dev": [],
    "staging": [],
    "prod": [],
    "distributed": ["monitoringScale=distributed", "objectStore=s3://kept?region=eu-central-1"],
}
"""Name to what is set beside the stack's file; `distributed` is prod's."""

BALANCING = {
    "routing_key",
    "routing_attributes",
    "resolver",
    "protocol",
    "timeout",
    "sending_queue",
    "retry_on_failure",
}
"""Those keys of contrib's exporter/loadbalancingexporter/config.schema.yaml that are ours."""
RESOLVING = {"hostname", "port", "interval", "timeout"}
"""Of its `dns_resolver`."""
READING = {
    "include",
    "exclude",
    "include_file_path",
    "include_file_name",
    "start_at",
    "storage",
    "operators",
}
"""Those keys that are ours of the file log receiver's README."""


@pytest.fixture(scope="module")
def configurations(root: Path) -> dict[str, dict[str, Any]]:
    """Return each environment's collector configurations by the name of their program."""
    project = load_project(root)
    found: dict[str, dict[str, Any]] = {}
    for name, more in ENVIRONMENTS.items():
        stack = "prod" if name == "distributed" else name
        rendered = render(project, stack, load_stack(project, stack, more))
        found[name] = {
            each["metadata"]["labels"]["app.kubernetes.io/name"]: yaml.safe_load(each["data"]["config.yaml"])
            for each in rendered.objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith("otel-collector")
        }
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environments_collectors_accept_their_configurations(
    tool: Callable[[str], Path], configurations: dict[str, dict[str, Any]], environment: str, tmp_path: Path
) -> None:
    """Every component, every key, every OTTL statement, and that every pipeline is joined up."""
    programs = configurations[environment]
    assert {"otel-collector-agent", "otel-collector-gateway"} <= programs.keys()
    for name, document in programs.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(_buildable(document)))
        checked = subprocess.run(
            [tool("otelcol-contrib"), "validate", f"--config={path}"],
            env={"POD_IP": "127.0.0.1", "POD_NAME": "a", "KUBE_NODE_NAME": "node"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (checked.returncode, checked.stderr) == (0, ""), name


def test_what_cannot_be_built_has_keys_of_its_own_schema(configurations: dict[str, dict[str, Any]]) -> None:
    """The load-balancing exporter and the file log receiver."""
    prod = configurations["prod"]

    for name, exporter in prod["otel-collector-agent"]["exporters"].items():
        if name.startswith("load_balancing/"):
            assert exporter.keys() <= BALANCING
            assert exporter["resolver"].keys() == {"dns"}
            assert exporter["resolver"]["dns"].keys() <= RESOLVING
            assert exporter["protocol"].keys() == {"otlp"}
    assert prod["otel-collector-log-reader"]["receivers"]["file_log"].keys() <= READING


def _buildable(document: dict[str, Any]) -> dict[str, Any]:
    """Return *document* with OTLP where a component cannot be built, with the settings that both have."""
    document, names = copy.deepcopy(document), {}
    for name, exporter in document["exporters"].items():
        if name.startswith("load_balancing/"):
            names[name] = name.replace("load_balancing", "otlp")
            shared = {key: exporter[key] for key in ("sending_queue", "retry_on_failure")}
            document["exporters"][name] = {**exporter["protocol"]["otlp"], **shared, "endpoint": "127.0.0.1:4317"}
    document["exporters"] = {names.get(name, name): each for name, each in document["exporters"].items()}
    if "file_log" in document["receivers"]:
        names["file_log"] = "otlp"
        document["receivers"] = {"otlp": {"protocols": {"grpc": {}}}}
    for pipeline in document["service"]["pipelines"].values():
        for part in ("receivers", "exporters"):
            pipeline[part] = [names.get(name, name) for name in pipeline[part]]
    return document
