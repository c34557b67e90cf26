"""The shop's customers: a steady stream of requests, spread over the ready pods, each outcome counted.

Open loop: requests are due at fixed times whatever the answers do, as customers are. Pods come and go by a
watch, so a pod gets its first request when it is Ready and its last before it ends.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION
from quarterdeck_scripts.kube.client import Json, path

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Cluster

SERVER_ERROR = 500
"""First status that is the server's fault."""

REQUEST_TIMEOUT = 5.0
"""Seconds a customer waits."""

WATCH_SECONDS = 20.0
"""How long one watch lasts before the pods are listed again."""


@dataclass(frozen=True)
class Target:
    """One ready pod."""

    pod: str
    version: str
    host: str
    port: int


@dataclass(frozen=True)
class Outcome:
    """How one request ended: `status` is the HTTP status, 0 when no answer came."""

    pod: str
    version: str
    status: int

    @property
    def failed(self) -> bool:
        """Whether the customer was let down."""
        return self.status == 0 or self.status >= SERVER_ERROR


def ready_targets(pods: list[Json]) -> list[Target]:
    """Return the pods that may be sent requests: Ready, with an address, not being deleted."""
    targets = []
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
        if not ready or "deletionTimestamp" in metadata or not status.get("podIP"):
            continue
        ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
        port = next(port["containerPort"] for port in ports if port.get("name", "http") == "http")
        version = metadata.get("labels", {}).get(APP_VERSION, "")
        targets.append(Target(metadata["name"], version, status["podIP"], port))
    return sorted(targets, key=lambda target: target.pod)


def pay(target: Target, turn: int) -> tuple[str, str]:
    """Return what a customer of the demo's shop asks for: method and path."""
    del target  # whichever pod it is
    return "POST", f"/carts/{turn}/pay"


class Traffic:
    """Customers of one service at *rate* requests a second, until `stop`."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        service: str,
        *,
        rate: float,
        customers: int = 6,
        ask: Callable[[Target, int], tuple[str, str]] = pay,
    ) -> None:
        """Choose the customers; none asks for anything yet.

        Args:
            cluster: where the pods are.
            namespace: of the service.
            service: its name.
            rate: requests a second, of all customers.
            customers: how many connections are kept open to each pod at most.
            ask: gives method and path of the request to a pod, by the requests before it.
        """
        self._ask = ask
        self._cluster = cluster
        self._namespace = namespace
        self._selector = f"{APP_NAME}={service}"
        self._rate = rate
        self._targets: list[Target] = []
        self._turn = itertools.count()
        self._ticket = itertools.count()
        self._outcomes: Counter[Outcome] = Counter()
        self._first_failures: dict[str, float] = {}
        self._last_failure = 0.0
        self._last_request = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._follow_pods, name="traffic-pods", daemon=True)]
        self._threads += [
            threading.Thread(target=self._shop, name=f"customer-{n}", daemon=True) for n in range(customers)
        ]
        self._began = 0.0

    def follow_pods(self) -> None:
        """Begin to follow the pods: `ready` counts them from now on."""
        self._threads[0].start()

    def ready(self) -> int:
        """Return how many pods may be sent requests."""
        return len(self._targets)

    def start(self) -> None:
        """Let the customers in."""
        self._began = time.monotonic()
        for thread in self._threads[1:]:
            thread.start()

    def stop(self) -> None:
        """Send the customers home and wait until the last has left."""
        self._stopped.set()
        for thread in self._threads[1:]:
            if thread.is_alive():
                thread.join(timeout=REQUEST_TIMEOUT + 1)

    def outcomes(self) -> Counter[Outcome]:
        """Return how many requests ended how, until now."""
        with self._lock:
            return Counter(self._outcomes)

    def count(self, wanted: Callable[[Outcome], bool] = lambda _: True) -> int:
        """Return the number of requests whose outcome is *wanted*."""
        return sum(n for outcome, n in self.outcomes().items() if wanted(outcome))

    def first_failure(self, version: str) -> float:
        """Return when *version* first let a customer down (monotonic seconds); now, if it never did."""
        with self._lock:
            return self._first_failures.get(version, time.monotonic())

    def calm_for(self, seconds: float) -> bool:
        """Return whether no request failed in the last *seconds*, while requests were made."""
        now = time.monotonic()
        with self._lock:
            return self._last_failure < now - seconds and self._last_request > now - seconds

    def _follow_pods(self) -> None:
        query = {"labelSelector": self._selector}
        while not self._stopped.is_set():
            try:
                answer = self._cluster.request("GET", path("Pod", self._namespace), query=query)
                pods = {pod["metadata"]["uid"]: pod for pod in answer["items"]}
                self._targets = ready_targets(list(pods.values()))
                since = {**query, "resourceVersion": answer["metadata"]["resourceVersion"]}
                for event in self._cluster.watch(path("Pod", self._namespace), query=since, timeout=WATCH_SECONDS):
                    uid = event["object"]["metadata"].get("uid", "")
                    if event["type"] == "DELETED":
                        pods.pop(uid, None)
                    elif event["type"] in {"ADDED", "MODIFIED"}:
                        pods[uid] = event["object"]
                    self._targets = ready_targets(list(pods.values()))
                    if self._stopped.is_set():
                        return
            except QuarterdeckError:
                # The cluster is away; the pods are not. Customers keep coming to those last known.
                self._stopped.wait(1)

    def _shop(self) -> None:
        connections: dict[Target, http.client.HTTPConnection] = {}
        while not self._stopped.is_set():
            due = self._began + next(self._ticket) / self._rate
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                break
            targets = self._targets
            for gone in connections.keys() - set(targets):
                connections.pop(gone).close()
            if not targets:
                continue
            turn = next(self._turn)
            target = targets[turn % len(targets)]
            connection = connections.get(target)
            if connection is None:
                connection = http.client.HTTPConnection(target.host, target.port, timeout=REQUEST_TIMEOUT)
                connections[target] = connection
            self._note(Outcome(target.pod, target.version, _request(connection, *self._ask(target, turn))))
        for connection in connections.values():
            connection.close()

    def _note(self, outcome: Outcome) -> None:
        now = time.monotonic()
        with self._lock:
            self._outcomes[outcome] += 1
            self._last_request = now
            if outcome.failed:
                self._last_failure = now
                self._first_failures.setdefault(outcome.version, now)


def _request(connection: http.client.HTTPConnection, method: str, url: str) -> int:
    """Send one request and return the status, or 0 when no answer came.

    A kept connection that the server has closed meanwhile is opened anew and the request sent again, as every
    HTTP client and load balancer does: uvicorn closes a connection after an unhandled error.
    """
    kept = connection.sock is not None
    try:
        return _exchange(connection, method, url)
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        connection.close()
        if kept:
            return _request(connection, method, url)
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request on it opens a new one
    return 0


def _exchange(connection: http.client.HTTPConnection, method: str, url: str) -> int:
    connection.request(method, url, headers={"Content-Length": "0"})
    response = connection.getresponse()
    response.read()
    return response.status
