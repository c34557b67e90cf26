"""How soon a lock refuses a second operator and lets go of a dead one: `python tests/bench/lock_times.py [--write]`.

Real processes and a real API server, with the lock's own settings. The holder is killed with SIGKILL while it renews.
One of another machine is made of it by another machine's mark on the Lease: on its own machine it is known to be dead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import many_pods

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.local import control_plane as local
from quarterdeck_scripts.ports import SystemClock
from quarterdeck_scripts.rollout.acting.lock import PROCESS, LeaseLock

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster

LEASE = path("Lease", "shop", "quarterdeck-rollout-checkout")

HOLDER = """
import pathlib, sys, time
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.rollout.acting.lock import LeaseLock
from quarterdeck_scripts.ports import SystemClock
lock = LeaseLock(connect(pathlib.Path(sys.argv[1])), "shop", "checkout", holder="anna@bridge", clock=SystemClock())
lock.acquire()
print("held", flush=True)
while True:
    lock.keep()
    time.sleep(0.25)
"""


def lock(cluster: Cluster) -> LeaseLock:
    """Return the second operator's lock."""
    return LeaseLock(cluster, "shop", "checkout", holder="ben@bridge", clock=SystemClock())


def measure(kubeconfig: Path, *, elsewhere: bool) -> dict[str, float]:
    """Return the seconds until the second is refused, and until the lock of the killed first is theirs."""
    cluster = connect(kubeconfig)
    with subprocess.Popen([sys.executable, "-c", HOLDER, kubeconfig], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began, named = time.monotonic(), ""
        try:
            lock(cluster).acquire()
        except RefusedError as error:
            named = error.found
        refused = time.monotonic() - began
        assert "anna@bridge" in named, named or "nobody was refused"
        holder.kill()
    died = time.monotonic()
    if elsewhere:
        mark = json.dumps({"machine": "another", "pid": 1, "started": "1"})
        body = {"metadata": {"annotations": {PROCESS: mark}}}
        cluster.request("PATCH", LEASE, body=body, content_type=MERGE_PATCH)
    second = lock(cluster)
    while True:
        try:
            second.acquire()
            break
        except RefusedError:  # as a person does: run it again
            time.sleep(0.5)
    taken = time.monotonic() - died
    second.release()
    return {"refused": round(refused, 2), "taken_over": round(taken, 1)}


def main() -> None:
    """Measure both and print them."""
    import results  # noqa: PLC0415 -- found by scripts alone, beside themselves

    from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- tests have their own

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    tools = install([local.ETCD, local.API_SERVER])
    with (
        tempfile.TemporaryDirectory() as folder,
        many_pods.api_server(Path(folder) / "state", tools.__getitem__) as (kubeconfig, _),
    ):
        connect(kubeconfig).request("POST", path("Namespace"), body={"metadata": {"name": "shop"}})
        rows = [
            {"holder": where, **measure(kubeconfig, elsewhere=where == "another machine")}
            for where in ("another machine", "the same machine")
        ]
    for row in rows:
        print(json.dumps(row), flush=True)  # noqa: T201 -- a script's output
    if options.write:
        results.write("locks", rows, key=("holder",))


if __name__ == "__main__":
    main()
