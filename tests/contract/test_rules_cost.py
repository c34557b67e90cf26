"""What evaluating an objective's rules reads, in a real Prometheus, beside the usual seventeen rules.

The usual form is that of Sloth 0.11 from its public documentation (https://sloth.dev): error ratios over seven windows
from the raw series, the eighth, of 30 days, as the mean of 5-minute ratios, six rules of metadata, two alerts.
Samples are counted by Prometheus itself, for each rule's query at one moment.
"""

from __future__ import annotations

import socket
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import AlertSettings, burn_alerts
from quarterdeck_dashboards.catalogue import load
from quarterdeck_dashboards.slo import recorded
from quarterdeck_dashboards.slo.rules import recording_rules
from quarterdeck_dashboards.slo.windows import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Service

pytestmark = pytest.mark.tools

INTERVAL = timedelta(minutes=1)
"""Between scrapes, and between evaluations, of both forms."""
RAW, RECORDED = timedelta(days=3, hours=2), timedelta(days=30, hours=2)
"""How far back raw and recorded samples reach: past the longest window that reads them."""
NOW = 1_790_000_400
"""Unix time of the evaluation, at a whole minute."""
COUNT = "http_server_request_duration_seconds_count"
ONE_BLOCK = "--max-block-duration=744h"
"""promtool reads the whole text once for every block, which are of two hours unless it is told otherwise."""
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
SLOTH = 'sloth_id="checkout-availability"'


def _usual(service: Service) -> list[str]:
    own = f'namespace="{service.namespace}",service="{service.name}"'
    ratios = [
        f'(sum(rate({COUNT}{{{own},http_response_status_code=~"5.."}}[{window}])))\n/\n(sum(rate({COUNT}{{{own}}}[{window}])))'
        for window in WINDOWS
    ]
    ratios.append(
        f"sum_over_time(slo:sli_error:ratio_rate5m{{{SLOTH}}}[30d])\n"
        f"/ ignoring (sloth_window)\ncount_over_time(slo:sli_error:ratio_rate5m{{{SLOTH}}}[30d])"
    )
    metadata = [
        "vector(0.995)",
        "vector(1-0.995)",
        "vector(30)",
        f"slo:sli_error:ratio_rate5m{{{SLOTH}}} / on(sloth_id) group_left slo:error_budget:ratio{{{SLOTH}}}",
        f"slo:sli_error:ratio_rate30d{{{SLOTH}}} / on(sloth_id) group_left slo:error_budget:ratio{{{SLOTH}}}",
        f"1 - slo:period_burn_rate:ratio{{{SLOTH}}}",
        "vector(1)",
    ]

    def fires(factor: float, short: str, long: str) -> str:
        return " and ".join(
            f"max(slo:sli_error:ratio_rate{window}{{{SLOTH}}} > ({factor} * 0.005)) without (sloth_window)"
            for window in (short, long)
        )

    alerts = [
        f"({fires(14.4, '5m', '1h')}) or ({fires(6, '30m', '6h')})",
        f"({fires(3, '2h', '1d')}) or ({fires(1, '6h', '3d')})",
    ]
    return [*ratios, *metadata, *alerts]


def _ours(service: Service) -> list[str]:
    slo = service.slos[0]
    settings = AlertSettings("https://example.org/", INTERVAL)
    return [
        *(rule.expr for rule in recording_rules(service, slo, INTERVAL)),
        *(rule.expr for rule in burn_alerts(settings, service, slo)),
    ]


def _samples(service: Service, series: int) -> Iterator[str]:
    """Yield OpenMetrics text: *series* raw counters over days, and what both forms record over a month."""
    slo = service.slos[0]
    target = f'cluster="c",namespace="{service.namespace}",service="{service.name}"'

    def times(back: timedelta, every: timedelta) -> range:
        step = int(every.total_seconds())
        return range(NOW - int(back.total_seconds()) // step * step, NOW + 1, step)

    yield f"# TYPE {COUNT.removesuffix('_count')} histogram"
    for number in range(series):
        status = "500" if number % 10 == 0 else "200"
        labels = f'{{{target},pod="p",http_route="/{number}",{l_.HTTP_STATUS_CODE.prometheus}="{status}"}}'
        for step, at in enumerate(times(RAW, INTERVAL)):
            yield f"{COUNT}{labels} {60 * step} {at}"
    slo_labels = f'{{{target},slo="{slo.name}"}}'
    kept = {
        recorded.EVENTS.name: (RAW, INTERVAL),
        recorded.ERRORS.name: (RAW, INTERVAL),
        recorded.errors_in(HOUR).name: (RECORDED, INTERVAL),
        recorded.events_in(HOUR).name: (RECORDED, INTERVAL),
    }
    for name, (back, every) in kept.items():
        yield f"# TYPE {name} gauge"
        for at in times(back, every):
            yield f"{name}{slo_labels} 1 {at}"
    yield "# TYPE slo:sli_error:ratio_rate5m gauge"
    for at in times(RECORDED, INTERVAL):
        yield f"slo:sli_error:ratio_rate5m{{{SLOTH}}} 0.001 {at}"
    yield "# EOF"


@pytest.fixture
def service(root: Path) -> Service:
    """Return the repository's own service, whose first objective is its availability over 30 days."""
    return load(root / "services.yaml").service("checkout")


@pytest.fixture
def prometheus(
    tool: Callable[[str], Path],
    tmp_path: Path,
    service: Service,
    until: Callable[[Callable[[], Any], str], Any],
    request: pytest.FixtureRequest,
) -> Iterator[httpx.Client]:
    """Return a Prometheus that has the month of as many raw series as the test says."""
    text = tmp_path / "month.txt"
    text.write_text("\n".join(_samples(service, request.param)) + "\n")
    subprocess.run(
        [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", ONE_BLOCK, text, tmp_path / "data"],
        check=True,
        timeout=240,
        stdout=subprocess.DEVNULL,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    (tmp_path / "prometheus.yml").write_text("{}")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--storage.tsdb.retention.time=20y",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=60) as client:

            def ready() -> bool:
                try:
                    return client.get("/-/ready").is_success
                except httpx.TransportError:
                    return False

            until(ready, "Prometheus is ready")
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _read(client: httpx.Client, queries: list[str]) -> int:
    """Return how many samples the *queries* read at NOW, as Prometheus counts them."""
    total = 0
    for query in queries:
        answer = client.post("/api/v1/query", data={"query": query, "time": str(NOW), "stats": "all"}).json()
        assert answer["status"] == "success", answer
        total += answer["data"]["stats"]["samples"]["totalQueryableSamples"]
    return total


@pytest.mark.parametrize(("prometheus", "series"), [(20, 20), (200, 200)], indirect=["prometheus"], ids=["20", "200"])
def test_an_objective_reads_a_fifth_of_what_the_usual_rules_read_or_less(
    prometheus: httpx.Client, service: Service, series: int
) -> None:
    """At equal intervals, so it is so for any number of services; the raw series are read over 5 minutes only."""
    ours, usual = _ours(service), _usual(service)
    assert (len(ours), len(usual)) == (17, 17)

    read, usually_read = _read(prometheus, ours), _read(prometheus, usual)

    print(f"{series} series: {read} samples an evaluation, usually {usually_read}: 1/{usually_read / read:.1f}")  # noqa: T201 -- the figure
    assert read <= usually_read / 5
