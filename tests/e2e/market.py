"""A service that misbehaves as its image says: what the tests of rollouts on real processes run.

It knows nothing of telemetry or of rollouts. Its defects are counted or timed, never drawn by lot, and none depends on
how busy the machine is: what a canary deserves is the same on any.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SLOW_SECONDS = 2.0
"""How long a slow answer takes: twice what is promised."""

SEARCHES = 3
"""Every third search fails, with every version: it is what customers have got used to."""

STALLS = 30
"""Customers that the version `too-small` has room for: more than come on a quiet day."""

COLD_SECONDS = 6.0
"""How long the version `cold` is slow, from its first request on."""

CRASHES_AFTER = 40
"""Requests that the version `crashing` survives."""

LEAKED_BYTES = 20_000
"""What the version `leaking` never gives back of each request."""

BEHAVIOUR = os.environ.get("MARKET_BEHAVIOUR", "healthy")

app = FastAPI(title="market")

_requests, _searches = itertools.count(1), itertools.count(1)
_known: set[int] = set()
_leaked: list[bytes] = []
_began = 0.0


def _fail(why: str) -> None:
    raise HTTPException(503, why)


async def _healthy(route: str, customer: int) -> None:
    pass


async def _broken(route: str, customer: int) -> None:
    if next(_requests) % 3 == 0:
        _fail("every third request")


async def _slow(route: str, customer: int) -> None:
    if next(_requests) % 3 == 0:
        await asyncio.sleep(SLOW_SECONDS)


async def _intermittent(route: str, customer: int) -> None:
    if next(_requests) % 100 < 25:
        _fail("a quarter of the time nothing works, then everything does")


async def _one_route(route: str, customer: int) -> None:
    if route == "export":
        _fail("exports alone")


async def _too_small(route: str, customer: int) -> None:
    if len(_known) < STALLS:
        _known.add(customer)
    if customer not in _known:
        _fail("no stall is left")


async def _cold(route: str, customer: int) -> None:
    global _began  # noqa: PLW0603 -- a process has one beginning
    _began = _began or time.monotonic()
    if time.monotonic() < _began + COLD_SECONDS:
        await asyncio.sleep(SLOW_SECONDS)


async def _crashing(route: str, customer: int) -> None:
    if next(_requests) > CRASHES_AFTER:
        os._exit(3)


async def _leaking(route: str, customer: int) -> None:
    _leaked.append(os.urandom(LEAKED_BYTES))


async def _logging(route: str, customer: int) -> None:
    logging.getLogger("market").error("the stall of %s was not noted", customer)


BEHAVIOURS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "healthy": _healthy,
    "healthier": _healthy,
    "mixed": _healthy,
    "broken": _broken,
    "slow": _slow,
    "intermittent": _intermittent,
    "one-route": _one_route,
    "too-small": _too_small,
    "cold": _cold,
    "crashing": _crashing,
    "leaking": _leaking,
    "logging": _logging,
}
"""What a version does before it answers, by its tag. One that is not here ends as soon as it is started."""

_behave = BEHAVIOURS[BEHAVIOUR]


@app.get("/healthz")
async def health() -> dict[str, str]:
    """Say that the process serves."""
    return {"status": "ok"}


@app.get("/stalls/{customer}")
async def stall(customer: int) -> dict[str, int]:
    """Show a customer's stall."""
    await _behave("stall", customer)
    return {"customer": customer}


@app.get("/export")
async def export(customer: int) -> dict[str, int]:
    """Export a customer's sales."""
    await _behave("export", customer)
    return {"customer": customer}


@app.get("/search")
async def search(customer: int) -> dict[str, int]:
    """Search the market."""
    await _behave("search", customer)
    if next(_searches) % SEARCHES == 0:
        _fail("nobody knows why")
    return {"customer": customer}
