"""Canaries judged through a real Thanos querier: the counts are the service's own, and a gap is no evidence."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml
from loopback import Asked, addresses, end, process, until
from tests.cluster.test_rollout_evidence import SCRAPE, Pod, scraped

from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.rollout.judge import queries
from quarterdeck_scripts.rollout.judge.counts import Counts
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.verdict import Verdict
from quarterdeck_stacks.scraping import REPLICA
from quarterdeck_stacks.settings.monitoring import ObjectStore, StoreKind
from quarterdeck_stacks.telemetry import thanos
from quarterdeck_stacks.telemetry.places import THANOS_GRPC_PORT, THANOS_HTTP_PORT
from quarterdeck_stacks.telemetry.storing import for_thanos

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.rollout.judge.verdict import Assessment

pytestmark = pytest.mark.tools

SIDES = {"stable-1": "stable", "canary-1": "canary"}


@dataclass
class Running:
    """A service with two pods, scraped by two pairs of Prometheus that a querier stands before."""

    pods: dict[str, Pod]
    api: PrometheusApi
    servers: dict[str, subprocess.Popen[bytes]]
    """Prometheus and sidecars: `a` and `b` scrape the stable pod, `c` and `d` the canary."""

    def measurer(self) -> tuple[Measurer, RolloutRecord]:
        """Return what judges the canary from now on."""
        ((_, now),) = (sample for series in self.api.query(queries.CLOCK).series for sample in series.samples)
        record = RolloutRecord(
            *("id", "checkout", "shop", "test", "uid", "x:v2", "x:v1", "anna", now, SCRAPE, 600.0),
            Criteria(),
            (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25)),
            since=now,
        )
        return Measurer(self.api, record, version="v2"), record

    def look(self, measurer: Measurer) -> Assessment:
        """Look once, with both pods Ready."""
        return measurer.look(
            [PodFact(name, track, ready=True, born_during=track == "canary") for name, track in SIDES.items()]
        )


@pytest.fixture
def running(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[Running]:
    """Run everything; only the canary has not begun to serve."""
    pods = {name: Pod(name, track) for name, track in SIDES.items()}
    names = ("a", "b", "c", "d")
    at = dict(zip((*names, "query"), addresses(5, [9090, THANOS_GRPC_PORT, THANOS_HTTP_PORT]), strict=True))
    servers: dict[str, subprocess.Popen[bytes]] = {}
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    with ExitStack() as stack:
        pods["stable-1"].serve(1000)
        pods["stable-1"].start()
        stack.callback(pods["stable-1"].stop)
        stack.callback(pods["canary-1"].stop)

        def run(name: str, *command: str | Path) -> subprocess.Popen[bytes]:
            return stack.enter_context(process(tmp_path / f"{name}.log", *command))

        for name in names:
            config = tmp_path / f"{name}.yml"
            config.write_text(_configuration(name, pods["stable-1" if name in {"a", "b"} else "canary-1"]))
            servers[name] = run(
                name,
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / name}",
                f"--web.listen-address={at[name]}:9090",
                *thanos.BLOCK,
            )
            until(Asked(f"http://{at[name]}:9090").is_ready, f"Prometheus {name}")
            servers[f"sidecar-{name}"] = run(
                f"sidecar-{name}",
                tool("thanos"),
                *thanos.sidecar(
                    f"http://{at[name]}:9090",
                    str(tmp_path / name),
                    object_store=for_thanos(ObjectStore(StoreKind.FILE, str(bucket), {})),
                    listening=thanos.Listening(host=at[name]),
                ),
            )
        endpoints = [f"{at[name]}:{THANOS_GRPC_PORT}" for name in names]
        query = thanos.query(endpoints, replica_label=REPLICA, listening=thanos.Listening(host=at["query"]))
        run("query", tool("thanos"), *query)
        asked = Asked(f"http://{at['query']}:{THANOS_HTTP_PORT}")
        until(asked.is_ready, "Thanos' querier")
        until(lambda: len(asked.get("stores").get("sidecar", ())) == len(names), "the querier to know all sidecars")
        yield Running(pods, PrometheusApi(asked.url, timeout=5), servers)


def _configuration(name: str, pod: Pod) -> str:
    labels = {
        "namespace": "shop",
        "service": "checkout",
        "pod": pod.name,
        "track": pod.track,
        "version": "v2" if pod.track == "canary" else "v1",
    }
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": f"{SCRAPE:g}s",
                "scrape_timeout": f"{SCRAPE:g}s",
                "external_labels": {"cluster": "test", REPLICA: name},
            },
            "scrape_configs": [
                {
                    "job_name": "pods",
                    "static_configs": [{"targets": [f"127.0.0.1:{pod.port}"], "labels": labels}],
                }
            ],
        }
    )


def test_two_replicas_count_each_request_once(running: Running) -> None:
    """From the canary's first error on; and when one of each pair is gone, the other goes on."""
    stable, canary = running.pods["stable-1"], running.pods["canary-1"]
    scraped(stable, running.api)
    measurer, record = running.measurer()

    def exact() -> bool:
        running.look(measurer)
        reading = record.readings[-1]
        return not reading.causes and (reading.tallies[0].canary, reading.tallies[0].stable) == wanted

    canary.serve(40)
    canary.serve(3, "500")
    canary.start()
    stable.serve(200)
    wanted = (Counts(43, 3), Counts(200, 0))
    until(exact, "the counts to be the service's own", 60)

    for name in ("a", "sidecar-a", "c", "sidecar-c"):
        end(running.servers[name])
    canary.serve(57)
    stable.serve(100, "500")
    wanted = (Counts(100, 3), Counts(300, 100))
    until(exact, "the counts to go on with what is left", 60)


@pytest.mark.parametrize(
    ("name", "how", "cause"),
    [
        ("c", signal.SIGKILL, "Prometheus warns that its answer may be incomplete"),
        ("sidecar-c", signal.SIGSTOP, "Prometheus gave no answer"),
    ],
    ids=["gone", "hanging"],
)
def test_what_one_store_does_not_answer_for_is_no_evidence(
    running: Running, name: str, how: signal.Signals, cause: str
) -> None:
    """The canary's only Prometheus is gone, or its sidecar hangs: INCONCLUSIVE with the cause, never a PASS."""
    stable, canary = running.pods["stable-1"], running.pods["canary-1"]
    for gone in ("sidecar-d", "d"):
        end(running.servers[gone])
    canary.start()
    measurer, record = running.measurer()
    canary.serve(100)
    stable.serve(100)
    until(lambda: bool(running.look(measurer)) and not record.readings[-1].causes, "whole answers", 60)

    running.servers[name].send_signal(how)
    try:
        stable.serve(10_000)
        canary.serve(10_000)
        before = len(record.readings)
        verdicts = set()

        def told() -> bool:
            verdicts.add(running.look(measurer).verdict)
            return any(each.startswith(cause) for each in record.readings[-1].causes)

        until(told, f"the cause “{cause}”", 60)
    finally:
        running.servers[name].send_signal(signal.SIGCONT)

    assert verdicts == {Verdict.INCONCLUSIVE}
    assert all(reading.causes for reading in record.readings[before + 1 :])
