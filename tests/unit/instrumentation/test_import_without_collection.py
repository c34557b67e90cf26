"""Our own imports and set-up are not interrupted by garbage collection, and leave it as the service has it."""

from __future__ import annotations

import gc

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
