"""What instrumentation adds to one request, in instructions: `python tests/bench/request_cost.py [CASE...]`.

Instructions, counted by callgrind around an in-process driver, because they repeat within half a percent where
processor time on a shared machine does not resolve such margins. Counted after a warm-up: requests, the encoding of
their spans and the posts to a collector on loopback; not the server, not the kernel, not the writes of values by
time, five a second. Needs valgrind, and a minute for each environment that is not there yet.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import results
from cases import CASES, chosen, python_of
from counting import COUNTED, Counted, count


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lines = [f"{application}: {', '.join(variants)}" for application, variants in CASES.items()]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"APPLICATION, VARIANT or both; {'; '.join(lines)}")
    parser.add_argument("--requests", type=int, default=COUNTED, metavar="N", help=f"requests to count ({COUNTED})")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases at a time (2)")
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    options = parser.parse_args()
    rows = measure(options.cases, requests=options.requests, jobs=options.jobs)
    if options.write:
        results.write("requests", rows, key=("application", "variant"))
    print(f"{'case':<24} {'k instr':>8} {'added':>8} {'ratio':>6} {'spans':>6}  what")  # noqa: T201 -- a script's output
    for row in rows:
        print(_line(row))  # noqa: T201 -- likewise


def measure(words: list[str], *, requests: int = COUNTED, jobs: int = 2) -> list[dict[str, Any]]:
    """Return a row for each case that *words* name, with the bare case of each application among them."""
    wanted = chosen(words)
    applications = dict.fromkeys(application for application, _ in wanted)
    cases = list(dict.fromkeys([*((application, "bare") for application in applications), *wanted]))
    for application, variant in cases:
        python_of(CASES[application][variant])  # made one after the other
    with ThreadPoolExecutor(jobs) as pool:
        counted = dict(zip(cases, pool.map(lambda case: _counted(*case, requests), cases), strict=True))
    return [_row(case, counted[case], counted[case[0], "bare"]) for case in cases]


def _counted(application: str, variant: str, requests: int) -> Counted:
    found = count(application, variant, requests=requests)
    print(f"  {application}/{variant}: {found.instructions / 1000:.1f} k", file=sys.stderr, flush=True)  # noqa: T201 -- its progress
    return found


def _row(case: tuple[str, str], found: Counted, bare: Counted) -> dict[str, Any]:
    application, variant = case
    what = CASES[application][variant]
    return {
        "application": application,
        "variant": variant,
        "what": what.what,
        "peer": what.peer,
        "instructions": round(found.instructions),
        "added": round(found.instructions - bare.instructions),
        "spans": round(found.spans, 2),
    }


def _line(row: dict[str, Any]) -> str:
    name = f"{row['application']}/{row['variant']}"
    bare = row["instructions"] - row["added"]
    figures = f"{row['instructions'] / 1000:>8.1f} {row['added'] / 1000:>+8.1f} {row['instructions'] / bare:>6.2f}"
    return f"{name:<24} {figures} {row['spans']:>6.2f}  {row['what']}"


if __name__ == "__main__":
    main()
