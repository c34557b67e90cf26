"""A rollout's record: everything its verdict was made of, as JSON. Reports are drawn from it, offline."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.rollout.judge import guards
from quarterdeck_scripts.rollout.judge.counts import Batch, Counts, RouteCounts, Tally
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective, of_all_requests
from quarterdeck_scripts.rollout.judge.evidence import Reading
from quarterdeck_scripts.rollout.judge.logged import Logged, LogRules
from quarterdeck_scripts.rollout.judge.verdict import Assessment, Trial, assess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FORMAT = 1
"""Version of this file's format."""


@dataclass(slots=True)
class Step:
    """One step that was taken."""

    at: float
    """Unix seconds."""
    seconds: float
    """How long it took."""
    title: str
    detail: str = ""


@dataclass(slots=True)
class RolloutRecord:
    """One rollout. Grows while it runs; written after every step."""

    id: str
    service: str
    namespace: str
    environment: str
    cluster: str
    """UID of the cluster."""
    image: str
    origin: str
    """The stable version's image when it began."""
    by: str
    began: float
    """Unix seconds."""
    interval: float
    """Scrape interval, seconds."""
    max_wait: float
    """Seconds of judging allowed."""
    criteria: Criteria
    objectives: tuple[Objective, ...]
    forced: str = ""
    """Why the gate was passed by; empty when it was not."""
    overridden: str = ""
    """Why the guards were passed by, freezes among them; empty when they were not."""
    passed: list[str] = field(default_factory=list)
    """What each freeze that was passed by says of itself: any other holds the rollout."""
    rpc: bool = False
    """Whether its requests are remote procedure calls, of gRPC."""
    since: float = 0.0
    """Unix seconds by the API server's clock: the canary's creation, from which on requests count."""
    peak: float = 0.0
    """Requests a second that would be counted on both sides at the last week's peak; 0 when nobody knows."""
    queries: dict[str, str] = field(default_factory=dict)
    """The PromQL texts as last sent, by name."""
    steps: list[Step] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    """What was known at every look, in order."""
    samples: list[dict[str, Any]] = field(default_factory=list)
    """The raw samples counted in."""
    ending: str = ""
    """How it ended; empty while it runs."""
    reason: str = ""
    """Why, in one sentence."""
    ended: float = 0.0
    """Unix seconds."""
    format: int = FORMAT

    def trials(self) -> Iterator[tuple[Reading, tuple[Trial, ...]]]:
        """Yield each reading with the evidence as it stood then."""
        trials = begin(self.objectives, self.criteria)
        previous: Reading | None = None
        for reading in self.readings:
            trials = advance(trials, previous, reading, self.since)
            previous = previous if reading.causes else reading
            yield reading, trials

    def replay(self) -> Assessment | None:
        """Return the verdict that the readings lead to, computed anew; None without readings."""
        last = None
        for last in self.trials():  # noqa: B007 -- only the last is wanted
            pass
        return None if last is None else assess(last[1], last[0].causes, self.guarded(), self.peak)

    def guarded(self) -> guards.Word:
        """Return what the guards say after all readings."""
        sights = [reading.sight for reading in self.readings if reading.sight is not None]
        place = of_all_requests(self.objectives)
        floor = 0.0 if place is None else self.objectives[place].floor
        return guards.word(sights, self.criteria.ratio, self.criteria.guards, floor)

    def to_json(self) -> str:
        """Return the record as JSON text."""
        assessment = self.replay()
        document = {**asdict(self), "assessment": None if assessment is None else asdict(assessment)}
        # What is not looked at is not written, so that records from before it was are read and written as they were.
        for each in (document["criteria"]["guards"], *(each["sight"] or {} for each in document["readings"])):
            for name in ("logs", "logged"):
                if each.get(name, "") is None:
                    del each[name]
        # What nobody knows is not written, so that records from before it was asked are written as they were.
        if not self.peak:
            del document["peak"]
        if assessment is not None and not assessment.unseen:
            del document["assessment"]["unseen"]
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RolloutRecord:
        """Read what `to_json` wrote; the assessment in it is computed anew when asked for."""
        document = json.loads(text)
        document.pop("assessment", None)
        document["criteria"] = _criteria(document["criteria"])
        document["objectives"] = tuple(map(_objective, document["objectives"]))
        document["steps"] = [Step(**each) for each in document["steps"]]
        document["readings"] = [_reading(each) for each in document["readings"]]
        return cls(**document)

    def save(self, folder: Path) -> Path:
        """Write the record into *folder* and return its file; a reader never sees half of it.

        The environment's folder, in which *folder* is, is never made: when it is gone, the environment was ended
        meanwhile and nothing of it is to be left.
        """
        file = folder / f"{self.id}.json"
        draft = file.with_suffix(f".{os.getpid()}.tmp")
        with suppress(FileNotFoundError):
            folder.mkdir(exist_ok=True)
            draft.write_text(self.to_json(), encoding="utf-8")
            draft.replace(file)
        return file


