"""What a service's traffic is now and was at its peak, route by route: the questions, and their answers as numbers."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import kubernetes, labels
from quarterdeck_contract.errors import InconclusiveError
from quarterdeck_contract.metrics import BUILD_INFO
from quarterdeck_contract.naming import prometheus_name, series_names
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.ports import AnswerError
from quarterdeck_scripts.rollout.judge.criteria import Bad
from quarterdeck_scripts.rollout.judge.queries import BUCKET_BOUND, of_buckets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.slo.sli import Served
    from quarterdeck_scripts.ports import Prometheus
    from quarterdeck_scripts.rollout.judge.criteria import Objective

NOW = timedelta(hours=1)
"""What is called now: shorter, and rare failures are not seen; longer, and it is another time of day."""
LEAST = timedelta(minutes=1)
"""How long a service has to have been scraped for its rate to be told from that: one step of the question."""
_SCRAPED = "known"
"""Name of the question for how many seconds it has been scraped, in that hour; not everybody can be asked it."""
PAST = timedelta(days=7)
"""Where the peak is looked for: every day of the week."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of one sort, a second."""

    requests: float = 0.0
    bad: float = 0.0

    def __add__(self, other: Load) -> Load:
        return Load(self.requests + other.requests, self.bad + other.bad)

    @property
    def share(self) -> float:
        """Share of bad ones, 0 to 1; 0 without requests."""
        return min(1.0, self.bad / self.requests) if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """A service's requests a second, by labels."""

    ended: tuple[tuple[Mapping[str, str], float], ...]
    """By route and status."""
    within: tuple[tuple[Mapping[str, str], float], ...]
    """Successful ones, by route and bucket's bound."""
    peak: float
    """Of all requests, the most in five minutes of the last week; 0 when nobody knows."""

    @property
    def rate(self) -> float:
        """All requests."""
        return sum(value for _, value in self.ended)

    def load(self, objective: Objective, how: Served) -> dict[str, Load]:
        """Return what *objective* is about, by route, the busiest first."""
        found: dict[str, Load] = {}
        slow = objective.bad is Bad.SLOW
        for said, value in self.ended:
            failed = re.fullmatch(how.errors, said.get(how.status.prometheus, "")) is not None
            if objective.concerns(dict(said)) and not (slow and failed):
                bad = value if failed or slow else 0.0
                found[_route(said, how)] = found.get(_route(said, how), Load()) + Load(value, bad)
        for said, value in self.within if slow else ():
            if objective.concerns(dict(said)) and _number(said.get(BUCKET_BOUND, "")) == objective.threshold:
                found[_route(said, how)] = found.get(_route(said, how), Load()) + Load(0.0, -value)
        whole = {route: Load(load.requests, max(0.0, load.bad)) for route, load in found.items()}
        return dict(sorted(whole.items(), key=lambda each: (-each[1].requests, each[0])))


def examples(catalogue: Catalogue) -> Mapping[str, str]:
    """Return each question with its name, as asked for a service `checkout` of either protocol.

    Registered as an entry point in the group `quarterdeck.queries`, for `quarterdeck contract check`.
    """
    del catalogue
    return {
        f"rollout-plan-{protocol}-{name}": text
        for protocol, how in (("http", sli.HTTP), ("rpc", sli.RPC))
        for name, text in questions("shop", "checkout", (0.25,), how).items()
    }


def questions(namespace: str, service: str, thresholds: Iterable[float], how: Served) -> dict[str, str]:
    """Return what is asked, by name.

    Args:
        namespace: the service's.
        service: its name in the catalogue.
        thresholds: seconds, bucket bounds.
        how: how its requests are measured.
    """
    bucket, _, count = series_names(how.duration)
    own = (
        f"{labels.NAMESPACE.prometheus}={json.dumps(namespace)},{labels.SERVICE.prometheus}={json.dumps(service)},"
        f"{labels.TRACK.prometheus}={json.dumps(kubernetes.TRACK_STABLE)}"
    )
    known = {label.prometheus for label in how.duration.labels}
    sorts = [each.prometheus for each in (labels.HTTP_METHOD, how.route, labels.MODULE) if each.prometheus in known]
    by, now, step = ", ".join(sorts), format_duration(NOW), format_duration(LEAST)
    within = f"{own},{how.status.prometheus}!~{json.dumps(how.errors)},{of_buckets(*thresholds)}"
    return {
        "ended": f"sum by ({by}, {how.status.prometheus}) (rate({count}{{{own}}}[{now}]))",
        "within": f"sum by ({by}, {BUCKET_BOUND}) (rate({bucket}{{{within}}}[{now}]))",
        _SCRAPED: f"time() - min(min_over_time(timestamp({prometheus_name(BUILD_INFO)}{{{own}}})[{now}:{step}]))",
        "peak": f"max_over_time(sum(rate({count}{{{own}}}[5m]))[{format_duration(PAST)}:5m])",
    }


def read(prometheus: Prometheus, asked: Mapping[str, str]) -> Traffic:
    """Return the answers to *asked*, all of `questions` or some; what is not asked is not known.

    Raises:
        AnswerError, UnreachableError: there is none.
        InconclusiveError: one may not be whole: what is foreseen from less traffic than there is, is wrong.
    """
    answers = {}
    for name, text in asked.items():
        try:
            answer = prometheus.query(text)
        except AnswerError:
            if name == _SCRAPED:  # Datadog cannot be asked that, and the rates are its own
                continue
            raise
        if answer.warnings:
            raise InconclusiveError(
                "a whole answer to what the traffic is",
                f"a warning that it may not be ({answer.warnings[0]})",
                "ask again in a minute; if it stays, see the log of whoever answers",
            )
        answers[name] = tuple(
            (series.labels, value)
            for series in answer.series
            for _, value in series.samples[-1:]
            if math.isfinite(value) and value >= 0
        )
    ended, within, known, peak = (answers.get(name, ()) for name in ("ended", "within", _SCRAPED, "peak"))
    # A rate over more time than it has been scraped takes the rest for time without requests.
    scraped = max((seconds for _, seconds in known), default=NOW.total_seconds())
    times = max(1.0, NOW.total_seconds() / max(scraped, LEAST.total_seconds()))
    ended, within = (tuple((said, times * value) for said, value in each) for each in (ended, within))
    return Traffic(ended, within, max((value for _, value in peak), default=0.0))


def _route(said: Mapping[str, str], how: Served) -> str:
    return f"{said.get(labels.HTTP_METHOD.prometheus, '')} {said.get(how.route.prometheus, '')}".strip()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
