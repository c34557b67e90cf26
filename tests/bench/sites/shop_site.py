"""A small shop under FastAPI, for recordings of what Prometheus sees of services that are well, and that are not.

It knows nothing of telemetry. What is wrong with a process of it is in its environment, as JSON in `SHOP`. How often
a request fails is drawn by dice, as is how long a neighbour takes to answer; all else happens as it does anywhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import time
from dataclasses import dataclass

from fastapi import FastAPI, HTTPException

BEGAN = time.monotonic()
ARTICLES = 40


@dataclass(frozen=True)
class Ways:
    """How this process serves."""

    failing: float = 0.0
    """Share of requests that end in an exception, 0 to 1."""
    failing_on: str = ""
    """The route that is meant; empty: all but `/search`."""
    every: float = 0.0
    """Seconds from one spell of failing to the next; 0: it always fails."""
    spell: float = 0.0
    """Seconds that one lasts."""
    between: float = 0.0
    """Share of failing requests between two spells, and on the routes that are not meant."""
    search_failing: float = 0.03
    """Share of failing requests of `/search`: that of every version."""
    neighbour: float = 0.012
    """Median seconds that a neighbour takes to answer; it takes 20 times as long once in four hundred requests."""
    slow: float = 0.0
    """Share of requests that wait 0.3 s more, as for a lock."""
    cold: float = 0.0
    """Seconds that an article takes to be read for the first time."""
    limit: float = 0.0
    """Requests a second beyond which it answers 503; 0: none."""
    asks: int = 0
    """Port on loopback of a service without which nothing is served; 0: none."""


WAYS = Ways(**json.loads(os.environ.get("SHOP", "{}")))
chance = random.Random()  # noqa: S311 -- which customer is unlucky is no secret
app = FastAPI(title="shop")
database = sqlite3.connect(":memory:", check_same_thread=False)
database.execute("CREATE TABLE article (id INTEGER PRIMARY KEY, name TEXT, price INTEGER)")
database.executemany("INSERT INTO article VALUES (?, ?, ?)", [(n, f"article {n}", 7 * n) for n in range(ARTICLES)])
read: set[int] = set()


class LostError(Exception):
    """What was asked for is lost."""


class Bucket:
    """Lets through so many requests a second, and as many at once."""

    def __init__(self, rate: float) -> None:
        self._rate, self._tokens, self._at = rate, rate, time.monotonic()

    def take(self) -> bool:
        """Return whether one more may pass."""
        now = time.monotonic()
        self._tokens, self._at = min(self._rate, self._tokens + (now - self._at) * self._rate), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


bucket = Bucket(WAYS.limit)


async def serve(route: str) -> None:
    """Do what every request asks for."""
    if WAYS.limit and not bucket.take():
        raise HTTPException(503, "too many requests for this process")
    await asyncio.sleep(WAYS.neighbour * chance.lognormvariate(0, 1.07))
    if chance.random() < WAYS.slow:
        await asyncio.sleep(0.3)
    if WAYS.asks:
        reader, writer = await asyncio.open_connection("127.0.0.1", WAYS.asks)
        answer = await reader.readline()
        writer.close()
        if not answer:
            raise LostError(route)
    if chance.random() < share(route):
        raise LostError(route)


def share(route: str) -> float:
    """Return the share of requests of *route* that fail now."""
    if WAYS.every and (time.monotonic() - BEGAN) % WAYS.every >= WAYS.spell:
        return WAYS.between
    if WAYS.failing_on:
        return WAYS.failing if route == WAYS.failing_on else WAYS.between
    return WAYS.search_failing if route == "/search" else WAYS.failing


@app.get("/articles")
async def articles() -> list[tuple[int, str, int]]:
    """List what there is."""
    await serve("/articles")
    return database.execute("SELECT id, name, price FROM article ORDER BY price").fetchall()


@app.get("/articles/{article}")
async def article(article: int) -> dict[str, int | str]:
    """Show one."""
    if WAYS.cold and article not in read:
        await asyncio.sleep(WAYS.cold)
        read.add(article)
    await serve("/articles/{article}")
    name, price = database.execute("SELECT name, price FROM article WHERE id = ?", (article,)).fetchone()
    return {"name": name, "price": price}


@app.post("/cart")
async def cart() -> dict[str, int]:
    """Put one into the cart."""
    await serve("/cart")
    return {"items": 1}


@app.post("/pay")
async def pay() -> dict[str, str]:
    """Pay."""
    await serve("/pay")
    return {"status": "paid"}


@app.get("/export")
async def export() -> list[dict[str, int | str]]:
    """Give everything, twenty times over."""
    await serve("/export")
    rows = database.execute("SELECT id, name, price FROM article").fetchall()
    return [{"id": number, "name": name, "price": price} for number, name, price in rows * 20]


@app.get("/search")
async def search() -> list[str]:
    """Search, which fails more often than the rest in every version."""
    await serve("/search")
    return [name for (name,) in database.execute("SELECT name FROM article WHERE name LIKE '%1%'")]
