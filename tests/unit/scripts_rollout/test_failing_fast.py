"""What keeps a version's pods from serving is named within 30 s of the cluster saying so, whatever the scrapes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.kube.client import Around, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.pace import Paced
from quarterdeck_scripts.kube.workloads import WorkloadStatus, canary_of
from quarterdeck_scripts.rollout.acting.hands import Hands
from quarterdeck_scripts.rollout.acting.lock import LeaseLock
from quarterdeck_scripts.rollout.acting.lookout import Lookout
from quarterdeck_scripts.rollout.acting.sightings import Patience
from quarterdeck_scripts.rollout.acting.stop import StopRequest
from quarterdeck_scripts.rollout.acting.view import ServiceView
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.actions import AcquireLock, Side, Waited, WaitReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


def start(world: Any, interval: str = "2s") -> RolloutRecord:
    """Roll out v2 with scrapes every *interval*; return the record."""
    session = world.session()
    facts = replace(session.environment.facts, scrape_interval=interval)
    session = replace(session, environment=replace(session.environment, facts=facts))
    plan = session.plan(V2, session.view().inspect())
    record: RolloutRecord = session.record(plan)
    session.run(flow.start(plan), record)
    return record


@pytest.mark.parametrize(
    "reason", ["CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "OOMKilled"]
)
def test_a_canary_that_never_starts_is_named_within_30_seconds(world: Any, reason: str) -> None:
    """And not waited for until its deadline, a minute away."""
    world.controllers.faults[V2] = reason

    record = start(world)

    assert reason in record.reason
    assert record.ended - record.began < 30


@pytest.mark.parametrize("interval", ["2s", "15s", "60s"])
def test_a_canary_that_breaks_while_it_is_judged_is_named_within_30_seconds(world: Any, interval: str) -> None:
    """Also where Prometheus is asked only once a minute."""
    world.behave(V2, rate=1.0)
    broken = 47.0

    def break_it() -> None:
        world.controllers.faults[V2] = "CrashLoopBackOff"
        world.controllers.settle(world.cluster)

    world.at_time[broken] = break_it

    record = start(world, interval)

    assert "CrashLoopBackOff" in record.reason
    assert record.ended - (world.begin + broken) < 30
    assert world.images() == [V1] * 3


class Watched:
    """A StatefulSet in memory, whose status is silent, and somebody who looks at it."""

    def __init__(self, *events: Json) -> None:
        database = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"replicas": 3, "selector": {}, "template": {"metadata": {}, "spec": {"containers": []}}},
        }
        self.cluster = FakeCluster([database])
        for number, event in enumerate(events):
            body = {"metadata": {"name": f"e{number}"}, "type": "Warning", **event}
            self.cluster.request("POST", path("Event", "shop"), body=body)
        view = ServiceView(self.cluster, "shop", "db", "uid")
        self.lookout = Lookout(self.cluster, "shop", view, Patience())

    def at(self, *seconds: float, problems: Any = ()) -> list[str]:
        """Return what is believed at each time, with two of three pods updated."""
        status = WorkloadStatus("db", 3, 2, 2, 2, observed=True, problems=tuple(problems))
        return [self.lookout.waiting(status, now) for now in seconds]

    @property
    def asked(self) -> int:
        """How often events were asked for."""
        return sum("events" in where for _, where in self.cluster.requests if "POST" not in _)


def event(kind: str, name: str, reason: str, message: str) -> Json:
    """Return an event of the cluster in memory."""
    return {"involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": message}


def test_quota_is_read_from_events_where_no_status_says_it() -> None:
    """A StatefulSet only counts; events are asked for every five seconds, not at each look."""
    watched = Watched(event("StatefulSet", "db", "FailedCreate", "pods db-2 is forbidden: exceeded quota: small"))

    said = watched.at(*range(16))

    assert said[:15] == [""] * 15
    assert said[15] == "no pod: QuotaExceeded (pods db-2 is forbidden: exceeded quota: small)"
    assert watched.asked == 4


def test_want_of_room_that_a_new_node_will_end_is_waited_for() -> None:
    """cluster-autoscaler says so of the pod; without that it is a failure after a quarter of a minute."""
    from quarterdeck_scripts.kube.pods import PodProblem  # noqa: PLC0415 -- used here alone

    problems = [PodProblem("db-2", "Unschedulable", "0/3 nodes are available")]
    nobody, coming = Watched(), Watched(event("Pod", "db-2", "TriggeredScaleUp", "3->4 (max: 9)"))
    looks = range(0, 301, 5)

    assert next(now for now, said in zip(looks, nobody.at(*looks, problems=problems), strict=True) if said) == 20
    assert coming.at(*looks, problems=problems) == [""] * len(looks)


class Crowd(Around):
    """A cluster with 10,000 pods of a canary: what a list of them takes is asked for page by page."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster)
        self.pods = [
            {
                "metadata": {
                    "name": f"checkout-{n}",
                    "uid": str(n),
                    "resourceVersion": "1",
                    "labels": {"quarterdeck.dev/track": "canary", "app.kubernetes.io/version": "v2"},
                },
                "spec": {"containers": [], "nodeName": "n1"},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            }
            for n in range(10_000)
        ]
        self.asked = 0
        self.changed: list[Json] = []

    def crash(self) -> None:
        """Have one pod crash."""
        waiting = {"name": "checkout", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "ready": False}
        status = {**self.pods[4711]["status"], "containerStatuses": [waiting]}
        status["conditions"] = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
        self.pods[4711] = {**self.pods[4711], "status": status}
        self.changed.append({"type": "MODIFIED", "object": self.pods[4711]})

    def request(self, method: str, path: str, **how: Any) -> Json:
        """Answer for the pods, and pass the rest on."""
        self.asked += 1
        if not path.endswith("/pods"):
            return self._cluster.request(method, path, **how)
        first = int(how["query"].get("continue") or 0)
        end = first + int(how["query"]["limit"])
        more = str(end) if end < len(self.pods) else ""
        return {"items": self.pods[first:end], "metadata": {"resourceVersion": "1", "continue": more}}

    def watch(self, path: str, **how: Any) -> Iterator[Json]:
        """Tell what has changed."""
        self.asked += 1
        yield from self.changed
        self.changed = []


