"""How far event-weighted long windows are from raw counts, and what the usual mean of ratios says instead."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))  # the benches are scripts, which lie there
import long_windows

from quarterdeck_dashboards.catalogue import load
from quarterdeck_dashboards.rulefile import Group, render_groups
from quarterdeck_dashboards.slo.rules import recording_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Service

pytestmark = pytest.mark.tools

SELECT = '{namespace="shop",service="checkout",slo="availability"}'
ERRORS, EVENTS = f"slo:errors:rate5m{SELECT}", f"slo:events:rate5m{SELECT}"
COUNT = "http_server_request_duration_seconds_count"


@pytest.fixture(scope="module")
def service(root: Path) -> Service:
    """Return the repository's own service, whose first objective is its availability."""
    return load(root / "services.yaml").service("checkout")


@dataclass(frozen=True)
class Stretch:
    """Constant traffic: minutes, requests per second, share that fails."""

    minutes: int
    rate: int
    failing: float = 0.0


OUTAGE_AT_NIGHT = (Stretch(660, 100), Stretch(5, 1), Stretch(60, 1, 1.0), Stretch(5, 1), Stretch(710, 100))
OUTAGE_BY_DAY = (Stretch(660, 100), Stretch(60, 100, 1.0), Stretch(720, 100))
IDLE_FOR_20_MINUTES = (Stretch(600, 10, 0.01), Stretch(20, 0), Stretch(820, 10, 0.01))
EVENING = (Stretch(600, 100), Stretch(300, 50, 0.002), Stretch(300, 10, 0.05), Stretch(240, 5))
DAY = "1d"
AFTER_A_DAY = 1440


def _samples(stretches: tuple[Stretch, ...], *, failing: bool) -> str:
    value, parts = 0.0, ["0"]
    for each in stretches:
        growth = 60 * each.rate * (each.failing if failing else 1 - each.failing)
        parts.append(f"{value + growth:g}+{growth:g}x{each.minutes - 1}")
        value += growth * each.minutes
    return " ".join(parts)


def _holds(promtool: Path, service: Service, folder: Path, stretches: tuple[Stretch, ...], claim: str) -> bool:
    """Say whether the comparison *claim* yields a sample after a day of *stretches*, under the generated rules."""
    labels = 'cluster="local",namespace="shop",service="checkout",pod="checkout-0"'
    rates = recording_rules(service, service.slos[0], timedelta(minutes=1))[:2]
    (folder / "rates.yaml").write_text(render_groups([Group("rates", rates)]))
    test = {
        "rule_files": ["rates.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {
                        "series": f'{COUNT}{{{labels},http_response_status_code="{status}"}}',
                        "values": _samples(stretches, failing=status == 500),
                    }
                    for status in (200, 500)
                ],
                "promql_expr_test": [
                    {
                        "expr": f"vector(1) and on () ({claim})",
                        "eval_time": f"{AFTER_A_DAY}m",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                ],
            }
        ],
    }
    path = folder / "measure.yaml"
    path.write_text(yaml.safe_dump(test))
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode == 0


RAW = f'(sum(increase({COUNT}{{http_response_status_code="500"}}[{DAY}])) / sum(increase({COUNT}[{DAY}])))'
WEIGHTED = f"sum(sum_over_time({ERRORS}[{DAY}]) / sum_over_time({EVENTS}[{DAY}]))"
MEAN_OF_RATIOS = f"sum(avg_over_time(({ERRORS} / {EVENTS})[{DAY}:1m]))"
"""The usual form, over the same recorded rates."""


@pytest.mark.parametrize(
    ("stretches", "error"),
    [(OUTAGE_AT_NIGHT, 0.01), (OUTAGE_BY_DAY, 0.01), (IDLE_FOR_20_MINUTES, 0.001), (EVENING, 0.01)],
    ids=["outage-at-night", "outage-by-day", "idle", "evening"],
)
def test_the_weighted_window_is_within_a_hundredth_of_raw_counts(
    tool: Callable[[str], Path], service: Service, tmp_path: Path, stretches: tuple[Stretch, ...], error: float
) -> None:
    """In every shape of traffic; what is left is the five minutes by which a rate follows its events."""
    claim = f"abs({WEIGHTED} / {RAW} - 1) < {error}"

    assert _holds(tool("promtool"), service, tmp_path, stretches, claim)
    assert not _holds(tool("promtool"), service, tmp_path, stretches, f"abs({WEIGHTED} / {RAW} - 1) >= {error}")


def test_the_mean_of_ratios_overstates_a_quiet_nights_outage_95_times(
    tool: Callable[[str], Path], service: Service, tmp_path: Path
) -> None:
    """An hour at 1 request per second weighs as much as an hour at 100."""
    assert _holds(tool("promtool"), service, tmp_path, OUTAGE_AT_NIGHT, f"{MEAN_OF_RATIOS} / {RAW} > 94")
    assert _holds(tool("promtool"), service, tmp_path, OUTAGE_AT_NIGHT, f"{MEAN_OF_RATIOS} / {RAW} < 96")


def test_the_mean_of_ratios_is_no_number_after_idle_minutes(
    tool: Callable[[str], Path], service: Service, tmp_path: Path
) -> None:
    """One 0/0 poisons the whole window; NaN is the only value that is not itself."""
    assert _holds(tool("promtool"), service, tmp_path, IDLE_FOR_20_MINUTES, f"{MEAN_OF_RATIOS} != {MEAN_OF_RATIOS}")
    assert not _holds(tool("promtool"), service, tmp_path, IDLE_FOR_20_MINUTES, f"{WEIGHTED} != {WEIGHTED}")


@pytest.mark.parametrize(
    ("name", "seconds"), [("a request in ten minutes", 60), ("a restart", 60), ("five minutes", 60), ("a new pod", 15)]
)
def test_a_whole_window_is_within_a_twentieth_of_the_counts(
    tool: Callable[[str], Path], name: str, seconds: int
) -> None:
    """By its hours' sums, where requests or scrapes are few, and where pods fail as they begin.

    A pod's first minutes are in four of five windows of a rate at a scrape a minute, and in 19 of 20 at 15 s.
    """
    hard = [shape for shape in long_windows.SHAPES if shape.name.startswith(name)]

    (row,) = long_windows.measure(tool("promtool"), 7, hard, timedelta(seconds=seconds))

    assert abs(row["ours"] / row["counted"] - 1) < 0.05
