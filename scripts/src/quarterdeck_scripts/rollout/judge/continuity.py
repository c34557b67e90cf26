"""Whether an answer still has what the answers before it had: within minutes Prometheus forgets nothing.

A question reaches back over the last one by some scrapes. A series that had samples there and has none now was left
out: the answer is a part of one, whether or not it comes with a warning. Until the series is back, nobody knows what
it would have said. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from quarterdeck_contract import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.ports import Series

    Key = tuple[tuple[str, str], ...]

LOOKBACK_SCRAPES = 5
"""Scrapes by which a question reaches back over the last one, and the first over the canary's creation: a stable
counter needs one sample there to be counted from, and two scrapes may be lost."""


class Continuity:
    """Remembers which series there were."""

    def __init__(self, interval: float) -> None:
        """*interval*: seconds between two scrapes."""
        # One fewer than are asked for: the oldest sits on the edge.
        self._overlap = (LOOKBACK_SCRAPES - 1) * interval
        self._newest: dict[Key, float] = {}
        self._gone: dict[Key, None] = {}
        self._at = -math.inf

    def take(self, answer: Iterable[Series], now: float) -> list[str]:
        """Return what *answer*, asked for at *now* (Unix seconds), should have and has not, in a sentence a pod."""
        present = {tuple(sorted(each.labels.items())): each.samples[-1][0] for each in answer if each.samples}
        overlap = self._at - self._overlap
        due = [key for key, newest in self._newest.items() if newest >= overlap]
        self._gone = {key: None for key in [*self._gone, *due] if key not in present}
        # A clock that is wrong once would have everything look long ago: what was answered says when it was.
        self._newest, self._at = present, min(now, max(present.values(), default=now))
        pods = Counter(dict(key).get(labels.POD.prometheus, "") for key in self._gone)
        return [f"Prometheus has no longer what it had of the pod {pod}, {count} series" for pod, count in pods.items()]
