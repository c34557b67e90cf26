"""`pulumi up` itself, for each environment's shape: its CLI, its Kubernetes provider, a real control plane.

Neither is part of the project or of what it builds: where they are on PATH these tests run, elsewhere they say what is
missing. Nodes are kwok's, so pods are Ready as soon as they are scheduled.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.control_plane import running
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError
from quarterdeck_scripts.local.pulumi import project_file, pulumi_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1800)]

ENVIRONMENTS = ("local", "dev", "staging", "prod")
PROJECT = "quarterdeck"

CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"
SERVICE = "/api/v1/namespaces/shop/services/checkout"
FACTS = "/api/v1/namespaces/quarterdeck/configmaps/quarterdeck-environment"
BUDGET = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/checkout"


@pytest.fixture(scope="module")
def pulumi() -> str:
    """Return the CLI; without it or its Kubernetes plugin, skip."""
    cli = shutil.which("pulumi")
    if cli is None:
        pytest.skip("needs the Pulumi CLI on PATH, and its Kubernetes plugin")
    if shutil.which("pulumi-resource-kubernetes") is None:
        listed = subprocess.run([cli, "plugin", "ls", "--json"], capture_output=True, text=True, check=True, timeout=60)
        if "kubernetes" not in {each["name"] for each in json.loads(listed.stdout)}:
            pytest.skip("needs Pulumi's Kubernetes plugin: `pulumi plugin install resource kubernetes`")
    return cli


@pytest.fixture(scope="module")
def kubeconfig(pulumi: str, tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the kubeconfig of a control plane with nodes and volumes, and nothing deployed to it."""
    del pulumi  # first: where there is none, nothing is started
    with running(tmp_path_factory.mktemp("pulumi-up"), tool) as path:
        yield path


