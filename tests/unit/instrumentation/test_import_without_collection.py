"""Our own imports and set-up are not interrupted by garbage collection, and leave it as the service has it."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from quarterdeck_instrumentation import native


def test_collection_waits_for_the_block() -> None:
    """Nothing is collected in the block, and everything as before after it."""
    with native.Uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_goes_on_after_an_exception() -> None:
    """What raises in the block leaves collection enabled."""
    with pytest.raises(KeyError), native.Uncollected():
        raise KeyError
    assert gc.isenabled()


def test_a_service_that_collects_nothing_still_collects_nothing() -> None:
    """Where the service has disabled collection, the block does not enable it."""
    gc.disable()
    try:
        with native.Uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_was_made_in_the_block_is_not_looked_through_soon_after() -> None:
    """It is as old as it gets, and no generation is any nearer to being collected; the service's own rest is kept."""
    with native.Uncollected():
        made = [[] for _ in range(5000)]  # type: ignore[var-annotated]  # enough for a collection of each generation
    counts = gc.get_count()

    assert any(each is made for each in gc.get_objects(generation=2))
    assert (counts[0] < gc.get_threshold()[0], counts[1:], gc.get_freeze_count()) == (True, (0, 0), 0)


def test_what_a_service_froze_stays_frozen() -> None:
    """As a server does before it forks. In a process of its own: here, other threads let go of what is frozen."""
    service = (
        "import gc; from quarterdeck_instrumentation import native; native.Uncollected(); gc.freeze(); "
        "frozen = gc.get_freeze_count()\n"
        "with native.Uncollected(): pass\n"
        "print(gc.get_freeze_count() == frozen > 0)"
    )

    done = subprocess.run([sys.executable, "-c", service], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("True\n", "")
