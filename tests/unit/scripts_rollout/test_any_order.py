"""Any order of commands, deaths and other people's doings leaves a service as the model says: in memory.

A few orders, the same in every run. `QUARTERDECK_MATRIX=whole` plays many.
"""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.rollout_machine import play
from tests.rollouts import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORDERS, STEPS = (40, 12) if os.environ.get("QUARTERDECK_MATRIX") == "whole" else (2, 12)
"""Orders that are played for each strategy, and commands in each."""


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("way", WAYS)
def test_any_order_leaves_what_it_should(
    make_world: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """By each strategy: whoever dies, whoever goes on, and whatever others do to the service meanwhile."""
    numbers = itertools.count()

    @contextmanager
    def opened(way: str) -> Iterator[Any]:
        world = make_world(**WAYS[way])
        world.catalogue = world.catalogue.replace("max_wait: 5m", "max_wait: 1m")
        here = tmp_path / str(next(numbers))
        world.folder = here / ".quarterdeck"
        (world.folder / "local").mkdir(parents=True)
        monkeypatch.chdir(here)
        yield world

    play(opened, [way], orders=ORDERS, steps=STEPS, rate=40.0, seeded=[*WAYS].index(way))
