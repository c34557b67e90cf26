"""Counts taken from a real Prometheus equal what the service itself counted, within one scrape."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.programs import free_port, started

from quarterdeck_contract import VERSION
from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.rollout.foresight import traffic
from quarterdeck_scripts.rollout.judge import queries
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.verdict import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools

SCRAPE = 1.0
"""Seconds between two scrapes."""

DEADLINE = 120.0
"""Seconds that any condition may take."""


class Pod:
    """A process with a `/metrics` page, at a port that is its own from the beginning."""

    def __init__(self, name: str, track: str) -> None:
        self.name, self.track = name, track
        self.port = free_port()
        self.counted: dict[tuple[str, bool], int] = {}
        """Requests by status and whether they were fast, of this process; a restart empties it."""
        self.before = Counts()
        """What earlier processes of this pod had counted."""
        self.pages = 0
        """How many times it was scraped."""
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.lock = threading.Lock()

    def serve(self, requests: int, status: str = "200", *, fast: bool = True) -> None:
        """Count *requests*."""
        with self.lock:
            self.counted[status, fast] = self.counted.get((status, fast), 0) + requests

    def total(self) -> Counts:
        """Return everything this pod ever counted: requests, and how many failed."""
        with self.lock:
            failed = sum(n for (status, _), n in self.counted.items() if status == "500")
            return self.before + Counts(sum(self.counted.values()), failed)

    def page(self) -> str:
        """Return the page, in Prometheus' text format."""
        with self.lock:
            self.pages += 1
            lines = [
                "# TYPE quarterdeck_build_info gauge",
                f'quarterdeck_build_info{{contract_version="{VERSION}"}} 1',
                "# TYPE http_server_request_duration_seconds histogram",
            ]
            for status in sorted({status for status, _ in self.counted}):
                fast = self.counted.get((status, True), 0)
                total = fast + self.counted.get((status, False), 0)
                name = "http_server_request_duration_seconds"
                labels = f'http_request_method="GET",http_route="/",http_response_status_code="{status}"'
                lines += [
                    f'{name}_bucket{{{labels},le="0.25"}} {fast}',
                    f'{name}_bucket{{{labels},le="+Inf"}} {total}',
                    f"{name}_sum{{{labels}}} {total}",
                    f"{name}_count{{{labels}}} {total}",
                ]
            return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Listen."""
        pod = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pod.page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Die; what was counted stays in `before`."""
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None
        self.before = self.total()
        self.counted = {}


def wait_until(what: str, look: Callable[[], bool]) -> None:
    """Return when *look* says so.

    Raises:
        AssertionError: not within the deadline.
    """
    deadline = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what}"
        time.sleep(0.02)


def scraped(pod: Pod, api: PrometheusApi) -> None:
    """Return when *pod* was scraped twice more, and Prometheus has what it counted until now.

    A page that was asked for is not yet a scrape: a busy machine may have answered too late.
    """
    wanted, text = pod.pages + 2, f'sum(http_server_request_duration_seconds_count{{pod="{pod.name}"}})'

    def kept() -> bool:
        found = api.query(text).series
        return pod.pages >= wanted and [each.samples[-1][1] for each in found] == [sum(pod.counted.values())]

    wait_until(f"two scrapes of {pod.name}", kept)


