"""Datadog as somebody who answers PromQL: what a rollout asks of a Prometheus, from Datadog's metrics.

An answer that is not whole is marked as such, and so is no evidence: where the parts do not add up to Datadog's own
total, or where pods are told of that the cluster has not.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION, TRACK, TRACK_STABLE
from quarterdeck_contract.labels import CLUSTER, POD, Label
from quarterdeck_contract.labels import TRACK as TRACK_LABEL
from quarterdeck_contract.labels import VERSION as VERSION_LABEL
from quarterdeck_dashboards.dashboards.datadog_query import Untranslatable, tag
from quarterdeck_dashboards.datadog.common import ENVIRONMENT, tag_value
from quarterdeck_dashboards.series import LE
from quarterdeck_scripts.datadog.question import STEP, Clock, Question, question, spelt
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.known import Known
from quarterdeck_scripts.kube.pods import label
from quarterdeck_scripts.kube.trimmed import trimmed
from quarterdeck_scripts.ports import Answer, AnswerError, Series
from quarterdeck_scripts.publish.ports import NoAnswerError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.publish.ports import Api

_NOT_TAGGED = "n/a"
"""What Datadog says of a series that has no such tag."""
_SLACK = 0.5
"""Events by which parts may differ from their total: they are whole numbers, sent as fractions."""

_Key = tuple[tuple[str, str], ...]
"""A series' labels, sorted."""
_Points = dict[float, float]
"""Beginning of an interval, Unix seconds, to its value."""


@dataclass(slots=True)
class _Read:
    """What was answered."""

    parts: dict[tuple[str, _Key], _Points] = field(default_factory=lambda: defaultdict(dict))
    """Pod and labels to points."""
    sent: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Number of a query to how much its parts add up to."""
    whole: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    """The same, as Datadog itself adds them up."""
    versions: dict[str, str] = field(default_factory=dict)
    """Pod to its version, in small letters; empty where none is said."""
    newest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Pod to the beginning of the newest interval that it has reported in, Unix seconds."""


@dataclass(frozen=True, slots=True)
class PodLabels:
    """What Datadog does not say of a pod, or says in small letters."""

    track: str
    version: str


class PodsOf:
    """A service's pods by name, as the cluster has them whenever it is called; of many, what changed is asked for."""

    def __init__(self, cluster: Cluster, namespace: str, service: str) -> None:
        """Ask nothing yet."""
        self._known = Known(cluster, path("Pod", namespace), {"labelSelector": f"{APP_NAME}={service}"}, keep=trimmed)

    def __call__(self) -> dict[str, PodLabels]:
        """Return them."""
        pods = self._known.look()
        return {pod["metadata"]["name"]: PodLabels(label(pod, TRACK), label(pod, APP_VERSION)) for pod in pods}


