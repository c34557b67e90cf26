"""How far a whole window's error ratio is from the counts: `python tests/bench/long_windows.py [--write]`.

The generated rules of an objective, evaluated by promtool as often as is scraped, on counters of known shapes, and the
usual mean of 5-minute ratios. A pod that begins has a 0 before its first counts, as Prometheus takes its start time in.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.rulefile import Group, RecordingRule, render_groups
from quarterdeck_dashboards.slo import recorded, windows
from quarterdeck_dashboards.slo.rules import recording_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from quarterdeck_dashboards.catalogue import Service

DAYS = 7
"""The shortest window an objective can have: longer ones add up more hours in the same way."""
HOUR, DAY = 60, 1440
"""Minutes."""
LIFE = 3 * HOUR
AFTER = 30
"""Minutes past a whole hour, at which the window is looked at: half an hour is not in its hours yet."""
MINUTE = timedelta(minutes=1)
INTERVAL = timedelta(seconds=15)
"""Between scrapes, and between evaluations."""
COUNT = "http_server_request_duration_seconds_count"
USUAL = "usual:error_ratio:rate5m"
MEAN = ("sum", "count")


@dataclass(frozen=True)
class Shape:
    """Traffic by minute, and what happens to the counters."""

    name: str
    traffic: Callable[[int], tuple[int, int]]
    """Good and failed requests in a minute since the beginning."""
    restarts: int = 0
    """Minutes between restarts, which begin the same series at 0 again; 0: none."""
    pods: int = 0
    """Minutes that a pod lives, until another takes its place under its own name; 0: for ever."""
    unscraped: Callable[[int], bool] = lambda _: False


def _night(minute: int) -> bool:
    return minute % DAY < 6 * HOUR


def _diurnal(minute: int) -> tuple[int, int]:
    rate = (60, 60, 120, 600, 1800, 3000, 3600, 3600, 3000, 2400, 1200, 300)[minute % DAY // (2 * HOUR)]
    return rate - rate // 60, rate // 60 if rate > 2000 else 0  # what is busy fails


def _outage_at_night(minute: int) -> tuple[int, int]:
    if 10 * DAY + HOUR <= minute < 10 * DAY + 2 * HOUR or DAY + HOUR <= minute < DAY + 2 * HOUR:
        return 0, 60
    return (60, 0) if _night(minute) else (6000, 0)


def _outage_by_day(minute: int) -> tuple[int, int]:
    if DAY + 12 * HOUR <= minute < DAY + 13 * HOUR:
        return 0, 6000
    return (60, 0) if _night(minute) else (6000, 0)


def _seldom(minute: int) -> tuple[int, int]:
    if minute % 10:
        return 0, 0
    return (0, 1) if minute // 10 % 5 == 0 else (1, 0)


def _begun(minute: int) -> tuple[int, int]:
    return (400, 200) if minute % LIFE < 5 else (600, 0)


SHAPES = (
    Shape("steady", lambda _: (594, 6)),
    Shape("busy by day, and failing then", _diurnal),
    Shape("an hour's outage at night, at a hundredth of the traffic", _outage_at_night),
    Shape("an hour's outage by day", _outage_by_day),
    Shape("20 idle minutes in each hour", lambda minute: (0, 0) if minute % HOUR < 20 else (594, 6)),
    Shape("a request in ten minutes, one in five fails", _seldom),
    Shape("a restart every three hours, with failures in the five minutes after it", _begun, restarts=LIFE),
    Shape("a new pod every three hours, with failures in its first five minutes", _begun, pods=LIFE),
    Shape("five minutes of each hour not scraped", lambda _: (594, 6), unscraped=lambda minute: minute % HOUR < 5),
)


def measure(
    promtool: Path, days: int, shapes: Sequence[Shape] = SHAPES, interval: timedelta = INTERVAL
) -> list[dict[str, Any]]:
    """Return for each shape the ratio by the counts, by the generated rules, and by the usual mean; None: no number."""
    services = _catalogue(days, len(shapes))
    minutes = days * DAY + AFTER
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        groups = [Group(each.name, _rules(each, interval)) for each in services]
        (folder / "rules.yaml").write_text(render_groups(groups))
        asked = [query for service in services for query in _asked(service, days, interval)]
        test = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": format_duration(interval),
            "tests": [
                {
                    "interval": format_duration(interval),
                    "input_series": [
                        series
                        for service, shape in zip(services, shapes, strict=True)
                        for series in _series(service, shape, minutes, MINUTE // interval)
                    ],
                    # Nothing is expected, so that promtool says what it got.
                    "promql_expr_test": [
                        {"expr": query, "eval_time": f"{minutes}m", "exp_samples": []} for query in asked
                    ],
                }
            ],
        }
        (folder / "test.yaml").write_text(yaml.dump(test, Dumper=yaml.CSafeDumper, width=10**9))
        command = [promtool, "test", "rules", folder / "test.yaml"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    got = [float(each) for each in re.findall(r"got: \{\} (\S+)", said.stderr)]
    assert len(got) == 2 * len(shapes), said
    return [
        {
            "shape": shape.name,
            "days": days,
            "interval": interval.total_seconds(),
            "counted": _counted(shape, minutes, days),
            "ours": ours,
            "usual": None if math.isnan(usual) else usual,
        }
        for shape, ours, usual in zip(shapes, got[::2], got[1::2], strict=True)
    ]


def _catalogue(days: int, number: int) -> tuple[Service, ...]:
    entries = [
        f"  - name: service-{each}\n    owner: payments\n    image: a/b:v1\n"
        f"    slos: [{{name: availability, kind: availability, objective: 99.5, window: {days}d}}]\n"
        for each in range(number)
    ]
    head = "version: 1\nrunbook_base_url: https://example.org/\nservices:\n"
    return parse(head + "".join(entries), "shapes").services


def _own(service: Service) -> str:
    return f'namespace="{service.namespace}",service="{service.name}"'


def _rules(service: Service, interval: timedelta) -> tuple[RecordingRule, ...]:
    """Return those rules of *service*'s objective that its whole window is made of, and the usual one."""
    own, status = _own(service), l_.HTTP_STATUS_CODE.prometheus
    failed = f'sum(rate({COUNT}{{{own},{status}=~"5.."}}[5m]))'
    labels = {"service": service.name}
    usual = [
        RecordingRule(USUAL, f"{failed} / sum(rate({COUNT}{{{own}}}[5m]))", labels),
        # In two steps, of which the mean is the same: promtool reads 10,000 samples at once and no more.
        *(RecordingRule(f"{USUAL}:{how}", f'{how}_over_time({USUAL}{{service="{service.name}"}}[1h])') for how in MEAN),
    ]
    sums = (recorded.errors_in(windows.HOUR), recorded.events_in(windows.HOUR))
    names = {series.name for series in (recorded.EVENTS, recorded.ERRORS, *sums)}
    return (*(rule for rule in recording_rules(service, service.slos[0], interval) if rule.record in names), *usual)


