"""Answers of a Prometheus as bytes, and every way in which they may be spoiled on their way to a verdict.

A `Service` is the truth: what its pods counted. `FAULTS` make an answer useless; `HIDING` are such as happen to good
answers of a bad canary and might hide it. Each takes the answer's document apart and gives back what arrives.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from quarterdeck_scripts.rollout.judge.verdict import Assessment

    Json = dict[str, Any]
    Row = tuple[dict[str, str], list[tuple[float, float]]]
    Arrived = tuple[int, bytes]
    Fault = Callable[[Random, str, Json], Arrived]

SCRAPE = 10.0
SINCE = 1000.0
RATE = 2000
"""Requests a scrape and pod: enough for a healthy canary to pass as soon as it may."""

PODS = {"canary-1": ("canary", 1010.0), "stable-1": ("stable", 950.0), "stable-2": ("stable", 950.0)}
"""Track and first scrape by pod."""

FACTS = [PodFact(name, track, ready=True, born_during=track == "canary") for name, (track, _) in PODS.items()]

CLOCK, REQUESTS, SCRAPES = "time()", "http_server_request_duration_seconds_bucket", "quarterdeck_build_info"
ESSENTIAL = (CLOCK, REQUESTS, SCRAPES)


@dataclass
class Service:
    """What a service's pods count, scraped every 10 s."""

    failing: float = 0.0
    """Share of the canary's requests that are answered with 500."""
    slow: float = 0.0
    """Share of the canary's requests over 250 ms."""
    restarts: dict[str, float] = field(default_factory=dict)
    """When a pod's process was started anew: its counters began at nothing."""

    def answer(self, promql: str, at: float, now: float) -> Json:
        """Return the document that a Prometheus without faults answers when it is asked for *at*, *now*."""
        if promql == CLOCK:
            return _document("scalar", [now, str(now)])
        since, now = at - float(promql.rpartition("[")[2].removesuffix("s]")), min(at, now)
        rows: list[Row] = []
        if promql.startswith(SCRAPES):
            rows = [({"pod": pod}, [(at, 1.0) for at in self._times(pod, since, now)]) for pod in PODS]
        elif promql.startswith(REQUESTS):
            rows = [row for pod in PODS for row in self._counters(pod, since, now)]
        result: list[Json] = [
            {"metric": {**labels, **_target(labels["pod"])}, "values": [[at, f"{value:g}"] for at, value in samples]}
            for labels, samples in rows
            if samples
        ]
        return _document("matrix", result)

    def _counters(self, pod: str, since: float, now: float) -> list[Row]:
        failing, slow = (self.failing, self.slow) if PODS[pod][0] == "canary" else (0.0, 0.0)
        rates = {("200", "+Inf"): 1 - failing, ("200", "0.25"): (1 - failing) * (1 - slow), ("500", "+Inf"): failing}
        rows = []
        for (status, bound), rate in rates.items():
            counted = [(at, float(int(rate * RATE * self._scrapes(pod, at)))) for at in self._times(pod, since, now)]
            if any(value for _, value in counted) or status == "200":
                route = {"http_route": "/pay", "http_response_status_code": status, "le": bound}
                rows.append(({"pod": pod, **route}, counted))
        return rows

    def _scrapes(self, pod: str, at: float) -> float:
        """Return how many scrapes' worth of requests the pod's present process has counted."""
        began = PODS[pod][1] - SCRAPE
        restarted = self.restarts.get(pod)
        return (at - (restarted if restarted is not None and restarted < at else began)) / SCRAPE

    def _times(self, pod: str, since: float, now: float) -> list[float]:
        first = PODS[pod][1]
        times = [first + SCRAPE * n for n in range(int((now - first) // SCRAPE) + 1)]
        return [at for at in times if since < at <= now]


class Spoiling(PrometheusApi):
    """A Prometheus' adapter, all of it but the network: what arrives is what *arrive* makes of the truth."""

    def __init__(self, service: Service, arrive: Callable[[str, Json], Arrived]) -> None:
        super().__init__("http://prometheus.invalid")
        self._service = service
        self._arrive = arrive
        self.now = SINCE

    def _post(self, path: str, fields: dict[str, str]) -> Arrived:
        del path
        promql, at = fields["query"], float(fields.get("time", self.now))
        return self._arrive(promql, self._service.answer(promql, at, self.now))


class Rollout:
    """A canary that is looked at every 10 s, through answers that may be spoiled."""

    def __init__(self, service: Service, arrive: Callable[[str, Json], Arrived]) -> None:
        objectives = (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25))
        self.record = RolloutRecord(
            *("id", "checkout", "shop", "local", "uid", "x:v2", "x:v1", "anna", SINCE, SCRAPE, 600.0),
            Criteria(warm_up=0.0),
            objectives,
            since=SINCE,
        )
        self._prometheus = Spoiling(service, arrive)
        self._measurer = Measurer(self._prometheus, self.record, version="v2")

    def look(self) -> Assessment:
        """Let one scrape pass, and look."""
        self._prometheus.now += SCRAPE
        return self._measurer.look(FACTS)


def whole(promql: str, document: Json) -> Arrived:
    """Let a document arrive as it was sent."""
    del promql
    return 200, json.dumps(document).encode()


def _document(kind: str, result: Any) -> Json:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def _target(pod: str) -> dict[str, str]:
    track = PODS[pod][0]
    version = "v2" if track == "canary" else "v1"
    return {"cluster": "local", "namespace": "shop", "service": "checkout", "track": track, "version": version}


# Faults of the way: nothing that arrives is an answer


def _page(random: Random, promql: str, document: Json) -> Arrived:
    del promql, document
    bodies = (b"<html>Sign in</html>", b"", b"\xff\xfe\x00", b"null", b"[]", b"0", b'"success"', b"\x1f\x8b\x08", b"{}")
    return random.choice((200, 200, 302, 401, 404)), random.choice(bodies)


def _refused(random: Random, promql: str, document: Json) -> Arrived:
    _, body = whole(promql, document)
    return random.choice((203, 400, 403, 422, 429, 500, 502, 503)), body if random.random() < 0.5 else b"busy"


def _cut(random: Random, promql: str, document: Json) -> Arrived:
    status, body = whole(promql, document)
    return status, body[: random.randrange(len(body))]


def _noise(random: Random, promql: str, document: Json) -> Arrived:
    _, body = whole(promql, document)
    at = random.randrange(len(body))
    return 200, body[:at] + bytes([random.choice(b'{}[]"\x00\xff\n,:')]) * random.randint(1, 9) + body[at + 3 :] + b"]"


def _failed(random: Random, promql: str, document: Json) -> Arrived:
    said = {"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"}
    return 200, json.dumps(
        random.choice((said, {**document, "status": "error"}, {**document, "status": None}))
    ).encode()


def _silence(random: Random, promql: str, document: Json) -> Arrived:
    del document
    raise UnreachableError(f"an answer to {promql}", random.choice(("timed out", "connection reset")), "wait")


def _shape(random: Random, promql: str, document: Json) -> Arrived:
    """Return JSON of another shape: a value of another kind somewhere in it."""
    spoiled = copy.deepcopy(document)
    junk: Any = random.choice((None, 7, "text", True, [], {}, [[]], {"a": 1}, float("nan")))
    result = spoiled["data"]["result"]
    where = random.randrange(5 if result and isinstance(result[0], dict) else 2)
    if where == 0:
        spoiled["data"] = junk
    elif where == 1:
        spoiled["data"]["resultType"] = random.choice(("streams", "string", None, 7))
    elif where == 2:
        random.choice(result)["metric"] = random.choice((None, 7, "text", [1]))
    else:
        series = random.choice(result)
        sample = series["values"][-1]
        sample[where - 3] = (
            random.choice((None, {}, [], True)) if where == 3 else random.choice((None, 7, 2.5, {}, "x"))
        )
    return whole(promql, spoiled)


WAY: tuple[Fault, ...] = (_page, _refused, _cut, _noise, _failed, _silence, _shape)

# Faults of an answer that is one


def _warned(random: Random, promql: str, document: Json) -> Arrived:
    return whole(promql, {**document, "warnings": [random.choice(("partial response", "store is away", ""))]})


def _values(random: Random, promql: str, document: Json) -> Arrived:
    """Have the newest sample of some counters be what no counter is."""
    spoiled = copy.deepcopy(document)
    for series in random.sample(spoiled["data"]["result"], random.randint(1, len(spoiled["data"]["result"]))):
        series["values"][-1][1] = random.choice(("NaN", "+Inf", "-Inf", "Inf", "-1", "-0.5", "1e999"))
    return whole(promql, spoiled)


def _empty(random: Random, promql: str, document: Json) -> Arrived:
    del document
    return whole(promql, _document(random.choice(("matrix", "vector")), []))


def _left_out(random: Random, promql: str, document: Json) -> Arrived:
    result = document["data"]["result"]
    kept = random.sample(result, random.randrange(len(result)))
    return whole(promql, _document("matrix", kept))


def _twice(random: Random, promql: str, document: Json) -> Arrived:
    result = document["data"]["result"]
    again = random.sample(result, random.randint(1, len(result)))
    more = random.choice(({"job": "b"}, {"instance": "10.0.0.9:80"}, {}))
    return whole(
        promql, _document("matrix", [*result, *({**each, "metric": {**each["metric"], **more}} for each in again)])
    )


def _clusters(random: Random, promql: str, document: Json) -> Arrived:
    result = document["data"]["result"]
    chosen = random.randrange(len(result))
    labelled = [
        {**each, "metric": {**each["metric"], "cluster": "b"}} if n == chosen else each for n, each in enumerate(result)
    ]
    return whole(promql, _document("matrix", labelled))


def _labels(random: Random, promql: str, document: Json) -> Arrived:
    spoiled = copy.deepcopy(document)
    label, values = random.choice((("track", ("", "blue", "Canary")), ("le", ("", "NaN", "fast", "0,25"))))
    random.choice(spoiled["data"]["result"])["metric"][label] = random.choice(values)
    return whole(promql, spoiled)


def _contradiction(random: Random, promql: str, document: Json) -> Arrived:
    """Have more fast requests than requests, by the newest sample of a bucket."""
    spoiled = copy.deepcopy(document)
    buckets = [each for each in spoiled["data"]["result"] if each["metric"]["le"] == "0.25"]
    series = random.choice(buckets)
    value = float(series["values"][-1][1])
    series["values"][-1][1] = str(value + RATE + random.randint(1, 10**6))
    return whole(promql, spoiled)


def _future(random: Random, promql: str, document: Json) -> Arrived:
    spoiled = copy.deepcopy(document)
    series = random.choice(spoiled["data"]["result"])
    series["values"].append([series["values"][-1][0] + random.uniform(2, 10**6) * SCRAPE, series["values"][-1][1]])
    return whole(promql, spoiled)


def _disorder(random: Random, promql: str, document: Json) -> Arrived:
    spoiled = copy.deepcopy(document)
    for series in spoiled["data"]["result"]:
        series["values"] = [*reversed([[series["values"][0][0] - 1, "0"], *series["values"]])]
    return whole(promql, spoiled)


def _clock(random: Random, promql: str, document: Json) -> Arrived:
    """Have a clock that says nothing, several times, or one so late that everything is stale."""
    now = document["data"]["result"][0]
    late = now + random.uniform(4, 10**6) * SCRAPE
    several = [{"metric": {"a": str(n)}, "value": [now, str(now)]} for n in range(2)]
    values = [_document("scalar", [now, value]) for value in ("NaN", "+Inf", str(late))]
    return whole(promql, random.choice([*values, _document("vector", []), _document("vector", several)]))


FAULTS: dict[str, tuple[Fault, ...]] = {
    CLOCK: (*WAY, _clock),
    SCRAPES: (*WAY, _warned, _empty, _left_out, _future, _disorder),
    REQUESTS: (
        *(*WAY, _warned, _values, _empty, _left_out, _twice, _clusters),
        *(_labels, _contradiction, _future, _disorder),
    ),
}
"""What may happen to the answer to each question without which there is no verdict."""


def arrived(random: Random, promql: str, document: Json) -> tuple[str, Arrived]:
    """Return which fault befell an answer to an essential question, and what arrives."""
    (question,) = (each for each in ESSENTIAL if promql.startswith(each))
    there_is = question == CLOCK or document["data"]["result"]
    fault = random.choice(FAULTS[question] if there_is else WAY)
    return fault.__name__, fault(random, promql, document)