@pytest.mark.parametrize(("crashes", "spent"), [(0.5, 60), (21.5, 40), (47.0, 60)])
def test_one_crash_among_10_000_new_pods_is_named_within_30_seconds(world: Any, crashes: float, spent: int) -> None:
    """Whenever it comes, and however much was asked before; looks that list all of them named it after 45 s."""
    clock, record = world.clock, world.session().record(world.session().plan(V2, world.session().view().inspect()))
    canary = canary_of(world.deployment(), V2, 10_000)
    canary["status"] = {"replicas": 10_000, "updatedReplicas": 10_000, "readyReplicas": 9_000}
    crowd = Crowd(FakeCluster([world.deployment(), canary]))
    paced = Paced(crowd, clock.monotonic)
    for _ in range(spent):
        paced.request("GET", path("Deployment", "shop", "checkout-canary"))
    lock = LeaseLock(paced, "shop", "checkout", holder="anna", clock=clock)
    hands = Hands(
        cluster=paced,
        prometheus=world.prometheus,
        audit=world.session().audit(),
        lock=lock,
        clock=clock,
        stop=StopRequest(),
        record=record,
        keeper=world.session().keeper(record),
        rest=paced.pause,
    )
    hands.carry_out(AcquireLock())
    began, crowd.asked = clock.monotonic(), 0
    world.scraping = False
    world.at_time[clock.now() - world.begin + crashes] = crowd.crash

    waited = hands.carry_out(WaitReady(Side.CANARY, 100.0))

    took = clock.monotonic() - began
    assert waited == Waited(ready=False, reason="pod checkout-4711, container checkout: CrashLoopBackOff")
    assert took - crashes < 30
    assert crowd.asked <= took + 60 - spent + 5
