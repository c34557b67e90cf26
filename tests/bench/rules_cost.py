"""What evaluating objectives' rules reads in a real Prometheus: `python tests/bench/rules_cost.py [--write]`.

A hundred services with three objectives each, over 30 days, of 20 and of 200 raw series an objective, beside the usual
seventeen rules at the same interval. Samples are counted by Prometheus itself, for every rule's query at one moment.
The services are alike: one block is made of text, and copied under the others' names (`blocks`).

The usual form is that of Sloth 0.11 from its public documentation (https://sloth.dev): error ratios over seven windows
from the raw series, the eighth, of 30 days, as the mean of 5-minute ratios, six rules of metadata, two alerts.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blocks
import httpx

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import AlertSettings, burn_alerts
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.series import bucket_bound
from quarterdeck_dashboards.slo import recorded
from quarterdeck_dashboards.slo.objective import error_budget
from quarterdeck_dashboards.slo.rules import recording_rules
from quarterdeck_dashboards.slo.windows import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from quarterdeck_dashboards.catalogue import Catalogue, Service, Slo

SERVICES = 100
SERIES = (20, 200)
"""Raw series of each objective: routes, pods and statuses together."""
INTERVAL = timedelta(seconds=15)
"""Between scrapes, and between evaluations, of both forms."""
RAW, RECORDED = timedelta(days=3, hours=2), timedelta(days=30, hours=2)
"""How far back raw and recorded samples reach: past the longest window that reads them."""
NOW = 342 * int(blocks.LENGTH.total_seconds()) - 60
"""Unix time of the evaluation: at the end of a block, because promtool reads its whole text once for each."""
DEADLINE = 60.0
"""Seconds until a Prometheus that does not start is given up."""
HISTOGRAM = "http_server_request_duration_seconds"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
STATUS = l_.HTTP_STATUS_CODE.prometheus
USUALLY_RECORDED = "slo:sli_error:ratio_rate5m"
"""What the usual rules add up 30 days of."""
INSTANT = (
    *("slo:error_budget:ratio", "slo:period_burn_rate:ratio"),
    *(f"slo:sli_error:ratio_rate{window}" for window in (*WINDOWS[1:], "30d")),
)
"""What else they record, and ask for the present value of."""


def catalogue(services: int) -> Catalogue:
    """Return *services* with three objectives over 30 days each."""
    entries = [
        f"""
  - name: service-{number:03}
    namespace: shop
    owner: payments
    framework: fastapi
    image: registry.example/service:v1
    slos:
      - {{name: availability, kind: availability, objective: 99.5}}
      - {{name: latency, kind: latency, objective: 99, threshold: 1s}}
      - {{name: quick, kind: latency, objective: 95, threshold: 250ms}}"""
        for number in range(services)
    ]
    return parse("version: 1\nrunbook_base_url: https://example.org/\nservices:" + "".join(entries), "a hundred")


def ours(service: Service, slo: Slo, interval: timedelta) -> list[str]:
    """Return the queries of the generated rules of *slo*."""
    settings = AlertSettings("https://example.org/", interval)
    return [rule.expr for rule in (*recording_rules(service, slo, interval), *burn_alerts(settings, service, slo))]


def usual(service: Service, slo: Slo) -> list[str]:
    """Return the queries of the usual seventeen rules, of the same events."""
    own, sloth, budget = _own(service), _sloth(service, slo), error_budget(slo.objective)
    fine = f'{own},{STATUS}!~"5.."'

    def ratio(window: str) -> str:
        if slo.kind is SloKind.AVAILABILITY:
            failed, every = f'{own},{STATUS}=~"5.."', own
            errors = f"sum(rate({HISTOGRAM}_count{{{failed}}}[{window}]))"
        else:
            every = fine
            good = f'sum(rate({HISTOGRAM}_bucket{{{fine},le="{_bound(slo)}"}}[{window}]))'
            errors = f"sum(rate({HISTOGRAM}_count{{{fine}}}[{window}])) - {good}"
        return f"({errors})\n/\n(sum(rate({HISTOGRAM}_count{{{every}}}[{window}])))"

    period = f"{USUALLY_RECORDED}{{{sloth}}}[30d]"
    per_budget = f"/ on(sloth_id) group_left slo:error_budget:ratio{{{sloth}}}"
    metadata = [
        f"vector({1 - budget:g})",
        f"vector(1-{1 - budget:g})",
        "vector(30)",
        f"{USUALLY_RECORDED}{{{sloth}}} {per_budget}",
        f"slo:sli_error:ratio_rate30d{{{sloth}}} {per_budget}",
        f"1 - slo:period_burn_rate:ratio{{{sloth}}}",
        "vector(1)",
    ]

    def fires(factor: float, short: str, long: str) -> str:
        return " and ".join(
            f"max(slo:sli_error:ratio_rate{window}{{{sloth}}} > ({factor} * {budget:g})) without (sloth_window)"
            for window in (short, long)
        )

    return [
        *map(ratio, WINDOWS),
        f"sum_over_time({period})\n/ ignoring (sloth_window)\ncount_over_time({period})",
        *metadata,
        f"({fires(14.4, '5m', '1h')}) or ({fires(6, '30m', '6h')})",
        f"({fires(3, '2h', '1d')}) or ({fires(1, '6h', '3d')})",
    ]


def _own(service: Service) -> str:
    return f'namespace="{service.namespace}",service="{service.name}"'


def _sloth(service: Service, slo: Slo) -> str:
    return f'sloth_id="{service.name}-{slo.name}"'


def _bound(slo: Slo) -> str:
    assert slo.threshold is not None  # the catalogue above
    return bucket_bound(slo.threshold.total_seconds())


def _raw(service: Service, series: int, interval: timedelta) -> Iterator[str]:
    """Yield OpenMetrics text: *series* counters of each objective, a tenth of them of failed requests."""
    growing = [f" {60 * step} {at}\n" for step, at in enumerate(_times(RAW, interval))]
    bounds = [f',le="{_bound(slo)}"' for slo in service.slos if slo.kind is SloKind.LATENCY]
    yield f"# TYPE {HISTOGRAM} histogram\n"
    for number in range(series):
        status = "500" if number % 10 == 0 else "200"
        labels = f'cluster="c",{_own(service)},pod="p",http_route="/{number}",{STATUS}="{status}"'
        for name in (f"count{{{labels}}}", *(f"bucket{{{labels}{bound}}}" for bound in bounds)):
            begun = f"{HISTOGRAM}_{name}"
            yield begun + begun.join(growing)


def _recorded(service: Service, interval: timedelta) -> Iterator[str]:
    """Yield OpenMetrics text: what the rules of both forms recorded before, as far back as they ask for it."""
    month, raw = ([f" 1 {at}\n" for at in _times(back, interval)] for back in (RECORDED, RAW))
    lasting = {recorded.EVENTS.name: raw, recorded.ERRORS.name: raw, USUALLY_RECORDED: month}
    lasting |= {recorded.events_in(HOUR).name: month, recorded.errors_in(HOUR).name: month}
    lines: dict[str, list[str]] = {}
    for slo in service.slos:
        own = f'cluster="c",{_own(service)},slo="{slo.name}"'
        labels = {rule.record: own for rule in recording_rules(service, slo, interval)}
        labels |= dict.fromkeys((USUALLY_RECORDED, *INSTANT), _sloth(service, slo))
        for name, each in labels.items():
            begun = f"{name}{{{each}}}"
            lines.setdefault(name, [f"# TYPE {name} gauge\n"]).append(begun + begun.join(lasting.get(name, month[-1:])))
    for each in lines.values():
        yield from each


def _times(back: timedelta, interval: timedelta) -> range:
    step = int(interval.total_seconds())
    return range(NOW - int(back.total_seconds()) // step * step, NOW + 1, step)


def fill(promtool: Path, folder: Path, services: Sequence[Service], series: int, interval: timedelta) -> None:
    """Write blocks into *folder*, the data of a Prometheus to come: of one service, and its like for each other."""
    first, *others = services
    block = blocks.write(
        promtool, folder / "data", (*_raw(first, series, interval), *_recorded(first, interval), "# EOF\n")
    )
    for number, service in enumerate(others):
        blocks.copy(block, number, first.name, service.name)


@contextmanager
def running(prometheus: Path, folder: Path) -> Iterator[httpx.Client]:
    """Run a Prometheus on what was filled into *folder*, and yield a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    (folder / "prometheus.yml").write_text("{}")
    flags = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "storage.tsdb.retention.time": "30y",
        "web.listen-address": address,
    }
    # Blocks of the same time stay as they are: to compact them would take longer than to read them.
    command = [prometheus, *(f"--{name}={value}" for name, value in flags.items())]
    command.append("--no-storage.tsdb.allow-overlapping-compaction")
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=300) as client:
                _wait(client, folder / "log")
                yield client
        finally:
            process.terminate()


