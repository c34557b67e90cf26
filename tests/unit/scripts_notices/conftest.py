"""Notices as rollouts tell them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.office import Office, opened

from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT = 1_800_000_000.0
"""When the notices of these tests are told: 2027-01-15, 08:00 UTC."""
_BEGAN = Notice(
    occasion=Occasion.BEGAN,
    tone=Tone.INFO,
    title="checkout: rollout of v2 began (prod)",
    text="it runs localhost/checkout:v1",
    at=AT,
    run="checkout-v2-20270115T080000Z",
    service="checkout",
    namespace="shop",
    environment="prod",
    version="v2",
    by="anna@bridge",
    began=AT,
)


@pytest.fixture
def began() -> Notice:
    """Return the notice that a rollout began."""
    return _BEGAN


@pytest.fixture
def ended() -> Notice:
    """Return the notice that the same rollout failed, ten minutes later."""
    return replace(
        _BEGAN,
        occasion=Occasion.ENDED,
        tone=Tone.ERROR,
        title="checkout: rolled back v2 (prod)",
        text="errors: 12 of 600 <requests> failed",
        at=AT + 600,
    )


@pytest.fixture
def office() -> Iterator[Office]:
    """Return a server that runs until the test has ended."""
    with opened() as running:
        yield running


@pytest.fixture
def json_answer() -> Callable[[Any], tuple[int, bytes, dict[str, str]]]:
    """Return a function that makes an answer of 200 with a value as JSON."""
    return lambda value: (200, json.dumps(value).encode(), {"Content-Type": "application/json"})
