"""What instrumentation adds to a request does not grow: instructions, ours and bare from the same run.

`python tests/bench/test_request_cost_gated.py` writes the ratios that are kept, in `gate.json`, anew: to be run, and
committed with the reason, when a growth is meant, or when something has become cheaper.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the benches are scripts, which find each other beside themselves
from cases import own_python
from counting import count

KEPT = Path(__file__).with_name("gate.json")
CASES = ("fastapi/span", "fastapi/unsampled", "flask/span", "django/span")
REQUESTS = 1024
GROWTH = 1.05
"""Greatest ratio of added/bare to the one that is kept."""


def measured() -> dict[str, float]:
    """Return of each case what instrumentation adds, as a share of what the bare application costs."""
    applications = {case: case.partition("/")[0] for case in CASES}
    cases = [*(f"{application}/bare" for application in dict.fromkeys(applications.values())), *CASES]
    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(_instructions, cases)
        found = dict(zip(cases, counts, strict=True))
    return {case: round(found[case] / found[f"{applications[case]}/bare"] - 1, 4) for case in CASES}


def _instructions(case: str) -> float:
    application, _, variant = case.partition("/")
    return count(application, variant, requests=REQUESTS, python=own_python).instructions


@pytest.fixture(scope="module")
def added() -> dict[str, float]:
    """Return what is measured now."""
    return measured()


@pytest.mark.parametrize("case", CASES)
def test_a_request_costs_no_more_than_it_did(added: dict[str, float], case: str) -> None:
    """The ratio added/bare has not grown by more than 5 %."""
    kept: float = json.loads(KEPT.read_text())[case]
    assert added[case] <= kept * GROWTH, f"{case}: {added[case]:.4f} of the bare request is added, {kept:.4f} was"


if __name__ == "__main__":
    KEPT.write_text(json.dumps(measured(), indent=2) + "\n")
