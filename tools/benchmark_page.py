"""Writes docs/benchmarks.md from docs/benchmarks.json, which `make bench` has measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import benchmark_verdicts
from benchmark_table import table as _table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    _Row = dict[str, Any]
    """What was measured of one case."""

_HEAD = """\
# Benchmarks

What instrumentation adds, beside its peers in the same run, what rules read, beside the usual ones, and how soon a
rollout's verdict is right, beside its peers'. `make bench` measures, writes `docs/benchmarks.json` and this page.
Instructions are counted by callgrind around an in-process driver: they repeat where processor time on a shared machine
does not. They have encoding and posting to a collector on loopback in them, but neither the server nor the kernel, nor
the write of values five times a second. Each peer runs in an environment of its own, pinned in `tests/bench/peers/`.

To measure one case again:

```sh
.venv/bin/python tests/bench/request_cost.py flask/span        # one case, and what it is compared with
.venv/bin/python tests/bench/request_cost.py django --write    # all of an application, into docs/benchmarks.json
.venv/bin/python tests/bench/rules_cost.py --write             # rules
.venv/bin/python tests/bench/verdict_simulation.py --write     # a rollout's verdict, beside its peers'
.venv/bin/python tests/bench/verdict_recordings.py --write     # the same, on what record_traffic.py has recorded
.venv/bin/python tests/bench/process_cost.py start --write     # start-up; --help of each script says what there is
.venv/bin/python tools/reference.py                            # this page
```

`tests/bench/test_request_cost_gated.py` fails when a share added/bare has grown by more than 5 % over
`tests/bench/gate.json`.
"""
_MEGABYTE = 1e6
_NAMES = {"fastapi": "FastAPI", "flask": "Flask", "django": "Django", "child": "A child span of ten attributes"}
"""Applications, as their own pages write them."""


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    where = f"Measured on {machine['processor']}, {machine['cores']} cores, CPython {machine['python']}.\n{versions}.\n"
    applications: dict[str, list[_Row]] = {}
    for row in found["requests"]:
        applications.setdefault(row["application"], []).append(row)
    parts = [_HEAD, where, *[_requests(name, rows) for name, rows in applications.items()]]
    return "\n".join([*parts, *(write(found[part]) for part, write in _TABLES.items() if part in found)])


def _requests(application: str, rows: Sequence[_Row]) -> str:
    title = _NAMES[application] if application == "child" else f"{_NAMES[application]}, one request"
    table = _table(
        title,
        ("variant", "", "thousand instructions", "added", "spans"),
        (
            (
                row["variant"] if row["peer"] or row["variant"] in _UNMEASURED else f"**{row['variant']}**",
                row["what"],
                f"{row['instructions'] / 1000:,.1f}",
                f"{row['added'] / 1000:+,.1f}",
                f"{row['spans']:g}",
            )
            for row in rows
        ),
    )
    return "\n".join((table, *_like_for_like(rows)))


_UNMEASURED = ("bare", "silent")
"""Variants without instrumentation; the second without the framework's own as well."""


def _like_for_like(rows: Sequence[_Row]) -> Iterable[str]:
    """Say by how much an application that has telemetry of its own, which ours replaces, makes ours look cheaper."""
    added = {row["variant"]: row["added"] / 1000 for row in rows}
    if "silent" in added:
        own = -added["silent"]
        yield (
            f"FastAPI's own telemetry costs {own:.1f} thousand of `bare`, though nobody has configured it, and is off\n"
            "in **metrics**, **unsampled** and **span**, where ours takes its place. That flatters ours: to an\n"
            f"application without any telemetry (`silent`), **span** adds {added['span'] + own:+.1f},\n"
            f"**unsampled** {added['unsampled'] + own:+.1f}, and **metrics** {added['metrics'] + own:+.1f}.\n"
        )


def _start(rows: Sequence[_Row]) -> str:
    title = "Start-up: processor seconds to the first response and the end"
    figures = ((_case(row), f"{row['bare']:.3f}", f"{row['added']:+.3f}") for row in rows)
    return _table(title, ("", "bare", "added"), figures)


def _memory(rows: Sequence[_Row]) -> str:
    figures = ((_case(row), f"{row['bare'] / _MEGABYTE:.1f}", f"{row['added'] / _MEGABYTE:+.1f}") for row in rows)
    return _table("Memory after 10,000 requests, MB", ("", "bare", "added"), figures)


def _lasting(rows: Sequence[_Row]) -> str:
    figures = ((_case(row), f"{row['before'] / _MEGABYTE:.1f}", f"{row['growth'] / _MEGABYTE:+.1f}") for row in rows)
    return _table("Memory from 10,000 to a million requests, MB", ("", "after 10,000", "growth"), figures)


