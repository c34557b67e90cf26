"""How soon one crash among 10,000 new pods is named, on a real API server: `python tests/bench/crash_named.py`.

The rollout's own wait is run on pods that are put into etcd (see `many_pods`); at some time one of them crashes. Told
are the seconds from then on, the requests that were sent, and the most memory that was held.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))
import many_pods

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.environment import Environment
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.pace import Paced
from quarterdeck_scripts.kube.workloads import canary_of
from quarterdeck_scripts.ports import FakePrometheus, SystemClock
from quarterdeck_scripts.rollout.acting.hands import Hands
from quarterdeck_scripts.rollout.acting.stop import StopRequest
from quarterdeck_scripts.rollout.session import Session
from quarterdeck_scripts.rollout.steps.actions import AcquireLock, Side, WaitReady

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

CRASHES = (0.5, 31.0, 62.5)
"""Seconds after the wait has begun; each is a wait of its own."""
IMAGE = "registry.example/checkout:v2"


class Counted(Paced):
    """Notes how often it was asked."""

    asked = 0

    def _spend(self) -> None:
        self.asked += 1
        super()._spend()


def new(number: int, *, crashing: bool = False) -> Json:
    """Return a pod of the new version."""
    made = many_pods.pod(0 if crashing else number + many_pods.UNREADY)
    labels = {**many_pods.LABELS, "quarterdeck.dev/track": "canary", "app.kubernetes.io/version": "v2"}
    uid = many_pods.pod(number)["metadata"]["uid"]
    return {
        **made,
        "metadata": {**made["metadata"], "name": f"checkout-canary-{number:05}", "labels": labels, "uid": uid},
    }


def waited(session: Session, folder: Path, crash: Any, after: float) -> dict[str, Any]:
    """Wait for the canary, of which a pod crashes *after* seconds; return what was measured."""
    cluster, clock = Counted(session.environment.cluster, session.clock.monotonic), session.clock
    record = session.record(session.plan(IMAGE, session.view().inspect()))
    hands = Hands(
        cluster=cluster,
        prometheus=session.prometheus,
        audit=session.audit(),
        lock=session.lock(),
        clock=clock,
        stop=StopRequest(),
        record=record,
        keeper=session.keeper(record, folder=folder / "bundle"),
        take_over=True,
        rest=cluster.pause,
    )
    hands.carry_out(AcquireLock())
    for _ in range(40):  # what a rollout's beginning asks for
        cluster.request("GET", path("Namespace", name="default"))
    began, cluster.asked = time.monotonic(), 0
    timer = threading.Timer(after, crash)
    timer.start()
    answer = hands.carry_out(WaitReady(Side.CANARY, 150.0))
    took = time.monotonic() - began
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {
        "crash after": after,
        "named after": round(took - after, 1),
        "requests a second": round(cluster.asked / took, 2),
        "megabytes": round(held),
        "reason": answer.reason,
    }


def main() -> None:
    """Measure and print."""
    from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- tests have their own

    tools = install([many_pods.local.ETCD, many_pods.local.API_SERVER])
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with many_pods.api_server(folder / "state", tools.__getitem__) as (kubeconfig, put):
            many_pods.fill(kubeconfig, put, 0)
            for first in range(0, many_pods.PODS, many_pods.BATCH):
                put([new(number) for number in range(first, first + many_pods.BATCH)])
            cluster = connect(kubeconfig)
            stable = cluster.request("GET", path("Deployment", "shop", "checkout"))
            canary = canary_of(stable, IMAGE, many_pods.PODS)
            cluster.request("POST", path("Deployment", "shop"), body=canary)
            pods = many_pods.PODS
            status = {"replicas": pods, "updatedReplicas": pods, "readyReplicas": pods - 1}
            where = path("Deployment", "shop", canary["metadata"]["name"], "status")
            cluster.request("PATCH", where, body={"status": status}, content_type=MERGE_PATCH)
            facts = EnvironmentFacts("bench", "http://p.invalid", "http://a.invalid", many_pods.CATALOGUE, "15s")
            environment = Environment("bench", cluster, facts, "uid")
            prometheus = FakePrometheus({})
            service = environment.service("checkout")
            session = Session(environment, service, prometheus, SystemClock(), folder, "anna@bridge")
            for after in CRASHES:
                put([new(4711)])
                print(json.dumps(waited(session, folder, lambda: put([new(4711, crashing=True)]), after)), flush=True)  # noqa: T201 -- a script's output


if __name__ == "__main__":
    main()