@dataclass(frozen=True)
class Stack:
    """One stack, with its state in a folder."""

    cli: str
    folder: Path
    name: str

    def prepare(self, root: Path, kubeconfig: Path) -> None:
        """Write the project and the stack's file into the folder, and make the stack."""
        project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
        self._write("Pulumi.yaml", project_file(project, root))
        shape = "dev" if self.name.startswith("pr-") else self.name
        file = yaml.safe_load((root / "stacks" / f"Pulumi.{shape}.yaml").read_text(encoding="utf-8"))
        config = {key: value for key, value in file["config"].items() if key != f"{PROJECT}:context"}
        self._write(f"Pulumi.{self.name}.yaml", {"config": {**config, f"{PROJECT}:kubeconfig": str(kubeconfig)}})
        self.run("stack", "init", "--no-select")

    def configure(self, key: str, value: Any) -> None:
        """Set one key in the stack's file, to which `stack init` has added its salt."""
        path = self.folder / f"Pulumi.{self.name}.yaml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["config"][f"{PROJECT}:{key}"] = value
        self._write(path.name, document)

    def up(self, *flags: str, **variables: str) -> str:
        """Run `pulumi up`, with environment *variables* beyond those that every command has."""
        return self.run("up", "--yes", "--skip-preview", *flags, **variables)

    def previewed(self) -> dict[str, int]:
        """Return how many resources an `up` would treat how, without those that stay the same."""
        summary: dict[str, int] = json.loads(self.run("preview", "--json")).get("changeSummary", {})
        return {operation: count for operation, count in summary.items() if operation not in {"same", "read"} and count}

    def resources(self) -> list[Json]:
        """Return what is in the stack's state."""
        return json.loads(self.run("stack", "export"))["deployment"].get("resources") or []

    def run(self, *arguments: str, **variables: str) -> str:
        """Run the CLI on this stack; return its stdout."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env={**self._environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the CLI on this stack in a session of its own."""
        return subprocess.Popen(
            self._command(*arguments),
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _command(self, *arguments: str) -> list[str]:
        return [self.cli, *arguments, "--stack", self.name, "--non-interactive"]

    @property
    def _environment(self) -> dict[str, str]:
        # A plugin on PATH is the only one needed; Pulumi would look on the network for those of every cloud's SDK that
        # is installed beside it, at each command.
        ambient = shutil.which("pulumi-resource-kubernetes") is not None
        alone = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"} if ambient else {}
        return {**os.environ, **alone, **pulumi_environment(self.folder)}

    def _write(self, name: str, document: Json) -> None:
        (self.folder / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


@pytest.fixture
def stack_of(pulumi: str, kubeconfig: Path, root: Path, tmp_path: Path) -> Callable[[str], Stack]:
    """Return a function that makes the stack of an environment, empty, for the control plane."""

    def made(name: str) -> Stack:
        stack = Stack(pulumi, tmp_path, name)
        stack.prepare(root, kubeconfig)
        return stack

    return made


@pytest.fixture
def cluster(kubeconfig: Path) -> Cluster:
    """Return the control plane."""
    return connect(kubeconfig)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_is_made_updated_mended_and_taken_away(
    name: str,
    stack_of: Callable[[str], Stack],
    cluster: Cluster,
    record_property: Callable[[str, object], None],
) -> None:
    """A second `up` changes nothing; an update rolls; what was changed by hand is seen and undone; nothing is left."""
    before = _namespaces(cluster)
    stack = stack_of(name)

    began = time.monotonic()
    stack.up()
    record_property("seconds of the first up", round(time.monotonic() - began, 1))
    stack.up("--expect-no-changes")
    assert stack.previewed() == {}

    stack.configure("images", ["checkout=localhost/checkout:v2"])
    stack.up()
    assert _image(cluster) == "localhost/checkout:v2"
    stack.up("--expect-no-changes")

    _drift(cluster)
    stack.run("refresh", "--yes", "--skip-preview")
    assert stack.previewed() == {"create": 1, "update": 1}
    stack.up()
    assert cluster.request("GET", SERVICE)["spec"]["ports"][0]["targetPort"] == 8080
    assert cluster.request("GET", BUDGET)["spec"]["maxUnavailable"] == 1
    stack.up("--expect-no-changes")

    if any(each.get("protect") for each in stack.resources()):
        stack.run("state", "unprotect", "--all", "--yes")
    stack.run("destroy", "--yes", "--skip-preview")
    assert stack.resources() == []
    until(lambda: _namespaces(cluster) == before)


def test_an_update_that_was_killed_is_taken_up(stack_of: Callable[[str], Stack], cluster: Cluster) -> None:
    """Operations are left pending and a lock is held: `cancel`, a refresh, and the next `up` ends what was begun.

    What was made without the state knowing it is taken over by that one `up`, and by no other.
    """
    stack = stack_of("dev")
    with stack.begin("up", "--yes", "--skip-preview") as begun:
        until(lambda: "shop" in _namespaces(cluster))
        _kill_session(begun.pid)

    stack.run("cancel", "--yes")
    stack.run("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    stack.up(PULUMI_K8S_UPSERT_EXISTING_OBJECTS="true")
    stack.up()
    stack.up("--expect-no-changes")

    stack.run("destroy", "--yes", "--skip-preview")
    until(lambda: "shop" not in _namespaces(cluster))


def test_a_change_is_made_beside_dev_and_goes_without_it(stack_of: Callable[[str], Stack], cluster: Cluster) -> None:
    """Two stacks in one cluster: the change's facts are beside dev's, and what goes with it is its own."""
    dev, change = stack_of("dev"), stack_of("pr-7")
    dev.up()

    change.up()
    change.up("--expect-no-changes")
    assert {"shop", "pr-7-shop"} <= _namespaces(cluster)
    assert _exists(cluster, f"{FACTS}-pr-7")

    change.run("destroy", "--yes", "--skip-preview")
    until(lambda: "pr-7-shop" not in _namespaces(cluster))
    assert not _exists(cluster, f"{FACTS}-pr-7")
    assert _exists(cluster, FACTS)
    dev.up("--expect-no-changes")

    dev.run("destroy", "--yes", "--skip-preview")
    until(lambda: "shop" not in _namespaces(cluster))


def test_a_cluster_that_is_not_meant_gets_nothing(stack_of: Callable[[str], Stack], cluster: Cluster) -> None:
    """The stack says another UID than the cluster has: refused with both, before anything is made."""
    before = _namespaces(cluster)
    stack = stack_of("dev")
    stack.configure("clusterUid", "00000000-0000-0000-0000-000000000000")

    with pytest.raises(AssertionError, match="has the UID 00000000-0000-0000-0000-000000000000"):
        stack.up()

    assert _namespaces(cluster) == before


def _drift(cluster: Cluster) -> None:
    """Change the Service by hand, and delete the budget.

    Within an entry that the stack describes: an entry beside it would be somebody's own, which no apply takes away.
    """
    port = [{"name": "http", "port": 8080, "targetPort": 81, "appProtocol": "http"}]
    cluster.request(
        "PATCH",
        SERVICE,
        query={"fieldManager": "somebody"},
        body={"spec": {"ports": port}},
        content_type=MERGE_PATCH,
    )
    cluster.request("DELETE", BUDGET)
    until(lambda: not _exists(cluster, BUDGET))


def _exists(cluster: Cluster, path: str) -> bool:
    try:
        cluster.request("GET", path)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def _image(cluster: Cluster) -> str:
    return str(cluster.request("GET", CHECKOUT)["spec"]["template"]["spec"]["containers"][0]["image"])


def _namespaces(cluster: Cluster) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.request("GET", "/api/v1/namespaces")["items"]}


def _kill_session(leader: int) -> None:
    """Kill every process of *leader*'s session: the CLI, and the plugins that it gave groups of their own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == leader:
                    os.kill(int(entry.name), signal.SIGKILL)
