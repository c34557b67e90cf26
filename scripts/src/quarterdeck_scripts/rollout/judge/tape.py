"""Everything a measurer was told, look by look, in the order it asked: enough to judge again, offline, to the byte.

An answer mostly repeats the one before it, because each question reaches back over the last. So of every series
only what is new is kept, with how much of what was known fell out at the old end; nothing is rounded or left out.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from bisect import bisect_left
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_scripts.ports import Answer, AnswerError, Series
from quarterdeck_scripts.rollout.judge.evidence import PodFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from quarterdeck_scripts.ports import Prometheus

    Samples = tuple[tuple[float, float], ...]

FORMAT = 1
"""Version of a tape's format."""

MOST_BYTES = 24 << 20
"""Size at which a tape ends, packed. An hour of 100 pods with 20 routes at 15 s needs about a sixth of it."""

_GZIP = 16 + zlib.MAX_WBITS
"""Tells zlib to write what `gzip` reads. It puts no time into it, so the same looks are the same bytes."""


class Tape:
    """What one measurer was told. Grows while it looks."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        """*most* is in bytes, packed."""
        self._most = most
        self.version = ""
        """The canary's; empty before anything is on the tape."""
        self._rewind()

    def _rewind(self) -> None:
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._packed = bytearray()
        self._series: dict[tuple[tuple[str, str], ...], tuple[int, Samples]] = {}
        self.looks = 0
        """How many looks are on it."""
        self.full = False
        """Whether it reached its size and noted nothing more; such a tape cannot be judged again."""

    def begin(self, version: str) -> None:
        """Note which *version* the canary has. What another measurer was told before is gone, as from the record."""
        self._rewind()
        self.version = version
        self._note({"format": FORMAT, "version": version})

    def look(self, pods: Sequence[PodFact]) -> None:
        """Note that a look begins, and what the cluster says of the pods."""
        self.looks += 1
        self._note({"pods": [asdict(pod) for pod in pods]})

    def answered(self, promql: str, at: float | None, answer: Answer) -> None:
        """Note an answer."""
        series = [self._shortened(each) for each in answer.series]
        self._note({"asked": promql, "at": at, "series": series, "warnings": list(answer.warnings)})

    def failed(self, promql: str, at: float | None, error: QuarterdeckError) -> None:
        """Note that there was no answer."""
        self._note({"asked": promql, "at": at, "error": [error.expected, error.found, error.next_step]})

    def packed(self) -> bytes:
        """Return what was noted so far, as gzip of one JSON object a line."""
        return bytes(self._packed) + self._packer.copy().flush()

    def _shortened(self, series: Series) -> list[Any]:
        key = tuple(series.labels.items())
        samples = series.samples
        if key not in self._series:
            number = len(self._series)
            self._series[key] = (number, samples)
            return [dict(series.labels), [*map(_written, samples)]]
        number, known = self._series[key]
        self._series[key] = (number, samples)
        dropped = bisect_left(known, samples[0][0], key=lambda sample: sample[0]) if samples else len(known)
        kept = known[dropped:]
        if samples[: len(kept)] != kept:
            dropped, kept = len(known), ()
        return [number, dropped, [*map(_written, samples[len(kept) :])]]

    def _note(self, line: dict[str, Any]) -> None:
        if not self.full:
            self._packed += self._packer.compress(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self.full = len(self._packed) > self._most


class Taping:
    """A `Prometheus` that notes every answer of another on a tape."""

    def __init__(self, prometheus: Prometheus, tape: Tape) -> None:
        self._prometheus = prometheus
        self._tape = tape

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Pass the question on; see `ports.Prometheus`."""
        try:
            answer = self._prometheus.query(promql, at=at)
        except QuarterdeckError as error:
            self._tape.failed(promql, at, error)
            raise
        self._tape.answered(promql, at, answer)
        return answer


class Player:
    """A `Prometheus` that answers as a tape has it, one look after the other."""

    def __init__(self, packed: bytes) -> None:
        """*packed* is what `Tape.packed` returned.

        Raises:
            UsageError: it is not, or another version wrote it.
        """
        self._lines = _lines(packed)
        first = next(self._lines, {})
        if first.get("format") != FORMAT:
            raise _unreadable(f"the format {first.get('format')!r}")
        self.version: str = first["version"]
        """The canary's."""
        self.strayed = ""
        """The first question that is not on the tape; empty while there was none."""
        self._series: list[tuple[dict[str, str], Samples]] = []
        self._answers: list[dict[str, Any]] = []

    def looks(self) -> Iterator[list[PodFact]]:
        """Yield the pods of each look, and answer that look's questions until the next is asked for."""
        pods: list[PodFact] | None = None
        for line in self._lines:
            if "pods" not in line:
                self._answers.append(line)
                continue
            if pods is not None:
                yield pods
            try:
                pods, self._answers = [PodFact(**each) for each in line["pods"]], []
            except TypeError as error:
                raise _unreadable(f"{type(error).__name__}: {error}") from error
        if pods is not None:
            yield pods

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Answer as it was answered then; see `ports.Prometheus`."""
        line = self._answers.pop(0) if self._answers else {}
        # What comes after a question that is not on the tape may build on its answer.
        if self.strayed or (line.get("asked"), line.get("at")) != (promql, at):
            self.strayed = self.strayed or promql
            raise AnswerError("a question that is on the tape", repr(promql), "use the version that wrote it")
        if "error" in line:
            raise AnswerError(*line["error"])
        try:
            return Answer(tuple(self._whole(each) for each in line["series"]), tuple(line["warnings"]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            self.strayed = promql
            raise _unreadable(f"{type(error).__name__}: {error}") from error

    def _whole(self, written: list[Any]) -> Series:
        if isinstance(written[0], dict):
            labels, samples = written[0], _read(written[1])
            self._series.append((labels, samples))
        else:
            number, dropped, new = written
            labels, known = self._series[number]
            samples = known[dropped:] + _read(new)
            self._series[number] = (labels, samples)
        return Series(labels, samples)


def _written(sample: tuple[float, float]) -> list[float | str]:
    """Return a sample for JSON, which has neither NaN nor infinity."""
    return [value if math.isfinite(value) else str(value) for value in sample]


def _read(samples: Iterable[Sequence[float | str]]) -> Samples:
    return tuple((float(moment), float(value)) for moment, value in samples)


def _lines(packed: bytes) -> Iterator[dict[str, Any]]:
    """Yield one line after the other: unpacked, a tape is much larger than memory should hold."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            for line in file:
                yield json.loads(line)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _unreadable(f"{type(error).__name__}: {error}") from error


def _unreadable(found: str) -> UsageError:
    return UsageError(f"a tape of format {FORMAT}", found, "use the version that wrote it, or another bundle")
