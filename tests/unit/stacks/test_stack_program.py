"""The program as Pulumi's language host runs it: its own process, the program's folder, an engine behind gRPC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]  # grpc ships no types
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]  # protobuf ships no types
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from quarterdeck_stacks.capture import Monitor, Registration
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import StackConfig, load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from pathlib import Path

HOST = """\
import asyncio, logging, os, runpy, sys
import pulumi, pulumi.runtime

monitor, engine, folder, stack, dry_run = sys.argv[1:]
pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
pulumi.runtime.configure(
    pulumi.runtime.Settings(
        project="quarterdeck", stack=stack, monitor=monitor, engine=engine, parallel=16, dry_run=dry_run == "true"
    )
)
sys.argv = ["."]
os.chdir(folder)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
try:
    asyncio.run(pulumi.runtime.run_in_stack(lambda: runpy.run_path(".", run_name="__main__") and None))
except pulumi.RunError as error:
    pulumi.log.error(str(error))
    sys.exit(1)
"""
"""What `pulumi-language-python-exec` does, which is part of the Pulumi CLI and not of its SDK."""

KUBECONFIG = """\
apiVersion: v1
kind: Config
"""


UID = "0d2f5a52-8c55-4f4c-9d3e-2f7a4a1f9c11"
"""Of the namespace kube-system in the cluster here."""


class _Monitor(Monitor, resource_pb2_grpc.ResourceMonitorServicer):
    """The same monitor, behind gRPC, with a cluster that says its UID if anybody can reach it yet."""

    def __init__(self, stack: str, *, reached: bool = True) -> None:
        super().__init__("quarterdeck", stack)
        self._reached = reached

    def ReadResource(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Answer for the namespace kube-system: in a preview whose provider is not known, with nothing."""
        del context
        known = {"metadata": {"name": request.id, "uid": UID}} if self._reached else {}
        properties = json_format.Parse(json.dumps(known), struct_pb2.Struct())
        return resource_pb2.ReadResourceResponse(urn=f"urn:read::{request.name}", properties=properties)


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def Log(self, request: Any, context: object) -> Any:  # noqa: N802 -- Pulumi's name
        """Keep what the program says."""
        del context
        if request.severity != engine_pb2.DEBUG:
            self.said.append(request.message)
        return empty_pb2.Empty()