@contextmanager
def prometheus_of(binary: Path, folder: Path, pods: list[Pod]) -> Iterator[PrometheusApi]:
    """Run Prometheus, scraping *pods*."""
    port = free_port()
    targets = [
        {
            "targets": [f"127.0.0.1:{pod.port}"],
            "labels": {
                "cluster": "test",
                "namespace": "shop",
                "service": "checkout",
                "pod": pod.name,
                "track": pod.track,
                "version": "v2" if pod.track == "canary" else "v1",
            },
        }
        for pod in pods
    ]
    config = {
        "global": {"scrape_interval": f"{SCRAPE:g}s", "scrape_timeout": f"{SCRAPE:g}s"},
        "scrape_configs": [{"job_name": "pods", "static_configs": targets}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with started(folder / "prometheus.log", command):
        api = PrometheusApi(f"http://127.0.0.1:{port}", timeout=60)
        wait_until("Prometheus to answer", lambda: answers(api))
        yield api


def answers(api: PrometheusApi) -> bool:
    """Return whether Prometheus answers."""
    try:
        return bool(api.query(queries.CLOCK).series)
    except QuarterdeckError:
        return False


def test_counts_equal_the_services_own(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Over births, a restart and a pod that goes, each look is within one scrape of the truth; the end is exact."""
    stable, canary, second = Pod("stable-1", "stable"), Pod("canary-1", "canary"), Pod("canary-2", "canary")
    stable.serve(1000)
    stable.start()
    try:
        with prometheus_of(tool("prometheus"), tmp_path, [stable, canary, second]) as api:
            scraped(stable, api)
            measured = Measured(api, stable, [canary, second])

            # Born with three errors: they are in its first sample, where `increase` sees nothing.
            canary.serve(40)
            canary.serve(3, "500")
            canary.start()
            measured.until_exact()

            # The stable pod's first error makes a series that is born non-zero on a known pod.
            stable.serve(7, "500")
            stable.serve(50, fast=False)
            measured.until_exact()

            # A restart: the counter drops, the truth does not.
            canary.serve(200)
            scraped(canary, api)
            canary.stop()
            canary.serve(11)
            canary.serve(2, "500")
            canary.start()
            measured.until_exact()

            # While requests keep coming, no look is further off than one scrape.
            for _ in range(60):
                stable.serve(3)
                canary.serve(1)
                measured.look()
                time.sleep(0.05)
            measured.until_exact()

            # A pod that comes and goes keeps what was scraped of it.
            second.serve(25)
            second.start()
            scraped(second, api)
            second.stop()
            measured.until_exact()
            assert measured.counted() == (Counts(341, 5), Counts(237, 7))
            assert measured.slow() == 50
    finally:
        for pod in (stable, canary, second):
            pod.stop()


def test_a_plans_questions_are_answered(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Requests a second by route and status, the quick ones by bucket, the peak, and what latency is usual."""
    stable = Pod("stable-1", "stable")
    stable.serve(1000)
    stable.serve(1, "500")  # a rate sees nothing of a series' first sample
    stable.start()
    try:
        with prometheus_of(tool("prometheus"), tmp_path, [stable]) as api:
            scraped(stable, api)
            stable.serve(300)
            stable.serve(60, fast=False)
            stable.serve(40, "500")
            asked = traffic.questions("shop", "checkout", (0.25,), sli.HTTP)
            failed = Objective("availability", Bad.FAILED, 0.0025)
            slow = Objective("latency", Bad.SLOW, 0.005, 0.25)
            wait_until(
                "the second scrape to count", lambda: traffic.read(api, asked).load(failed, sli.HTTP)["GET /"].bad > 0
            )
            found = traffic.read(api, asked)
            text = queries.durations("shop", "checkout", 600)
            within = {series.labels["le"]: series.samples[-1][1] for series in api.query(text).series}

            assert found.load(failed, sli.HTTP)["GET /"].share < 1
            assert 0 < found.load(slow, sli.HTTP)["GET /"].share < 1
            assert found.peak >= 0
            assert within["+Inf"] > within["0.25"] > 0
    finally:
        stable.stop()


class Measured:
    """Looks at the service through Prometheus, and compares each look with what the pods counted."""

    def __init__(self, api: PrometheusApi, stable: Pod, canaries: list[Pod]) -> None:
        ((clock,),) = (series.samples for series in api.query(queries.CLOCK).series)
        self._stable, self._canaries = stable, canaries
        self._base = stable.total()
        self.record = RolloutRecord(
            *("id", "checkout", "shop", "test", "uid", "x:v2", "x:v1", "anna", clock[1], SCRAPE, 600.0),
            Criteria(),
            (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25)),
            since=clock[1],
        )
        self._measurer = Measurer(api, self.record, version="v2")
        self._history: list[tuple[float, Counts, Counts]] = []

    def truth(self) -> tuple[Counts, Counts]:
        """Return what the canaries and the stable pod counted since the beginning."""
        first, second = (pod.total() for pod in self._canaries)
        now = self._stable.total()
        return first + second, Counts(now.requests - self._base.requests, now.bad - self._base.bad)

    def counted(self) -> tuple[Counts, Counts]:
        """Return what was counted through Prometheus, at the last look."""
        tally = self.record.readings[-1].tallies[0]
        return tally.canary, tally.stable

    def slow(self) -> int:
        """Return how many slow stable requests were counted."""
        return self.record.readings[-1].tallies[1].stable.bad

    def look(self) -> None:
        """Look once; what is counted lies between the truth one scrape before the newest sample, and now."""
        self._history.append((time.time(), *self.truth()))
        self._measurer.look([PodFact("stable-1", "stable", ready=True, born_during=False)])
        now = self.truth()
        for side, counts in enumerate(self.counted()):
            newest = self.record.readings[-1].newest[side]
            earlier = [entry[1 + side] for entry in self._history if entry[0] <= newest - SCRAPE]
            assert counts.requests <= now[side].requests
            assert counts.bad <= now[side].bad
            if earlier:
                assert counts.requests >= earlier[-1].requests
                assert counts.bad >= earlier[-1].bad

    def until_exact(self) -> None:
        """Look until what is counted is the truth."""

        def exact() -> bool:
            self.look()
            return self.counted() == self.truth()

        wait_until("the counts to be the truth", exact)
