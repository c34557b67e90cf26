"""Writes docs/benchmarks.md from docs/benchmarks.json, which `make bench` has measured."""

from __future__ import annotations

from typing import Any

_HEAD = """\
# Benchmarks

What instrumentation adds, beside its peers in the same run. `make bench` measures, writes `docs/benchmarks.json` and
this page. Instructions are counted by callgrind around an in-process driver: they repeat where processor time on a
shared machine does not. They have encoding and posting to a collector on loopback in them, but neither the server nor
the kernel, nor the write of values five times a second. Each peer runs in an environment of its own, pinned in
`tests/bench/peers/`.

To measure one case again:

```sh
.venv/bin/python tests/bench/request_cost.py flask/span        # one case, and what it is compared with
.venv/bin/python tests/bench/request_cost.py django --write    # all of an application, into docs/benchmarks.json
.venv/bin/python tests/bench/process_cost.py start --write     # start-up; --help of each script says what there is
.venv/bin/python tools/reference.py                            # this page
```

`tests/bench/test_request_cost_gated.py` fails when a share added/bare has grown by more than 5 % over
`tests/bench/gate.json`.
"""
_MEGABYTE = 1e6


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    where = f"Measured on {machine['processor']}, {machine['cores']} cores, CPython {machine['python']}.\n{versions}.\n"
    applications: dict[str, list[dict[str, Any]]] = {}
    for row in found["requests"]:
        applications.setdefault(row["application"], []).append(row)
    parts = [_HEAD, where, *[_requests(name, rows) for name, rows in applications.items()]]
    others = (
        (_start, "start"),
        (_memory, "memory"),
        (_lasting, "lasting"),
        (_scrape, "scrape"),
        (_black_hole, "black-hole"),
        (_termination, "termination"),
    )
    return "\n".join([*parts, *[write(found[part]) for write, part in others if part in found]])


def _requests(application: str, rows: list[dict[str, Any]]) -> str:
    title = "A child span of ten attributes" if application == "child" else f"{application.capitalize()}, one request"
    lines = [f"## {title}", "", "| variant | | thousand instructions | added | spans |", "|---|---|---|---|---|"]
    for row in rows:
        name = row["variant"] if row["peer"] or row["variant"] == "bare" else f"**{row['variant']}**"
        figures = f"{row['instructions'] / 1000:,.1f} | {row['added'] / 1000:+,.1f} | {row['spans']:g}"
        lines.append(f"| {name} | {row['what']} | {figures} |")
    return "\n".join(lines) + "\n"


def _start(rows: list[dict[str, Any]]) -> str:
    lines = [
        "## Start-up: processor seconds to the first response and the end",
        "",
        "| | bare | added |",
        "|---|---|---|",
    ]
    lines += [f"| {row['application']}/{row['variant']} | {row['bare']:.3f} | {row['added']:+.3f} |" for row in rows]
    return "\n".join(lines) + "\n"


def _memory(rows: list[dict[str, Any]]) -> str:
    lines = ["## Memory after 10,000 requests, MB", "", "| | bare | added |", "|---|---|---|"]
    for row in rows:
        figures = f"{row['bare'] / _MEGABYTE:.1f} | {row['added'] / _MEGABYTE:+.1f}"
        lines.append(f"| {row['application']}/{row['variant']} | {figures} |")
    return "\n".join(lines) + "\n"


def _lasting(rows: list[dict[str, Any]]) -> str:
    lines = ["## Memory from 10,000 to a million requests, MB", "", "| | after 10,000 | growth |", "|---|---|---|"]
    for row in rows:
        figures = f"{row['before'] / _MEGABYTE:.1f} | {row['growth'] / _MEGABYTE:+.1f}"
        lines.append(f"| {row['application']}/{row['variant']} | {figures} |")
    return "\n".join(lines) + "\n"


def _scrape(rows: list[dict[str, Any]]) -> str:
    lines = [
        "## A scrape: processor milliseconds of the worker that answers",
        "",
        "| | ours | prometheus_client |",
        "|---|---|---|",
    ]
    lines += [f"| {row['what']} | {row['ours'] * 1000:.1f} | {row['prometheus_client'] * 1000:.1f} |" for row in rows]
    return "\n".join(lines) + "\n"


def _black_hole(rows: list[dict[str, Any]]) -> str:
    lines = [
        "## A collector that takes and never answers: 20,000 requests after the first 10,000",
        "",
        "| | growth, MB | its collector up | waits of the serving thread | up | thousand instructions a request | up |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        growth = f"{row['growth, nothing'] / _MEGABYTE:+.1f} | {row['growth, taken'] / _MEGABYTE:+.1f}"
        waits = f"{row['waits, nothing']} | {row['waits, taken']}"
        counted = [row.get(f"instructions, {answers}") for answers in ("nothing", "taken")]
        instructions = " | ".join("" if number is None else f"{number / 1000:.1f}" for number in counted)
        lines.append(f"| {row['application']}/{row['variant']} | {growth} | {waits} | {instructions} |")
    return "\n".join(lines) + "\n"


def _termination(rows: list[dict[str, Any]]) -> str:
    lines = [
        "## SIGTERM under uvicorn, right after 201 requests",
        "",
        "| | spans made | lost, collector up | seconds to end | seconds to end, collector down |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = f"{row['seconds, up']:.2f} | {row['seconds, down']:.2f}"
        lines.append(f"| {row['application']}/{row['variant']} | {row['made']} | {row['lost']} | {seconds} |")
    return "\n".join(lines) + "\n"