class _Host:
    """A program's engine, and the process that runs the program."""

    def __init__(self, root: Path, kubeconfig: Path, monitor: _Monitor | None = None) -> None:
        self.monitor = monitor or _Monitor("local")
        self.engine = _Engine()
        self._root = root
        self._kubeconfig = kubeconfig
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self.monitor, self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(self.engine, self._server)
        self._address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def run(self, *overrides: str, stack: str = "local", preview: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the program with the stack's configuration, as the CLI hands it over."""
        file = "dev" if stack.startswith("pr-") else stack
        config: StackConfig = load_stack(load_project(self._root), file, [f"kubeconfig={self._kubeconfig}", *overrides])
        arguments = (self._address, self._address, str(self._root / "stacks"), stack, str(preview).lower())
        self._server.start()
        try:
            return subprocess.run(
                [sys.executable, "-c", HOST, *arguments],
                env={**os.environ, "PULUMI_CONFIG": json.dumps(config.values)},
                cwd=self._root,
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
        finally:
            self._server.stop(grace=None).wait()


@pytest.fixture
def host(root: Path, tmp_path: Path) -> _Host:
    """Return the repository's program with a kubeconfig of its own."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    return _Host(root, kubeconfig)


def _kubernetes(host: _Host) -> list[Registration]:
    return [each for each in host.monitor.registered if each.type.startswith("kubernetes:")]


def test_every_object_has_the_explicit_provider(host: _Host) -> None:
    """None can land in whatever cluster the ambient kubeconfig names."""
    ended = host.run()

    assert (ended.returncode, ended.stderr, host.engine.said) == (0, "", [])
    (provider,) = [each for each in host.monitor.registered if each.type == "pulumi:providers:kubernetes"]
    urn = "urn:pulumi:local::quarterdeck::pulumi:providers:kubernetes::cluster"
    assert provider.name == "cluster"
    assert {each.provider for each in _kubernetes(host)} == {f"{urn}::cluster"}


def test_the_kubeconfig_is_a_secret_in_pulumis_state(host: _Host) -> None:
    """Its contents, so that another cluster behind the same path is another cluster to Pulumi."""
    host.run()

    (provider,) = [each for each in host.monitor.registered if each.type == "pulumi:providers:kubernetes"]
    kubeconfig = provider.inputs["kubeconfig"]
    assert kubeconfig["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    assert kubeconfig["value"] == KUBECONFIG
    assert provider.inputs["enableConfigMapMutable"] == "true"
    assert provider.inputs["deleteUnreachable"] == "true"
    assert "enablePatchForce" not in provider.inputs


def test_every_object_waits_for_its_namespace_and_has_a_component_as_parent(host: _Host) -> None:
    """So `pulumi up` never asks for a namespace that is not there, and `destroy` goes the other way."""
    host.run()

    for each in _kubernetes(host):
        parent_type = each.parent.split("::")[2].rpartition("$")[2]
        namespace = each.inputs["metadata"].get("namespace")
        assert parent_type.startswith("quarterdeck:"), each.name
        assert namespace is None or any(
            urn.endswith(f"$kubernetes:core/v1:Namespace::{namespace}") for urn in each.depends_on
        ), each.name


def test_every_object_is_named_by_the_program(host: _Host) -> None:
    """Pulumi would append a random suffix to a name that it makes up."""
    host.run()

    assert all(each.inputs["metadata"].get("name") for each in _kubernetes(host))


def test_a_wrong_configuration_is_said_plainly_before_anything_is_registered(host: _Host) -> None:
    """As one message of the program, without a traceback."""
    ended = host.run("scrapeIntervall=1s")

    assert (ended.returncode, ended.stderr) == (1, "")
    assert host.monitor.registered == []
    assert [message.splitlines()[1:] for message in host.engine.said] == [
        ["Found scrapeIntervall.", "Next: write scrapeInterval in Pulumi.local.yaml."]
    ]


def test_a_cluster_that_is_not_there_is_said_plainly(host: _Host) -> None:
    """With how to start it."""
    ended = host.run("kubeconfig=nowhere/kubeconfig")

    assert ended.returncode == 1
    assert host.monitor.registered == []
    (message,) = host.engine.said
    assert "nowhere/kubeconfig" in message
    assert "Next: start the cluster (`quarterdeck local up`), or `pulumi config set kubeconfig …`." in message


@pytest.mark.parametrize(
    ("stack", "reached"),
    [("local", False), ("dev", False), ("staging", False), ("prod", False), ("pr-7", False), ("prod", True)],
)
def test_a_preview_registers_what_a_rendering_has_although_outputs_are_unknown(
    root: Path, tmp_path: Path, stack: str, *, reached: bool
) -> None:
    """In a dry run every output of a provider may be unknown: nothing may wait for one, or be left out without."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    host = _Host(root, kubeconfig, _Monitor(stack, reached=reached))

    ended = host.run(stack=stack, preview=True)

    assert (ended.returncode, ended.stderr, host.engine.said) == (0, "", [])
    project = load_project(root)
    config = load_stack(project, "dev" if stack == "pr-7" else stack, [f"kubeconfig={kubeconfig}"])
    rendered = {_key(clean(each)) for each in render(project, stack, config).objects}
    registered = {_key(each.inputs): each for each in _kubernetes(host)}
    assert registered.keys() == rendered
    unknown = {key for key, each in registered.items() if UNKNOWN in json.dumps(each.inputs)}
    told = {key for key in rendered if key[0] == "ConfigMap" and key[2].startswith("quarterdeck-environment")}
    assert unknown == (set() if reached or stack == "local" else told)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_no_pod_is_there_before_the_policies_of_its_namespace(root: Path, tmp_path: Path, stack: str) -> None:
    """Else a new pod has every connection until its policy is made; and on the way down its policy goes last."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    host = _Host(root, kubeconfig, _Monitor(stack))

    host.run(stack=stack)

    denied = {
        each.inputs["metadata"]["namespace"]: f"::{each.name}"
        for each in _kubernetes(host)
        if each.type.endswith(":NetworkPolicy") and each.inputs["metadata"]["name"] == "default-deny"
    }
    pods = [each for each in _kubernetes(host) if "template" in each.inputs.get("spec", {})]
    assert denied.keys() == {each.inputs["metadata"]["namespace"] for each in pods}
    for each in pods:
        namespace, app = each.inputs["metadata"]["namespace"], each.inputs["metadata"]["name"]
        waits_for = {urn.rpartition("::")[2] for urn in each.depends_on if ":NetworkPolicy::" in urn}
        assert f"default-deny-{namespace}" in waits_for, app
        assert waits_for & {app, f"{namespace}-{app}"}, app


def _key(manifest: dict[str, Any]) -> tuple[str, str | None, str]:
    return manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"]


def test_nothing_can_be_imported_from_beside_the_program(root: Path) -> None:
    """Pulumi puts that folder first on `sys.path`, where a `platform.py` would be everybody's."""
    beside = {path.name for path in (root / "stacks").iterdir() if path.name != "__pycache__"}

    assert {name for name in beside if not name.startswith("Pulumi.")} == {"__main__.py", "src"}
