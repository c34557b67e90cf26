"""Customers go to ready pods alone, in turn, and every outcome is counted."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.programs import until

from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION
from quarterdeck_scripts.demo.traffic import Outcome, Target, Traffic, ready_targets
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.fake import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json


def pod(name: str, port: int, *, ready: bool = True, version: str = "v1", ip: str = "127.0.0.1") -> Json:
    """Return a pod of `checkout` that serves on *port*."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": {APP_NAME: "checkout", APP_VERSION: version},
        },
        "spec": {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


@contextmanager
def server(status: int) -> Iterator[tuple[int, Counter[str]]]:
    """Serve *status* to every request on loopback; yield the port and what was asked for."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked["POST"] += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield httpd.server_address[1], asked
        finally:
            httpd.shutdown()
            thread.join()


def test_only_ready_pods_that_stay_are_targets() -> None:
    """Not ready, without an address, or being deleted: no customer is sent there."""
    going = pod("going", 1)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert ready_targets([pod("b", 2), pod("a", 1), pod("cold", 3, ready=False), pod("bare", 4, ip=""), going]) == [
        Target("a", "v1", "127.0.0.1", 1),
        Target("b", "v1", "127.0.0.1", 2),
    ]


def go_on_until(traffic: Traffic, *, pods: int, requests: int) -> None:
    """Have customers ask so many *pods* until there were so many *requests* at least."""
    traffic.follow_pods()
    until(lambda: traffic.ready() == pods)
    traffic.start()
    until(lambda: traffic.count() >= requests)
    traffic.stop()


def test_requests_are_spread_evenly_and_counted_by_outcome() -> None:
    """Two pods get the same share; what the servers saw is what was counted."""
    with server(200) as (good, good_asked), server(500) as (bad, bad_asked):
        cluster = FakeCluster([pod("a", good), pod("b", bad, version="v2")])
        traffic = Traffic(cluster, "shop", "checkout", rate=500, customers=2)
        go_on_until(traffic, pods=2, requests=100)

        outcomes = traffic.outcomes()
        assert outcomes == {Outcome("a", "v1", 200): good_asked["POST"], Outcome("b", "v2", 500): bad_asked["POST"]}
        assert abs(good_asked["POST"] - bad_asked["POST"]) <= 2
        assert traffic.count(lambda outcome: outcome.failed) == bad_asked["POST"]
        assert not traffic.calm_for(60)
        assert traffic.first_failure("v2") <= time.monotonic()


def test_customers_ask_for_what_they_are_to_ask_for() -> None:
    """Each request is chosen by the pod that gets it and the number of those before it."""
    chosen: list[tuple[str, int]] = []

    def ask(target: Target, turn: int) -> tuple[str, str]:
        chosen.append((target.version, turn))
        return "POST", "/"

    with server(200) as (port, asked):
        cluster = FakeCluster([pod("a", port, version="v7")])
        traffic = Traffic(cluster, "shop", "checkout", rate=500, customers=1, ask=ask)
        go_on_until(traffic, pods=1, requests=3)

        assert chosen == [("v7", turn) for turn in range(asked["POST"])]


def test_a_pod_that_answers_nothing_is_a_failed_request() -> None:
    """A refused connection counts with status 0, and the customers go on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can be there
        cluster = FakeCluster([pod("a", closed.getsockname()[1])])
        traffic = Traffic(cluster, "shop", "checkout", rate=200, customers=1)
        go_on_until(traffic, pods=1, requests=3)

    assert set(traffic.outcomes()) == {Outcome("a", "v1", 0)}


def test_a_pod_that_goes_gets_no_more_requests() -> None:
    """When a pod is deleted, all requests go to the others, and none fails."""
    with server(200) as (stays, _), server(200) as (goes, _):
        cluster = FakeCluster([pod("stays", stays), pod("goes", goes)])
        traffic = Traffic(cluster, "shop", "checkout", rate=300, customers=2)
        traffic.follow_pods()
        until(lambda: traffic.ready() == 2)
        traffic.start()
        until(lambda: traffic.count(lambda outcome: outcome.pod == "goes") >= 5)
        cluster.request("DELETE", path("Pod", "shop", "goes"), query={"gracePeriodSeconds": "0"})
        until(lambda: traffic.ready() == 1)
        until(lambda: traffic.calm_for(0.2))
        traffic.stop()

        assert traffic.count(lambda outcome: outcome.failed) == 0
