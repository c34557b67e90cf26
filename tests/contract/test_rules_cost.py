"""What evaluating an objective's rules reads, in a real Prometheus, beside the usual seventeen rules.

`tests/bench/rules_cost.py` measures a hundred services; this, with the same code, one.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))  # the benches find each other beside themselves
import rules_cost

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("series", rules_cost.SERIES)
def test_rules_read_a_fifth_of_what_the_usual_rules_read_or_less(
    tool: Callable[[str], Path], tmp_path: Path, series: int
) -> None:
    """At equal intervals, so it is so for any number of services; the raw series are read over 5 minutes only."""
    services = rules_cost.catalogue(1).services
    (service,) = services
    for slo in service.slos:
        assert (len(rules_cost.ours(service, slo, MINUTE)), len(rules_cost.usual(service, slo))) == (17, 17)

    row = rules_cost.measure(tool, tmp_path, services, series, MINUTE)

    assert row["ours"] <= row["usual"] / 5


def test_a_copied_block_reads_as_its_origin(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """So that the bench may copy one service's samples: each of three reads what the one does."""
    read = [
        rules_cost.measure(tool, _made(tmp_path / str(count)), rules_cost.catalogue(count).services, 1, MINUTE)
        for count in (1, 3)
    ]

    assert [(row["ours"], row["usual"]) for row in read] == [
        (read[0]["ours"] * times, read[0]["usual"] * times) for times in (1, 3)
    ]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
