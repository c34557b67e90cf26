"""Pods of the local environment live, fail and end as they do under a kubelet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from tests.cluster.local.conftest import CRASH_BACKOFF

from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, path
from quarterdeck_scripts.kube.workloads import status_of
from quarterdeck_scripts.local import images, process
from quarterdeck_scripts.local.pods.processes import CONTAINER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.local.conftest import Local

    from quarterdeck_scripts.kube.client import Json

pytestmark = pytest.mark.tools


def _container(pod: Json) -> Json:
    return pod["status"].get("containerStatuses", [{}])[0]


def _waiting(pod: Json) -> str | None:
    return _container(pod).get("state", {}).get("waiting", {}).get("reason")


def test_a_deployment_of_three_processes_becomes_ready(
    local: Local, server: Callable[..., Json], deployment: Callable[..., Json]
) -> None:
    """Each pod has an address of its own, where its process answers; they are on three nodes."""
    local.create(deployment("web", server(), replicas=3))

    pods = local.until_ready("web", 3)

    answers = {
        pod["metadata"]["name"]: httpx.get(f"http://{pod['status']['podIP']}:8080/", trust_env=False, timeout=60).text
        for pod in pods
    }
    assert all(name == answer for name, answer in answers.items())
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 3
    assert pods[0]["status"]["phase"] == "Running"
    status = local.until("the rollout to be done", lambda: _rollout(local, "web").done and _rollout(local, "web"))
    assert status.ready == 3


def _rollout(local: Local, app: str) -> object:
    return status_of(local.get("Deployment", app), local.pods(app))


def test_a_failing_readiness_probe_keeps_the_rollout_waiting(
    local: Local, server: Callable[..., Json], deployment: Callable[..., Json]
) -> None:
    """The process runs, the pod is not Ready, every failure is counted, and nothing is restarted."""
    probe = {"httpGet": {"path": "/nowhere", "port": "http"}, "periodSeconds": 1}
    local.create(deployment("unready", server(readinessProbe=probe)))
    pod = local.until("a pod", lambda: local.pods("unready"))[0]
    name = pod["metadata"]["name"]

    def failures() -> int:
        found = local.events(name, "Unhealthy")
        return sum(event["count"] for event in found if "statuscode: 404" in event["message"])

    local.until("three failures", lambda: failures() >= 3)

    pod = local.get("Pod", name)
    assert {"ContainersReady": "False", "Ready": "False", "Initialized": "True"}.items() <= {
        entry["type"]: entry["status"] for entry in pod["status"]["conditions"]
    }.items()
    assert tuple(_container(pod)[field] for field in ("restartCount", "ready", "started")) == (0, False, True)
    assert "availableReplicas" not in local.get("Deployment", "unready")["status"]
    assert not _rollout(local, "unready").done


def test_a_crashing_process_is_in_a_crash_loop(local: Local, pod: Callable[..., Json]) -> None:
    """It is restarted at once, then ever later; exit code, restarts, message and previous log are there."""
    container = {
        "name": "crash",
        "image": "localhost/sh",
        "args": ["echo no configuration; exit 3"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    local.create(pod("crash", container))

    def look() -> Json | None:
        found = local.get("Pod", "crash")
        return found if _waiting(found) == "CrashLoopBackOff" and _container(found)["restartCount"] >= 2 else None

    found = local.until("the second back-off", look)

    assert found["status"]["phase"] == "Running"
    last = _container(found)["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "no configuration\n")
    delay = CRASH_BACKOFF * 2 ** (_container(found)["restartCount"] - 1)  # a busy machine looks later
    assert f"back-off {delay:g}s restarting failed container=crash" in _container(found)["state"]["waiting"]["message"]
    backed_off = local.until("the event", lambda: local.events("crash", "BackOff"))
    assert backed_off[0]["message"].startswith("Back-off restarting failed container crash in pod crash_default")
    status, log = local.raw(f"{path('Pod', 'default', 'crash', 'log')}?previous=true")
    assert (status, log) == (200, "no configuration\n")


def test_an_absent_image_is_pulled_in_vain_until_it_is_added(
    local: Local, server: Callable[..., Json], pod: Callable[..., Json]
) -> None:
    """ImagePullBackOff says which image and how to add it; once it is there the pod runs."""
    local.create(pod("absent", server(image="localhost/absent:v1")))
    local.until("the back-off", lambda: _waiting(local.get("Pod", "absent")) == "ImagePullBackOff")
    found = local.get("Pod", "absent")
    assert found["status"]["phase"] == "Pending"
    assert 'Back-off pulling image "localhost/absent:v1"' in _container(found)["state"]["waiting"]["message"]

    entrypoint = list(images.find(local.state, "localhost/server:v1").entrypoint)
    images.add(local.state, "localhost/absent:v1", {"config": {"Entrypoint": entrypoint}})

    local.until_ready("absent")


def test_a_program_that_is_not_there_is_a_start_error(local: Local, pod: Callable[..., Json]) -> None:
    """The exit code is 128 and the message names the program, as container runtimes have it."""
    local.create(
        pod("nowhere", {"name": "c", "image": "localhost/sh", "command": ["/no/such/program"]}, restartPolicy="Never")
    )

    found = local.until(
        "the pod to fail", lambda: (one := local.get("Pod", "nowhere"))["status"]["phase"] == "Failed" and one
    )

    ended = _container(found)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert ended["message"] == 'exec: "/no/such/program": no such file or directory'


def test_deletion_is_told_to_the_process_and_takes_all_of_it(
    local: Local, server: Callable[..., Json], pod: Callable[..., Json], tmp_path: Path
) -> None:
    """SIGTERM reaches the process; its workers are gone too, even one that left the process group."""
    local.create(pod("doomed", server("--worker", "--stray")))
    uid = local.until_ready("doomed")[0]["metadata"]["uid"]
    assert len(process.marked(CONTAINER_VARIABLE, f"{uid}/server/0")) == 2

    local.cluster.request("DELETE", path("Pod", "default", "doomed"))

    local.until_gone("Pod", "doomed")
    assert (tmp_path / "told").exists()
    local.until("its processes to be gone", lambda: not process.marked(CONTAINER_VARIABLE, f"{uid}/server/0"))
    local.until("its folder to be gone", lambda: not list((local.state / "pods").glob("default_doomed_*")))


def test_a_process_that_ignores_sigterm_is_killed(local: Local, pod: Callable[..., Json]) -> None:
    """After the grace period the pod is gone all the same."""
    container = {"name": "deaf", "image": "localhost/sh", "args": ["trap '' TERM; while :; do sleep 0.1; done"]}
    local.create(pod("deaf", container, terminationGracePeriodSeconds=1))
    uid = local.until_ready("deaf")[0]["metadata"]["uid"]

    local.cluster.request("DELETE", path("Pod", "default", "deaf"))

    local.until_gone("Pod", "deaf")
    local.until("its processes to be gone", lambda: not process.marked(CONTAINER_VARIABLE, f"{uid}/deaf/0"))


def test_a_killed_process_is_restarted_without_its_old_workers(
    local: Local, server: Callable[..., Json], pod: Callable[..., Json]
) -> None:
    """SIGKILL of the main process takes its workers along, is exit code 137, and is mended by a restart."""
    local.create(pod("killed", server("--worker")))
    first = local.until_ready("killed")[0]
    pid = int(_container(first)["containerID"].removeprefix("process://").partition(".")[0])

    process.send(process.identify(pid), 9)

    def look() -> Json | None:
        found = local.get("Pod", "killed")
        return found if _container(found)["restartCount"] == 1 and _container(found)["ready"] else None

    again = local.until("the restart", look)
    last = _container(again)["lastState"]["terminated"]
    assert (last["exitCode"], last["signal"]) == (137, 9)
    uid = first["metadata"]["uid"]
    local.until("its workers to be gone", lambda: not process.marked(CONTAINER_VARIABLE, f"{uid}/server/0"))


def test_a_failing_liveness_probe_restarts_the_container(
    local: Local, server: Callable[..., Json], pod: Callable[..., Json], tmp_path: Path
) -> None:
    """It is told so by SIGTERM first, the reason is an event, and the pod is not Ready meanwhile."""
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "failureThreshold": 2}
    local.create(pod("sick", server(livenessProbe=probe)))
    local.until_ready("sick")

    (tmp_path / "broken").touch()

    local.until("a restart", lambda: _container(local.get("Pod", "sick"))["restartCount"] >= 1)
    assert (tmp_path / "told").exists()
    killing = local.until("the event", lambda: local.events("sick", "Killing"))
    assert killing[0]["message"] == "Container server failed liveness probe, will be restarted"


def test_init_containers_run_first_and_a_startup_probe_holds_the_others_back(
    local: Local, server: Callable[..., Json], pod: Callable[..., Json], tmp_path: Path
) -> None:
    """The pod is Pending until its init container ends, and not started until its startup probe passes."""
    gate, warm = tmp_path / "gate", tmp_path / "warm"
    wait = {"name": "wait", "image": "localhost/sh", "args": [f"until test -e {gate}; do sleep 0.05; done"]}
    startup = {"exec": {"command": ["test", "-e", str(warm)]}, "periodSeconds": 1, "failureThreshold": 60}
    local.create(pod("staged", server(startupProbe=startup), initContainers=[wait]))

    def init_runs() -> Json | None:
        found = local.get("Pod", "staged")
        state = found["status"].get("initContainerStatuses", [{}])[0].get("state", {})
        return found if "running" in state else None

    found = local.until("the init container to run", init_runs)
    assert (
        found["status"]["phase"],
        next(c["status"] for c in found["status"]["conditions"] if c["type"] == "Initialized"),
    ) == ("Pending", "False")
    assert _waiting(found) == "PodInitializing"

    gate.touch()
    local.until("the container to run", lambda: "running" in _container(local.get("Pod", "staged"))["state"])
    local.until("a failed startup probe", lambda: local.events("staged", "Unhealthy"))
    assert tuple(_container(local.get("Pod", "staged"))[field] for field in ("started", "ready")) == (False, False)

    warm.touch()
    local.until_ready("staged")


def test_an_eviction_waits_for_the_disruption_budget(
    local: Local, server: Callable[..., Json], deployment: Callable[..., Json]
) -> None:
    """Refused with 429 while the budget is used up; carried out, and replaced, when there is one to spare."""
    local.create(deployment("guarded", server(), replicas=2))
    victim = local.until_ready("guarded", 2)[0]["metadata"]["name"]
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "guarded"}}}
    local.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "guarded"},
            "spec": budget,
        }
    )

    def budget_is(allowed: int) -> bool:
        status = local.get("PodDisruptionBudget", "guarded")["status"]
        return status.get("expectedPods") == 2 and status["disruptionsAllowed"] == allowed

    local.until("the budget to be counted", lambda: budget_is(0))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim}}
    where = path("Pod", "default", victim, "eviction")
    with pytest.raises(ApiError, match="disruption budget") as refused:
        local.cluster.request("POST", where, body=eviction)
    assert refused.value.status == 429

    target = path("PodDisruptionBudget", "default", "guarded")
    local.cluster.request("PATCH", target, body={"spec": {"minAvailable": 1}}, content_type=MERGE_PATCH)
    local.until("one to spare", lambda: budget_is(1))
    local.cluster.request("POST", where, body=eviction)
    local.until_gone("Pod", victim)
    local.until_ready("guarded", 2)


@pytest.mark.parametrize(("command", "outcome"), [("exit 0", "Complete"), ("exit 4", "Failed")])
def test_a_job_ends_as_its_process_does(local: Local, command: str, outcome: str) -> None:
    """Exit code 0 completes it; any other fails it once its retries are used up."""
    name = f"job-{outcome.lower()}"
    container = {"name": "work", "image": "localhost/sh", "args": [command]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
    local.create({**job, "spec": {"backoffLimit": 0, "template": template}})
    target = f"/apis/batch/v1/namespaces/default/jobs/{name}"

    def ended() -> list[str]:
        conditions = local.cluster.request("GET", target)["status"].get("conditions", [])
        return [one["type"] for one in conditions if one["type"] == outcome and one["status"] == "True"]

    assert [outcome] == local.until("the job to end", ended)