def _asked(service: Service, days: int, interval: timedelta) -> tuple[str, str]:
    """Return the query of the rule of the whole window, and that of the usual one."""
    slo = service.slos[0]
    name = recorded.error_ratio(slo.window).name
    (ours,) = (rule.expr for rule in recording_rules(service, slo, interval) if rule.record == name)
    total, number = (f'sum_over_time({USUAL}:{what}{{service="{service.name}"}}[{days}d:1h])' for what in MEAN)
    return f"sum({ours})", f"sum({total} / {number})"


def _counted(shape: Shape, minutes: int, days: int) -> float:
    window = [shape.traffic(minute) for minute in range(minutes - days * DAY, minutes)]
    return sum(failed for _, failed in window) / sum(map(sum, window))


def _series(service: Service, shape: Shape, minutes: int, scrapes: int) -> Iterator[dict[str, str]]:
    """Yield the counters of *shape* with as many *scrapes* a minute, over which its requests are spread."""
    life = shape.pods or minutes
    for pod, begin in enumerate(range(0, minutes, life)):
        for place, status in ((0, 200), (1, 500)):
            labels = f'cluster="c",{_own(service)},pod="{pod}",{l_.HTTP_STATUS_CODE.prometheus}="{status}"'
            values, total = [*["_"] * (begin * scrapes), "0"], 0.0
            for minute in range(begin, min(begin + life, minutes)):
                if shape.restarts and minute % shape.restarts == 0:
                    total = 0.0
                for _ in range(scrapes):
                    total += shape.traffic(minute)[place] / scrapes
                    values.append("_" if shape.unscraped(minute) else f"{total:.9g}")
            yield {"series": f"{COUNT}{{{labels}}}", "values": " ".join(values)}


def main() -> None:
    """Measure every shape and print it."""
    import results  # noqa: PLC0415 -- found by scripts alone, beside themselves

    from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- tests have their own

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    parser.add_argument("--days", type=int, default=DAYS, help="the window (default %(default)s)")
    options = parser.parse_args()
    rows = measure(install(["promtool"])["promtool"], options.days)
    for row in rows:
        print(json.dumps(row))  # noqa: T201 -- a script's output
    if options.write:
        results.write("long-windows", rows, key=("shape", "days", "interval"))


if __name__ == "__main__":
    main()