def _scrape(rows: Sequence[_Row]) -> str:
    title = "A scrape: processor milliseconds of the worker that answers"
    figures = ((row["what"], f"{row['ours'] * 1000:.1f}", f"{row['prometheus_client'] * 1000:.1f}") for row in rows)
    return _table(title, ("", "ours", "prometheus_client"), figures)


def _black_hole(rows: Sequence[_Row]) -> str:
    counted = ("growth, MB", "its collector up", "waits of the serving thread", "up")
    return _table(
        "A collector that takes and never answers: 20,000 requests after the first 10,000",
        ("", *counted, "thousand instructions a request", "up"),
        (
            (
                _case(row),
                *(f"{row[f'growth, {answers}'] / _MEGABYTE:+.1f}" for answers in ("nothing", "taken")),
                *(str(row[f"waits, {answers}"]) for answers in ("nothing", "taken")),
                *(_thousands(row.get(f"instructions, {answers}")) for answers in ("nothing", "taken")),
            )
            for row in rows
        ),
    )


def _thousands(number: float | None) -> str:
    return "" if number is None else f"{number / 1000:.1f}"


def _termination(rows: Sequence[_Row]) -> str:
    return _table(
        "SIGTERM under uvicorn, right after 201 requests",
        ("", "spans made", "lost, collector up", "seconds to end", "seconds to end, collector down"),
        (
            (
                _case(row),
                *(str(row["made"]), str(row["lost"])),
                *(f"{row[f'seconds, {collector}']:.2f}" for collector in ("up", "down")),
            )
            for row in rows
        ),
    )


def _servers(rows: Sequence[_Row]) -> str:
    return _table(
        "SIGTERM under each server, right after 201 requests: seconds to end, medians",
        ("", "spans made", "lost, collector up", "not instrumented", "up", "refusing", "black hole"),
        (
            (
                *(row["server"], str(row["made"]), str(row["lost"])),
                *(f"{row[f'seconds, {collector}']:.2f}" for collector in ("bare", "up", "down", "black hole")),
            )
            for row in rows
        ),
    )


def _rules(rows: Sequence[_Row]) -> str:
    return _table(
        "Rules of 30 days' objectives: million samples that one evaluation reads, by raw series and interval",
        ("", "ours", "the usual 17 rules an objective", "share"),
        (
            (
                f"{row['services']} services, 3 objectives each, {row['series']} series of each, {row['interval']:g} s",
                *(f"{row[form] / 1e6:,.1f}" for form in ("ours", "usual")),
                f"1/{row['usual'] / row['ours']:.0f}",
            )
            for row in rows
        ),
    )


def _long_windows(rows: Sequence[_Row]) -> str:
    def told(row: _Row, form: str) -> str:
        ratio, counted = row[form], row["counted"]
        return "not a number" if ratio is None else f"{ratio:.4%} ({ratio / counted - 1:+.1%})"

    return _table(
        "A whole window's share of bad events, half an hour after the last full hour",
        ("traffic; window, interval", "counted", "ours", "the usual mean of 5-minute ratios"),
        (
            (
                f"{row['shape']}; {row['days']} d, {row['interval']:g} s",
                f"{row['counted']:.4%}",
                *(told(row, form) for form in ("ours", "usual")),
            )
            for row in rows
        ),
    )


def _case(row: _Row) -> str:
    return f"{row['application']}/{row['variant']}"


def _gateway(rows: Sequence[_Row]) -> str:
    return _table(
        "A collector gateway that measures, samples and queues every span",
        ("spans", "a second of one core", "memory at most, MiB"),
        ((f"{row['spans']:,}", f"{row['spans_a_core']:,}", f"{row['peak_mebibytes']}") for row in rows),
    )


def _many_pods(rows: Sequence[_Row]) -> str:
    return _table(
        "The status of a service with many pods, in a real API server: the whole command, from start to end",
        ("", "pods", "seconds of a processor", "memory at most, MB"),
        ((row["way"], f"{row['pods']:,}", f"{row['processor']:g}", f"{row['megabytes']:,}") for row in rows),
    )


def _locks(rows: Sequence[_Row]) -> str:
    return _table(
        "A rollout's lock: seconds until a second operator is refused, and until a killed holder's is theirs",
        ("the holder ran on", "refused after", "taken over after"),
        ((row["holder"], f"{row['refused']:g}", f"{row['taken_over']:g}") for row in rows),
    )


_TABLES: dict[str, Callable[[Sequence[_Row]], str]] = {
    "start": _start,
    "memory": _memory,
    "lasting": _lasting,
    "scrape": _scrape,
    "black-hole": _black_hole,
    "termination": _termination,
    "servers": _servers,
    "rules": _rules,
    "gateway": _gateway,
    "long-windows": _long_windows,
    "verdicts": benchmark_verdicts.simulated,
    "recorded-verdicts": benchmark_verdicts.recorded,
    "many-pods": _many_pods,
    "locks": _locks,
}
"""What is written of each part of the file, in this order."""
