"""Wait for whichever comes first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def first(*awaited: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
    """Return when one of *awaited* is done. Coroutines are then cancelled; futures and tasks go on."""
    tasks = [asyncio.ensure_future(one) for one in awaited]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, given in zip(tasks, awaited, strict=True):
            if task is not given:
                task.cancel()