class DatadogMetrics:
    """One organisation's metrics, of one environment; see `ports.Prometheus`. For one rollout at a time."""

    def __init__(
        self,
        api: Api,
        *,
        environment: str,
        pods: Callable[[], Mapping[str, PodLabels]],
        now: Callable[[], float],
        routes: Iterable[str] = (),
    ) -> None:
        """Ask nothing yet.

        Args:
            api: Datadog's.
            environment: whose metrics are meant; the tag `env`.
            pods: the service's pods, as the cluster has them now.
            now: Datadog's own time, Unix seconds, as of its last answer.
            routes: routes that somebody asks for, as the service spells them: Datadog keeps them in small letters.
        """
        self._api = api
        self._environment = environment
        self._look = pods
        self._now = now
        self._routes = {tag_value(route): route for route in routes}
        self._pods: dict[str, PodLabels] = {}
        """Every pod there ever was: one that is gone has counted nonetheless."""
        self._since = now()
        self._growth: dict[tuple[str, _Key], _Points] = defaultdict(dict)
        """Metric and labels to what was counted in each interval: a counter has to go on from where it stood."""

    def query(self, promql: str, *, at: float | None = None) -> Answer:
        """Answer *promql*; see `ports.Prometheus`."""
        try:
            asked = question(promql, (f"{ENVIRONMENT}:{self._environment}",))
            if isinstance(asked, Clock):
                return self._time()
            return self._answer(asked, self._now() if at is None else at)
        except Untranslatable as error:
            raise _unusable(
                f"{promql}, which it cannot be asked: {error}", "judge the service by Prometheus"
            ) from error
        except (RejectedError, NoAnswerError) as error:
            raise _unusable(error.found, error.next_step) from error

    def _time(self) -> Answer:
        self._api.request("GET", "/api/v1/validate")
        now = self._now()
        return Answer((Series({}, ((now, now),)),))

    def _answer(self, asked: Question, at: float) -> Answer:
        began = (at - asked.window) // asked.step * asked.step
        texts = [str(query) for query in asked.queries()]
        query = {"from": str(int(began)), "to": str(math.ceil(at)), "query": ",".join(texts)}
        answer = self._api.request("GET", "/api/v1/query", query=query)
        if asked.whole:
            return Answer(_most(asked, answer, at))
        read = self._read(asked, answer, len(texts))
        self._pods |= self._look()
        warnings = [
            f"Datadog sent {read.sent[number]:.0f} of {whole:.0f} events that it counted"
            for number, whole in read.whole.items()
            if asked.counts and abs(read.sent[number] - whole) > _SLACK
        ]
        warnings += self._strangers(read, at)
        parts = {**_silent(asked, read), **read.parts}
        meant = {key: points for key, points in parts.items() if self._is_meant(asked, key[0])}
        found = self._summed(asked, meant, at) if asked.summed is not None else self._samples(asked, meant, at)
        return Answer(tuple(found), tuple(warnings))

    def _strangers(self, read: _Read, at: float) -> list[str]:
        """Place the pods that the cluster does not have any more by their version; say which cannot be placed.

        One of a version that nobody runs was gone before the rollout, and is no part of it; so was one that has said
        nothing since it began. Where the past is asked about, it was a pod like others then: on the stable track, with
        its own version.
        """
        sides = {(known.version.lower(), known.track): known for known in self._pods.values()}
        doubtful = []
        for pod, version in read.versions.items():
            if pod in self._pods:
                continue
            found = [known for (name, _), known in sides.items() if name == version]
            if len(found) == 1:
                self._pods[pod] = found[0]
            elif version and not found and at < self._since:
                self._pods[pod] = PodLabels(TRACK_STABLE, version)
            elif (found or not version) and read.newest[pod] > self._since:
                doubtful.append(f"the pod {pod} has reported, and neither the cluster nor its version says which it is")
        return doubtful[:1]

    def _is_meant(self, asked: Question, pod: str) -> bool:
        return pod in self._pods and re.fullmatch(asked.track, self._pods[pod].track) is not None

    def _samples(self, asked: Question, parts: Mapping[tuple[str, _Key], _Points], at: float) -> Iterable[Series]:
        for (pod, key), points in parts.items():
            known = self._pods[pod]
            labels = {
                CLUSTER.prometheus: self._environment,
                **asked.known,
                POD.prometheus: pod,
                TRACK_LABEL.prometheus: known.track,
                VERSION_LABEL.prometheus: known.version,
                **dict(key),
            }
            samples = list(points.items())
            if asked.counts:
                growth = self._growth[asked.metric.name, tuple(sorted(labels.items()))]
                growth |= {start: max(value, growth.get(start, value)) for start, value in points.items()}
                samples = _counter(growth)
            recent = tuple(sample for sample in samples if at - asked.window < sample[0] <= at)
            if recent:
                yield Series(labels, recent[-1:] if asked.latest else recent)

    def _summed(self, asked: Question, parts: Mapping[tuple[str, _Key], _Points], at: float) -> Iterable[Series]:
        sums: dict[_Key, float] = defaultdict(float)
        for (pod, key), points in parts.items():
            every = {**asked.known, POD.prometheus: pod, TRACK_LABEL.prometheus: self._pods[pod].track, **dict(key)}
            sums[tuple((name, every.get(name, "")) for name in asked.summed or ())] += sum(points.values())
        per = asked.window if asked.per_second else 1.0
        return [Series(dict(key), ((at, value / per),)) for key, value in sums.items()]

    def _read(self, asked: Question, answer: Any, expected: int) -> _Read:
        """Read *answer* to as many queries as *expected*.

        Raises:
            AnswerError: it is of another shape.
        """
        read = _Read()
        with _of_known_shape():
            for each in _series(answer):
                number, points = _number_of(each, expected), _points(each, asked)
                if asked.counts and number >= expected // 2:
                    read.whole[number - expected // 2] += sum(points.values())
                    continue
                tags = dict(text.split(":", 1) for text in each["tag_set"])
                labels = {name.prometheus: self._restored(name, tags.get(tag(name), "")) for name in asked.labels}
                if asked.bounds:
                    labels[LE.prometheus] = spelt(asked.bounds[number])[0]
                pod = tags[tag(POD)]
                read.versions[pod] = self._restored(VERSION_LABEL, tags.get(tag(VERSION_LABEL), "")).lower()
                read.newest[pod] = max(read.newest[pod], *points, 0.0)
                read.sent[number] += sum(points.values())
                sums = read.parts[pod, tuple(sorted(labels.items()))]
                # What differs in capital letters alone is one series there; what we spell alike is one here.
                sums |= {start: value + sums.get(start, 0.0) for start, value in points.items()}
        return read

    def _restored(self, name: Label, value: str) -> str:
        """Return *value* as the service spelt it, as far as that is known: Datadog keeps small letters."""
        if value.lower() == _NOT_TAGGED:
            return ""
        for spelling in name.values:
            if spelling.lower() == value:
                return spelling
        return self._routes.get(tag_value(value), value)


def _most(asked: Question, answer: Any, at: float) -> tuple[Series, ...]:
    """Return the most a second that all pods counted in one interval; nothing where none was counted."""
    with _of_known_shape():
        rates = [value / asked.step for each in _series(answer) for value in _points(each, asked).values()]
    return (Series({}, ((at, max(rates)),)),) if rates else ()


def _series(answer: Any) -> Any:
    if answer["status"] != "ok" or answer.get("error"):
        raise _unusable(f"the status {answer['status']}: {answer.get('error') or 'no reason given'}")
    return answer["series"]


@contextmanager
def _of_known_shape() -> Iterator[None]:
    """Name an answer of another shape as what it is."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _unusable(f"an answer of another shape ({type(error).__name__}: {error})") from error


def _silent(asked: Question, read: _Read) -> dict[tuple[str, _Key], _Points]:
    """Return the buckets that Datadog said nothing of where nothing fell into them, as a Prometheus has them: at zero.

    A bucket that it counted nothing in anywhere may be one that it cannot count in: of that, nothing is made up.
    """
    known = [bound for number, bound in enumerate(asked.bounds) if number in read.whole]
    return {
        (pod, tuple((name, spelt(bound)[0] if name == LE.prometheus else value) for name, value in key)): dict.fromkeys(
            points, 0.0
        )
        for (pod, key), points in read.parts.items()
        if dict(key).get(LE.prometheus) == spelt(math.inf)[0]
        for bound in known
    }


def _number_of(series: Any, expected: int) -> int:
    """Return which of the queries *series* answers."""
    number = series["query_index"] if expected > 1 else 0
    if not isinstance(number, int) or not 0 <= number < expected:
        raise ValueError(f"query_index {number!r}")
    return number


def _points(series: Any, asked: Question) -> _Points:
    step = asked.step
    if series["interval"] not in {step, step * 1000}:  # by its description milliseconds, in its examples seconds
        raise ValueError(f"intervals of {series['interval']}, not the {step} s that were asked for")
    points = {moment / 1000: float(value) for moment, value in series["pointlist"] if value is not None}
    if asked.counts and not all(math.isfinite(value) and value >= 0 for value in points.values()):
        raise ValueError("an interval in which less than nothing was counted, or no number")
    return points


def _counter(growth: _Points) -> list[tuple[float, float]]:
    """Return the samples of a counter that grew so: it stood at nothing before, and each interval's end shows it."""
    starts = sorted(growth)
    totals = itertools.accumulate(growth[start] for start in starts)
    shown = [(start + STEP, total) for start, total in zip(starts, totals, strict=True)]
    return [(starts[0], 0.0), *shown] if starts else []


def _unusable(found: str, next_step: str = "see what answers at this site") -> AnswerError:
    return AnswerError("an answer from Datadog's metrics", found, next_step)
