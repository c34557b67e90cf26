"""Which pods are the new version's, and which it is compared with: Prometheus and the cluster, seen as two sides.

What counts and judges knows a canary and a stable version. How a strategy has the two is settled here, and nowhere
else: by the track of their pods, by a fresh baseline instead of the stable pods, by the version of pods in one and the
same workload, or by time, where the old version no longer serves.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_contract import labels
from quarterdeck_contract.kubernetes import APP_VERSION, TRACK, TRACK_BASELINE, TRACK_CANARY, TRACK_STABLE
from quarterdeck_scripts.kube.pods import created, is_ready, label, memory_limit_of, restarts_of
from quarterdeck_scripts.ports import Answer
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.steps.actions import Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.ports import Prometheus, Series

TRACKS = {Side.STABLE: TRACK_STABLE, Side.CANARY: TRACK_CANARY, Side.BASELINE: TRACK_BASELINE}
"""Side to the track of its pods, where it has a Deployment of its own."""

_SIDES = {track: side for side, track in TRACKS.items()}


class By(enum.Enum):
    """What tells the two sides apart."""

    TRACK = enum.auto()
    """Canary and stable pods have Deployments of their own."""
    BASELINE = enum.auto()
    """So have canary and baseline; the stable pods take no part."""
    VERSION = enum.auto()
    """New and old pods are one workload's."""
    TIME = enum.auto()
    """All requests have gone to the canary's pods since it was created: it is compared with what the stable ones did
    before, as if they did it now. Weaker than the others, because whatever changed meanwhile is between the two."""


@dataclass(frozen=True)
class Lens:
    """A `Prometheus` that knows two tracks, canary and stable, whatever the cluster has."""

    prometheus: Prometheus
    by: By
    version: str
    """The new one."""
    since: float
    """Unix seconds: when the first new pod was created."""
    back: float = 0.0
    """By TIME: seconds between what the stable pods did and the moment at which it counts."""

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Evaluate *promql*; see `Prometheus.query`. Series that name no track are left as they are."""
        answer = self.prometheus.query(promql, at=at)
        if self.by is By.TIME and at is not None and any(_has_track(series) for series in answer.series):
            before = self.prometheus.query(promql, at=at - self.back)
            now = (each for each in answer.series if not self._is_stable(each))
            then = (_later(each, self.back) for each in before.series if self._is_stable(each))
            answer = Answer((*now, *then), (*answer.warnings, *before.warnings))
        seen = (self._seen(series) for series in answer.series)
        return replace(answer, series=tuple(series for series in seen if series is not None))

    def side_of(self, pod: Json) -> Side | None:
        """Return the side that *pod* is on; None: on neither."""
        return self._side(label(pod, TRACK), label(pod, APP_VERSION))

    def facts(self, pods: Iterable[Json]) -> list[PodFact]:
        """Return what the evidence has to know of *pods*."""
        facts = []
        for pod in pods:
            side = self.side_of(pod)
            if side is None or (self._took_over(side) and created(pod) > self.since - self.back):
                continue
            facts.append(
                PodFact(
                    name=self._name(pod["metadata"]["name"], side),
                    track=TRACKS[side],
                    ready=is_ready(pod),
                    born_during=created(pod) > self.since or (side is Side.CANARY and created(pod) == self.since),
                    restarts=restarts_of(pod),
                    memory=memory_limit_of(pod),
                )
            )
        return facts

    def _took_over(self, side: Side) -> bool:
        """Return whether pods of *side* count only if they were there at the time they are compared at."""
        return self.by is By.TIME and side is Side.STABLE

    def _seen(self, series: Series) -> Series | None:
        """Return *series* with its side as its track; None when it is on neither."""
        if not _has_track(series) or (self.by is By.VERSION and labels.VERSION.prometheus not in series.labels):
            return series
        track, version = series.labels[labels.TRACK.prometheus], series.labels.get(labels.VERSION.prometheus, "")
        side = self._side(track, version)
        if side is None:
            return None
        changed = {labels.TRACK.prometheus: TRACKS[side]}
        if labels.POD.prometheus in series.labels:
            changed[labels.POD.prometheus] = self._name(series.labels[labels.POD.prometheus], side)
        return replace(series, labels={**series.labels, **changed})

    def _side(self, track: str, version: str) -> Side | None:
        if self.by is By.VERSION:
            return Side.CANARY if version == self.version else Side.STABLE
        side = _SIDES.get(track)
        if self.by is By.BASELINE:
            return {Side.CANARY: Side.CANARY, Side.BASELINE: Side.STABLE}.get(side) if side else None
        return None if side is Side.BASELINE else side

    def _name(self, pod: str, side: Side) -> str:
        """Return the name that a pod has in evidence: a StatefulSet's pods keep theirs from version to version."""
        return f"{pod} ({self.version})" if self.by is By.VERSION and side is Side.CANARY else pod

    def _is_stable(self, series: Series) -> bool:
        return series.labels.get(labels.TRACK.prometheus) == TRACK_STABLE


def _has_track(series: Series) -> bool:
    return labels.TRACK.prometheus in series.labels


def _later(series: Series, seconds: float) -> Series:
    return replace(series, samples=tuple((moment + seconds, value) for moment, value in series.samples))
