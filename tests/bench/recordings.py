"""Recordings of what a Prometheus had of one service: read, written, and asked again as that Prometheus was.

A file has what made it and raw samples, nothing that was computed from them. Times are in milliseconds; times, and
values where all are whole numbers, are written as the difference to the one before, which makes a file small.
"""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.ports import Answer, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class Recording:
    """What was recorded of one service."""

    made: Mapping[str, Any]
    """When, by which command and versions; `since`, Unix seconds, is when the canaries were started."""
    series: tuple[Series, ...]


def write(name: str, made: Mapping[str, Any], series: Iterable[Series], folder: Path = FOLDER) -> Path:
    """Write a recording and return its file."""
    document = {"made": made, "series": [_packed(each) for each in series]}
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    file = folder / f"{name}.json.gz"
    file.write_bytes(gzip.compress(text.encode(), mtime=0))  # the same recording is the same bytes
    return file


def read(name: str, folder: Path = FOLDER) -> Recording:
    """Return the recording called *name*."""
    document = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
    return Recording(document["made"], tuple(map(_unpacked, document["series"])))


class Recorded:
    """Answers as the Prometheus of a recording did at a time; see `ports.Prometheus`."""

    def __init__(self, series: Iterable[Series]) -> None:
        """*series* is all it has."""
        self._series: dict[str, list[Series]] = {}
        for each in series:
            self._series.setdefault(each.labels["__name__"], []).append(each)
        self.now = 0.0
        """Its time, Unix seconds."""

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Answer what the time is, or which samples a selector with a range has."""
        now = self.now if at is None else at
        if promql == "time()":
            return Answer((Series({}, ((now, now),)),))
        name, begin = promql.partition("{")[0], now - float(promql.rpartition("[")[2].removesuffix("s]"))
        found = []
        for each in self._series.get(name, ()):
            samples = tuple(sample for sample in each.samples if begin < sample[0] <= now)
            if samples:
                found.append(Series(each.labels, samples))
        return Answer(tuple(found))


def _packed(series: Series) -> dict[str, Any]:
    times = [round(at * 1000) for at, _ in series.samples]
    values = [value for _, value in series.samples]
    packed: dict[str, Any] = {"labels": dict(series.labels), "times": _steps(times)}
    if all(value.is_integer() for value in values):
        return {**packed, "steps": _steps(list(map(int, values)))}
    return {**packed, "values": values}


def _unpacked(packed: dict[str, Any]) -> Series:
    times = itertools.accumulate(packed["times"])
    values = packed.get("values") or map(float, itertools.accumulate(packed["steps"]))
    return Series(packed["labels"], tuple((at / 1000, value) for at, value in zip(times, values, strict=True)))


def _steps(numbers: list[int]) -> list[int]:
    return [number - before for before, number in zip([0, *numbers], numbers, strict=False)]
