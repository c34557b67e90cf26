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
from google.protobuf import empty_pb2  # type: ignore[import-untyped]  # protobuf ships no types
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2_grpc

from quarterdeck_stacks.capture import Monitor, Registration
from quarterdeck_stacks.project import StackConfig, load_project, load_stack

if TYPE_CHECKING:
    from pathlib import Path

HOST = """\
import asyncio, logging, os, runpy, sys
import pulumi, pulumi.runtime

monitor, engine, folder = sys.argv[1:]
pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
pulumi.runtime.configure(
    pulumi.runtime.Settings(
        project="quarterdeck", stack="local", monitor=monitor, engine=engine, parallel=16, dry_run=False
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


class _Monitor(Monitor, resource_pb2_grpc.ResourceMonitorServicer):
    """The same monitor, behind gRPC."""


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

    def __init__(self, root: Path, kubeconfig: Path) -> None:
        self.monitor = _Monitor("quarterdeck", "local")
        self.engine = _Engine()
        self._root = root
        self._kubeconfig = kubeconfig
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self.monitor, self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(self.engine, self._server)
        self._address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def run(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        """Run the program with the stack's configuration, as the CLI hands it over."""
        config: StackConfig = load_stack(
            load_project(self._root), "local", [f"kubeconfig={self._kubeconfig}", *overrides]
        )
        self._server.start()
        try:
            return subprocess.run(
                [sys.executable, "-c", HOST, self._address, self._address, str(self._root / "stacks")],
                env={**os.environ, "PULUMI_CONFIG": json.dumps(config.values)},
                cwd=self._root,
                capture_output=True,
                text=True,
                timeout=120,
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


def test_nothing_can_be_imported_from_beside_the_program(root: Path) -> None:
    """Pulumi puts that folder first on `sys.path`, where a `platform.py` would be everybody's."""
    beside = {path.name for path in (root / "stacks").iterdir() if path.name != "__pycache__"}

    assert {name for name in beside if not name.startswith("Pulumi.")} == {"__main__.py", "src"}