def begin(objectives: Sequence[Objective], criteria: Criteria) -> tuple[Trial, ...]:
    """Return a trial per objective, without evidence."""
    return tuple(Trial.of(objective, criteria, len(objectives)) for objective in objectives)


def advance(trials: tuple[Trial, ...], previous: Reading | None, reading: Reading, since: float) -> tuple[Trial, ...]:
    """Return the trials with what *reading* adds to the last reading that could be judged.

    A reading with causes adds nothing: the next one without brings its counts along, counters being counters.
    """
    if reading.causes:
        return trials
    batches = news(previous, reading, since)
    return tuple(trial.add(batch) for trial, batch in zip(trials, batches, strict=True))


def news(previous: Reading | None, reading: Reading, since: float) -> tuple[Batch, ...]:
    """Return what *reading* adds to the last reading that could be judged: a batch for each objective."""
    before = previous.tallies if previous else tuple(Tally() for _ in reading.tallies)
    seconds = max(0.0, reading.at - (previous.at if previous else since))
    added = (now.since(then) for now, then in zip(reading.tallies, before, strict=True))
    return tuple(Batch(each.canary, each.stable, seconds, each.routes) for each in added)


def _criteria(fields: dict[str, Any]) -> Criteria:
    rules = fields.get("guards", {})
    logs = LogRules(**rules["logs"]) if "logs" in rules else None
    return Criteria(**{**fields, "guards": guards.Rules(**{**rules, "logs": logs})})


def _objective(fields: dict[str, Any]) -> Objective:
    where = tuple((label, pattern) for label, pattern in fields.pop("where", ()))
    return Objective(**{**fields, "bad": Bad(fields["bad"])}, where=where)


def _reading(fields: dict[str, Any]) -> Reading:
    canary, stable = fields["newest"]
    tallies, causes = tuple(map(_tally, fields["tallies"])), tuple(fields["causes"])
    return Reading(fields["at"], tallies, (canary, stable), causes, _sight(fields.get("sight")))


def _sight(fields: dict[str, Any] | None) -> guards.Sight | None:
    if fields is None:
        return None
    pairs = {name: (fields[name][0], fields[name][1]) for name in ("restarts", "pods")}
    logged = (
        Logged(**{name: (pair[0], pair[1]) for name, pair in fields["logged"].items()}) if "logged" in fields else None
    )
    return guards.Sight(
        fields["at"], **pairs, full=tuple(guards.Fullness(**each) for each in fields["full"]), logged=logged
    )


def _tally(fields: dict[str, Any]) -> Tally:
    routes = tuple(RouteCounts(each["route"], *_sides(each)) for each in fields.get("routes", ()))
    return Tally(*_sides(fields), routes)


def _sides(fields: dict[str, Any]) -> tuple[Counts, Counts]:
    return Counts(**fields["canary"]), Counts(**fields["stable"])
