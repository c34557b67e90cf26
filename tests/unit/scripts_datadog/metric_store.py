"""What Datadog does with metrics, as far as a rollout asks: tags in small letters, growth by interval.

Queries are read here, by their grammar, and not made: what is asked is ours, what it means is Datadog's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

_PART = re.compile(
    r"(?P<aggregation>\w+)(?:\(v: v<=(?P<bound>[\d.e+-]+)\))?:(?P<metric>[\w.]+)\{(?P<scope>.*?)\}"
    r"(?: by \{(?P<by>[\w.,]+)\})?(?P<suffix>(?:\.\w+\([\w, ]*\))*)(?:,|$)"
)


@dataclass
class Metrics:
    """Events and values by metric, and answers to `/api/v1/query`."""

    events: dict[str, list[tuple[float, dict[str, str], float, int]]] = field(default_factory=lambda: defaultdict(list))
    """Metric to what was sent: when, with which tags, the value, and how often."""

    def send(self, metric: str, at: float, value: float, times: int = 1, **tags: str) -> None:
        """Take *times* events of a distribution, or one value of a gauge."""
        kept = {name.replace("__", "."): re.sub(r"[^a-z0-9_\-:./]+", "_", text.lower()) for name, text in tags.items()}
        if times:
            self.events[metric].append((at, kept, value, times))

    def answer(self, query: str, start: int, end: int) -> dict[str, Any]:
        """Return the answer to *query*, which may have several parts."""
        series: list[dict[str, Any]] = []
        position = index = 0
        while position < len(query):
            part = _PART.match(query, position)
            if part is None:
                return {"status": "error", "error": f"cannot read {query[position:]}", "series": []}
            series += [{**each, "query_index": index} for each in self._part(part, start, end)]
            position, index = part.end(), index + 1
        return {"status": "ok", "res_type": "time_series", "query": query, "series": series}

    def _part(self, part: re.Match[str], start: int, end: int) -> list[dict[str, Any]]:
        rolled = re.search(r"rollup\((\w+), (\d+)\)", part["suffix"])
        assert rolled, part["suffix"]
        step = int(rolled[2])
        by = part["by"].split(",") if part["by"] else []
        groups: dict[tuple[str, ...], dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for at, tags, value, times in self.events[part["metric"]]:
            if (
                start <= at < end
                and _holds(part["scope"], tags)
                and (not part["bound"] or value <= float(part["bound"]))
            ):
                points = groups[tuple(f"{name}:{tags.get(name, 'N/A')}" for name in by)]
                moment = int(at // step * step)
                points[moment] = max(points[moment], value) if part["aggregation"] == "max" else points[moment] + times
        return [
            {
                "metric": part["metric"],
                "tag_set": list(key),
                "scope": ",".join(key) or "*",
                "interval": step * 1000,
                "pointlist": [[moment * 1000.0, value] for moment, value in sorted(points.items())],
            }
            for key, points in groups.items()
        ]


def _holds(scope: str, tags: dict[str, str]) -> bool:
    return scope == "*" or all(_one(each, tags) for each in scope.split(" AND "))


def _one(text: str, tags: dict[str, str]) -> bool:
    listed = re.fullmatch(r"(\S+) (NOT )?IN \((.*)\)", text)
    if listed:
        return (tags.get(listed[1]) in listed[3].split(",")) is not bool(listed[2])
    name, _, value = text.removeprefix("NOT ").partition(":")
    found = re.fullmatch(re.escape(value).replace(r"\*", ".*"), tags.get(name, "")) is not None
    return found is not text.startswith("NOT ")
