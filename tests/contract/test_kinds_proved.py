"""Promises of every kind, and calendar windows, by the real promtool."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from quarterdeck_dashboards import build
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.promql import Vector
from quarterdeck_dashboards.rulefile import Group, render_groups
from quarterdeck_dashboards.slo.calendar import Calendar, since_start, start_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

pytestmark = pytest.mark.tools

SLOS = {
    "route": "{kind: availability, objective: 99, window: 7d, route: '/users/{id}', method: POST, module: users}",
    "call": "{kind: availability, objective: 99, window: 7d, route: shop.Orders/Get}",
    "fresh": "{kind: freshness, objective: 99, window: 7d, metric: jobs.last_success, threshold: 1h}",
    "throughput": "{kind: throughput, objective: 99, calendar: week, metric: jobs.done, minimum: 2.5}",
    "waiting": "{kind: queue-wait, objective: 99, window: 7d, metric: jobs.wait, threshold: 10s}",
    "custom": "{kind: custom, objective: 99, window: 7d, "
    "errors: 'paid_total{result=~\"no|never\"}', events: paid_total}",
}
SERVICE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    tier: 1
    framework: {framework}
    image: a/b:v1
    metrics:
      - {{name: jobs.last_success, kind: gauge, unit: s}}
      - {{name: jobs.done, kind: counter, unit: "{{job}}"}}
      - {{name: jobs.wait, kind: histogram, unit: s, buckets: [1, 10, 60]}}
    slos:
      - {{name: promise, {slo}
"""


def _promising(kind: str) -> Catalogue:
    framework = "grpc" if kind == "call" else "fastapi"
    return parse(SERVICE.format(framework=framework, slo=SLOS[kind].removeprefix("{")), "services.yaml")


@pytest.mark.parametrize("kind", SLOS)
def test_the_proofs_of_every_kind_hold(tool: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    """Pages in time and silent below; through restarts, lost scrapes and quiet nights where events are counted."""
    catalogue = _promising(kind)
    build.write(build.generated(catalogue, scrape_interval=timedelta(seconds=15)), tmp_path)
    proofs = sorted((tmp_path / "proofs").glob("*-of-*.yaml"))

    assert [proof.name.partition("-of-")[0] for proof in proofs] == (
        ["page", "ticket"] if kind in ("fresh", "throughput") else ["page", "quiet", "ticket"]
    )
    for proof in proofs:
        ended = subprocess.run(
            [tool("promtool"), "test", "rules", proof], capture_output=True, text=True, timeout=240, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_quiet_nights_proof_fails_where_a_share_alone_decides(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Without the number of bad events, four failed requests would wake somebody."""
    catalogue = _promising("route")
    tree = build.generated(catalogue, scrape_interval=timedelta(seconds=15))
    rules = "rules/service-checkout.yaml"
    assert ">= 5)" in tree[rules]
    build.write(tree | {rules: tree[rules].replace(">= 5)", ">= 1)")}, tmp_path)

    ended = subprocess.run(
        [tool("promtool"), "test", "rules", tmp_path / "proofs/quiet-of-service-checkout.yaml"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.count('severity="page", slo="promise"} 1E+00') >= 1


STARTS = [
    # promtool's clock begins on 1 January 1970, a Thursday.
    (timedelta(days=45, hours=5), Calendar.MONTH, 31),
    (timedelta(days=59), Calendar.MONTH, 59),
    (timedelta(days=45, hours=5), Calendar.WEEK, 39),
    (timedelta(days=46), Calendar.WEEK, 46),
    (timedelta(days=89, hours=23), Calendar.QUARTER, 0),
    (timedelta(days=100), Calendar.QUARTER, 90),
    (timedelta(days=200), Calendar.QUARTER, 181),
    (timedelta(days=364), Calendar.QUARTER, 273),
    (timedelta(days=790), Calendar.QUARTER, 730),  # 1 March 1972: of a leap year's first quarter
    (timedelta(days=830), Calendar.QUARTER, 821),  # 10 April 1972: the second began on day 91 of the year
]


@pytest.mark.parametrize(("now", "calendar", "day"), STARTS)
def test_a_calendar_period_begins_at_midnight_of_its_first_day(
    tool: Callable[[str], Path], tmp_path: Path, now: timedelta, calendar: Calendar, day: int
) -> None:
    """Weeks on Mondays; quarters in leap years too."""
    (rule,) = start_rules([calendar])

    _expect(tool("promtool"), tmp_path, {"expr": rule.expr, "eval_time": _text(now), "value": day * 86400})


@pytest.mark.parametrize(
    ("now", "calendar", "hours"),
    [
        (timedelta(days=45, hours=5), Calendar.MONTH, 14 * 24 + 5),
        (timedelta(days=31, hours=1, minutes=30), Calendar.MONTH, 1),
        (timedelta(days=45, hours=5), Calendar.WEEK, 6 * 24 + 5),
    ],
)
def test_a_calendar_window_leaves_out_what_was_before_its_start(
    tool: Callable[[str], Path], tmp_path: Path, now: timedelta, calendar: Calendar, hours: int
) -> None:
    """One event in every hour, since long before: only those of this period are summed."""
    (tmp_path / "rules.yaml").write_text(render_groups([Group("calendar", start_rules([calendar]))]))
    total = since_start(Vector("hourly", frozenset()), calendar)

    _expect(
        tool("promtool"),
        tmp_path,
        {"expr": f"sum({total})", "eval_time": _text(now), "value": hours},
        rules=["rules.yaml"],
        series=[{"series": "hourly", "values": "1x1300"}],
    )


def _text(moment: timedelta) -> str:
    return f"{moment // timedelta(minutes=1)}m"


def _expect(
    promtool: Path, folder: Path, what: dict[str, object], rules: list[str] | None = None, series: object = None
) -> None:
    value = what.pop("value")
    test = {
        "rule_files": rules or [],
        "evaluation_interval": "30m",
        "tests": [
            {
                "interval": "1h",
                "input_series": series or [],
                "promql_expr_test": [{**what, "exp_samples": [{"labels": "{}", "value": value}]}],
            }
        ],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(test))
    ended = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
