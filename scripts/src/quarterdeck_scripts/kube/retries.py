"""Which requests may be sent again after which failure, and after which pause. Pure.

| what happened                     | a GET                     | a change                                    |
|-----------------------------------|---------------------------|---------------------------------------------|
| no connection could be made       | again                     | again: it was never sent                    |
| 429: too busy                     | again                     | again: it was not carried out               |
| 429 to an eviction                |                           | its caller's: a disruption budget's answer  |
| 500, 502, 503, 504, or no answer  | again                     | its caller's: unknown, so it reads back     |
| 409                               |                           | its caller's: it reads again, and decides   |
| 410                               | its caller's: a new list  |                                             |
| a state older than one seen       | again, until the deadline |                                             |
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 4
"""How often one request is sent at most, the first time included: with the pauses below about two seconds."""

TOO_MANY_REQUESTS = 429
_CONFLICT = 409
_PASSING = frozenset({500, 502, 503, 504})
"""Answers of a server, or of what stands before it, that may be another a moment later."""


def may_be_sent_again(method: str, path: str, error: Exception) -> bool:
    """Return whether a request that ended in *error* can be sent again without a look at what it did."""
    if isinstance(error, UnreachableError):
        return method == "GET" or not error.sent
    if not isinstance(error, ApiError):
        return False
    if error.status == TOO_MANY_REQUESTS:
        return not path.endswith("/eviction")
    return method == "GET" and error.status in _PASSING


def may_pass(error: BaseException | None) -> bool:
    """Return whether what went wrong may be gone at the next try of somebody who looks before they change."""
    if isinstance(error, ApiError):
        return error.status in {_CONFLICT, TOO_MANY_REQUESTS} or error.status >= min(_PASSING)
    return isinstance(error, UnreachableError)


@dataclass
class Backoff:
    """Pauses between tries of one request: each twice the one before, of which a random half is left out.

    The random part keeps those apart who were refused together; they would else all come back together.
    """

    next: float = 0.25
    """Seconds of the next pause, before anything of it is left out."""
    most: float = 8.0
    """Seconds that no pause exceeds, unless the server asks for more."""
    draw: Callable[[], float] = random.random
    """Gives a number from 0 to 1."""

    def pause(self, error: BaseException | None = None) -> float:
        """Return the seconds to wait now: at least what the server asks for in *error*."""
        pause = self.next * (0.5 + self.draw() / 2)
        self.next = min(self.next * 2, self.most)
        asked = error.retry_after if isinstance(error, ApiError) else None
        return pause if asked is None else asked + pause * (asked > 0)