def _wait(client: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            if client.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text())
        time.sleep(0.1)


def read(client: httpx.Client, queries: Sequence[str]) -> int:
    """Return how many samples the *queries* read at NOW, as Prometheus counts them."""
    total = 0
    for query in queries:
        answer: Any = client.post("/api/v1/query", data={"query": query, "time": str(NOW), "stats": "all"}).json()
        assert answer["status"] == "success", answer
        total += answer["data"]["stats"]["samples"]["totalQueryableSamples"]
    return total


def measure(
    tool: Callable[[str], Path], folder: Path, services: Sequence[Service], series: int, interval: timedelta
) -> dict[str, float]:
    """Return the samples that one evaluation of all rules of *services* reads, of both forms.

    Args:
        tool: from a tool's name to its binary.
        folder: of its own, for the data.
        services: alike but for their names.
        series: raw ones of each objective.
        interval: between scrapes, and between evaluations.
    """
    fill(tool("promtool"), folder, services, series, interval)
    objectives = [(service, slo) for service in services for slo in service.slos]
    with running(tool("prometheus"), folder) as client:
        return {
            "series": series,
            "services": len(services),
            "interval": interval.total_seconds(),
            "ours": sum(read(client, ours(*each, interval)) for each in objectives),
            "usual": sum(read(client, usual(*each)) for each in objectives),
        }


def main() -> None:
    """Measure each number of series and print it."""
    import results  # noqa: PLC0415 -- found by scripts alone, beside themselves

    from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- tests have their own

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    parser.add_argument("--services", type=int, default=SERVICES, help="how many services (default %(default)s)")
    options = parser.parse_args()
    tools = install(["prometheus", "promtool"])
    services = catalogue(options.services).services
    for series in SERIES:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(tools.__getitem__, Path(folder), services, series, INTERVAL)
        print(json.dumps(row), flush=True)  # noqa: T201 -- a script's output
        if options.write:
            results.write("rules", [row], key=("services", "series"))


if __name__ == "__main__":
    main()
