"""A local environment starts whole or not at all, says which part died, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.programs import until

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.local import deploy, images, lifecycle, process
from quarterdeck_scripts.local.guard import GuardedCluster
from quarterdeck_scripts.local.lifecycle import EnvironmentFailedError
from quarterdeck_scripts.local.network import answers
from quarterdeck_scripts.local.state import Layout, Phase, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.local.conftest import Local

    from quarterdeck_scripts.kube.client import Json

pytestmark = pytest.mark.tools

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "pod-runner")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for one environment; whatever is left in it is ended."""
    state = tmp_path / ".quarterdeck" / "local"
    yield state
    lifecycle.down(state)


def _processes(state: Path) -> list[process.ProcessId]:
    return process.marked(process.STATE_VARIABLE, str(state))


def _kill(state: Path, name: str) -> int:
    part = next(part for part in lifecycle.status(state).parts if part.name == name)
    os.kill(part.pid, signal.SIGKILL)
    return part.pid


def test_it_comes_up_once_and_goes_down_without_a_trace(state: Path, local_tools: dict[str, Path]) -> None:
    """A second `up` returns the first's environment; after `down` no process, port or file is left."""
    first = lifecycle.up(state, tools=local_tools, nodes=2)
    second = lifecycle.up(state, tools=local_tools, nodes=2)

    assert (first.started, second.started) == (True, False)
    assert first.server == second.server
    nodes = connect(first.kubeconfig).request("GET", path("Node"))["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["local-1", "local-2"]
    found = lifecycle.status(state)
    assert ("supervisor", *PARTS) == tuple(part.name for part in found.parts)
    assert all(part.alive and Path(part.log).is_file() for part in found.parts)
    assert first.kubeconfig.stat().st_mode & 0o777 == 0o600

    kubelet = nodes[0]["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    server = urlsplit(first.server)
    lifecycle.down(state)
    lifecycle.down(state)

    assert _processes(state) == []
    assert not answers(server.hostname or "", server.port or 0)
    assert not answers(nodes[0]["status"]["addresses"][0]["address"], kubelet)
    assert not state.parent.exists()
    assert Phase.ABSENT is lifecycle.status(state).phase


@pytest.mark.parametrize("name", ["etcd", "kube-controller-manager"])
def test_a_killed_part_is_what_every_later_answer_says(state: Path, local_tools: dict[str, Path], name: str) -> None:
    """Whether the API server could still answer, as without a controller, or not, as without its store."""
    running = lifecycle.up(state, tools=local_tools, nodes=1)
    cluster = GuardedCluster(connect(running.kubeconfig), state)
    assert cluster.request("GET", path("Node"))["items"]

    pid = _kill(state, name)

    until(lambda: lifecycle.status(state).phase is Phase.FAILED, "the supervisor to record it")
    with pytest.raises(EnvironmentFailedError, match=rf"{name} \(pid {pid}\)"):
        cluster.request("GET", path("Node"))


def test_each_killed_part_is_named_in_the_status(state: Path, local_tools: dict[str, Path]) -> None:
    """The first to die is the environment's failure, with the signal; every one of them is shown as dead."""
    lifecycle.up(state, tools=local_tools, nodes=1)
    first, *others = reversed(PARTS)  # each while those that it needs still live
    pids = {}

    def recorded(name: str) -> bool:
        record = read_record(Layout(state))
        return record is not None and name in record.ended

    for name in (first, *others):
        pids[name] = _kill(state, name)
        until(partial(recorded, name), f"the supervisor to record {name}")

    found = lifecycle.status(state)
    assert f"{first} (pid {pids[first]}) was killed by SIGKILL" in found.failure
    assert {*PARTS} == {part.name for part in found.parts if not part.alive}
    assert "supervisor" in {part.name for part in found.parts if part.alive}


def test_a_killed_supervisor_takes_everything_with_it_and_up_mends_it(
    state: Path, local_tools: dict[str, Path]
) -> None:
    """All parts and pods die with it; the status says so; `up` cleans, starts anew, and `down` leaves nothing."""
    running = lifecycle.up(state, tools=local_tools, nodes=1)
    images.add(state, "localhost/sh", {"config": {"Entrypoint": ["/bin/sh", "-c"]}})
    cluster = connect(running.kubeconfig)
    container = {"name": "main", "image": "localhost/sh", "args": ["exec sleep 1000"]}
    cluster.request(
        "POST", path("Pod", "default"), body={"metadata": {"name": "one"}, "spec": {"containers": [container]}}
    )
    until(lambda: _phase(cluster) == "Running", "the pod to run")

    pid = _kill(state, "supervisor")

    until(lambda: not _processes(state), "every process to be gone")
    found = lifecycle.status(state)
    assert Phase.STALE is found.phase
    assert f"supervisor (pid {pid}) is gone" in found.failure
    assert lifecycle.up(state, tools=local_tools, nodes=1).started
    lifecycle.down(state)
    assert _processes(state) == []
    assert not state.exists()


def _phase(cluster: object) -> str:
    found: Json = cluster.request("GET", path("Pod", "default", "one"))  # type: ignore[attr-defined]
    return found["status"].get("phase", "")


def test_a_part_that_cannot_start_is_named_with_the_end_of_its_log(
    state: Path, local_tools: dict[str, Path], tmp_path: Path
) -> None:
    """`up` fails with its last words, and what had started before is gone."""
    broken = tmp_path / "kube-scheduler"
    broken.write_text("#!/bin/sh\necho unknown flag: --kubeconfig >&2\nexit 7\n")
    broken.chmod(0o755)

    with pytest.raises(QuarterdeckError) as failure:
        lifecycle.up(state, tools={**local_tools, "kube-scheduler": broken})

    assert "kube-scheduler (pid" in failure.value.found
    assert "ended with exit code 7" in failure.value.found
    assert "unknown flag: --kubeconfig" in failure.value.found
    assert _processes(state) == []
    assert not state.parent.exists()


@pytest.mark.parametrize("moment", ["etcd", "kube-apiserver", "pod-runner"])
def test_ctrl_c_while_it_starts_leaves_nothing(
    state: Path, local_tools: dict[str, Path], tmp_path: Path, moment: str
) -> None:
    """Whatever has been started by then is ended before the command is."""
    idle = tmp_path / "kwok"  # so that no node is ever Ready, and the command cannot have ended before it is told to
    idle.write_text("#!/bin/sh\nexec sleep 1000\n")
    idle.chmod(0o755)
    tools = {name: str(file) for name, file in {**local_tools, "kwok": idle}.items()}
    program = (
        "import pathlib, sys; from quarterdeck_scripts.local import lifecycle;"
        f"lifecycle.up(pathlib.Path({str(state)!r}), tools={tools!r})"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as command:

        def started() -> bool:
            record = read_record(Layout(state))
            return record is not None and moment in {part.name for part in record.parts}

        until(started, f"{moment} to be started")
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=120)

    assert b"KeyboardInterrupt" in errors
    assert _processes(state) == []
    assert not state.parent.exists()


def test_ctrl_c_while_the_stack_is_deployed_leaves_nothing(tmp_path: Path, root: Path) -> None:
    """The command ends with 130, and the environment it started is gone with it."""
    for name in ("Pulumi.yaml", "stacks", "services.yaml"):
        (tmp_path / name).symlink_to(root / name)
    program = [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", "local", "up"]
    with subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as command:
        lines = iter(command.stderr or ())
        assert any("Deploying the stack local" in line for line in lines)
        command.send_signal(signal.SIGINT)
        shown = "".join(lines)

    assert command.returncode == 130, shown
    assert _processes(tmp_path / ".quarterdeck" / "local") == []
    assert not (tmp_path / ".quarterdeck").exists()


def test_two_environments_live_side_by_side(local: Local, state: Path, local_tools: dict[str, Path]) -> None:
    """Each has a loopback network of its own, and ending one does not touch the other."""
    second = lifecycle.up(state, tools=local_tools, nodes=1)

    assert second.loopback_prefix != lifecycle.status(local.state).loopback_prefix
    lifecycle.down(state)
    lifecycle.require_running(local.state)


def test_the_stack_is_deployed_and_its_monitoring_becomes_ready(
    state: Path, local_tools: dict[str, Path], tool: Callable[[str], Path], root: Path
) -> None:
    """The program rendered and applied, on whatever network: Prometheus and Alertmanager are Ready at its addresses."""
    tools = {**local_tools, "prometheus": tool("prometheus"), "alertmanager": tool("alertmanager")}
    running = lifecycle.up(state, tools=tools)

    done = deploy.deploy(state, project=root)

    assert done.by == "server-side apply of `quarterdeck stack render`"
    cluster = connect(running.kubeconfig)
    for name in ("prometheus", "alertmanager"):

        def ready(name: str = name) -> bool:
            status = cluster.request("GET", path("Deployment", "quarterdeck", name))["status"]
            return status.get("readyReplicas") == 1

        until(ready, f"{name} to be Ready")
    assert answers(f"{running.loopback_prefix}.0.90", 9090)
    assert answers(f"{running.loopback_prefix}.0.93", 9093)
