"""What a rollout could show, and what it could cost, objective by objective. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.rollout.foresight.power import Power, Rates
from quarterdeck_scripts.rollout.foresight.traffic import Load
from quarterdeck_scripts.rollout.steps.state import Baseline, Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_dashboards.slo.sli import Served
    from quarterdeck_scripts.rollout.foresight.traffic import Traffic
    from quarterdeck_scripts.rollout.judge.criteria import Criteria, Objective

TIMES = (2.0, 5.0)
"""How many times as bad as stable, beside a total failure, a canary is imagined."""

PUT_BACK = 15.0
"""Seconds from a FAIL to the last request of the canary: one look, the change, and the pods' way out of the Service."""

ALL = 1.0
"""Share of bad requests of a canary that fails completely."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How the new version would be let in."""

    service: str
    strategy: Strategy
    baseline: Baseline
    canary_pods: int
    stable_pods: int
    interval: float
    """Seconds between two scrapes."""
    max_wait: float
    """Seconds of judging allowed."""
    percent: int | None = None
    """Of the requests, as routes send them to the new version; None where every pod gets as many."""

    @property
    def weight(self) -> float:
        """Share of the requests that the new version gets, 0 to 1."""
        if self.percent is not None:
            return self.percent / 100
        if self.strategy is Strategy.BLUE_GREEN:
            return 1.0
        if self.strategy is Strategy.ROLLING:
            return min(1.0, self.canary_pods / self.stable_pods)
        beside = self.stable_pods + (self.canary_pods if self.baseline is Baseline.FRESH else 0)
        return self.canary_pods / (self.canary_pods + beside)

    def rates(self, load: Load) -> Rates:
        """Return what the canary gets of *load*, and what it is compared with."""
        canary = load.requests * self.weight
        if self.strategy is Strategy.BLUE_GREEN:  # with what the stable pods did before
            return Rates(canary, load.requests, load.share)
        fresh = self.baseline is Baseline.FRESH and self.strategy is Strategy.CANARY
        return Rates(canary, canary if fresh else load.requests - canary, load.share)


@dataclass(frozen=True, slots=True)
class Budget:
    """An SLO's error budget, in minutes in which every request fails."""

    whole: float
    left: float | None
    """None when nobody knows."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A canary that is worse, how soon it is known, and what it costs."""

    share: float
    """Of its requests that are bad, 0 to 1."""
    seconds: float | None
    """Until it fails; None: not in the time given."""
    minutes: float
    """Of the error budget that it costs until everything is put back: weight x share x time."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """One objective of a rollout that has not begun."""

    objective: Objective
    rates: Rates
    passes: float | None
    """Seconds until a canary that does as the stable version does passes; None: not within a day."""
    least: float | None
    """Least share of bad requests that fails a canary in the time given; None: not even all."""
    damages: tuple[Damage, ...]
    routes: int
    """Routes with traffic."""
    blind: tuple[str, ...]
    """Those of them on which even a total failure would not be shown in the time given."""
    budget: Budget | None
    """None where nothing is promised."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a rollout could show, and what it could cost."""

    setting: Setting
    weight: float
    rate: float
    """All requests a second, now."""
    peak: float
    """The most of the last week; 0 when nobody knows."""
    prospects: tuple[Prospect, ...]
    pods_needed: int | None
    """Canary pods with which a healthy canary would pass in the time given; None: no number would do, or it does."""

    @property
    def conclusive(self) -> bool:
        """Whether a healthy canary passes in the time given."""
        return _passes_in_time(self.prospects, self.setting.max_wait)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "conclusive": self.conclusive}


def foresee(
    setting: Setting,
    criteria: Criteria,
    objectives: tuple[Objective, ...],
    *,
    traffic: Traffic,
    how: Served,
    budgets: Mapping[str, Budget],
) -> Outlook:
    """Return the outlook of a rollout.

    Args:
        setting: how the new version would be let in.
        criteria: of the verdict.
        objectives: what it would be judged by.
        traffic: as it is now.
        how: how the service's requests are measured.
        budgets: by the objective's name, of those that are promised.
    """
    loads = {objective.name: traffic.load(objective, how) for objective in objectives}
    tests = tuple(Power(objective, criteria, setting.interval, len(objectives)) for objective in objectives)

    def prospects(with_setting: Setting) -> tuple[Prospect, ...]:
        return tuple(
            _prospect(with_setting, test, loads[test.objective.name], budgets.get(test.objective.name))
            for test in tests
        )

    found = prospects(setting)
    needed = None
    by_pods = setting.strategy is not Strategy.BLUE_GREEN and setting.percent is None
    if by_pods and not _passes_in_time(found, setting.max_wait):
        needed = _pods_needed(setting, tests, loads)
    return Outlook(setting, setting.weight, traffic.rate, traffic.peak, found, needed)


def _pods_needed(setting: Setting, tests: tuple[Power, ...], loads: Mapping[str, Mapping[str, Load]]) -> int | None:
    for pods in range(setting.canary_pods + 1, setting.stable_pods + 1):
        larger = replace(setting, canary_pods=pods)
        times = (test.seconds_to_pass(larger.rates(_whole(loads[test.objective.name]))) for test in tests)
        if all(took is not None and took <= setting.max_wait for took in times):
            return pods
    return None


def _prospect(setting: Setting, test: Power, loads: Mapping[str, Load], budget: Budget | None) -> Prospect:
    rates = setting.rates(_whole(loads))
    within, base = setting.max_wait, max(rates.share, test.objective.floor)
    shares = [*(times * base for times in TIMES if times * base < ALL), ALL]
    served = {route: load for route, load in loads.items() if load.requests}
    blind = [
        route
        for route, load in served.items()
        if len(served) > 1 and not _in_time(test.seconds_to_fail(setting.rates(load), ALL, of_route=True), within)
    ]
    return Prospect(
        objective=test.objective,
        rates=rates,
        passes=test.seconds_to_pass(rates),
        least=test.least_shown(rates, within),
        damages=tuple(_damage(setting, test, rates, share) for share in shares),
        routes=len(served),
        blind=tuple(blind),
        budget=budget,
    )


def _damage(setting: Setting, test: Power, rates: Rates, share: float) -> Damage:
    took = test.seconds_to_fail(rates, share)
    shown = took if _in_time(took, setting.max_wait) else None
    lasting = (setting.max_wait if shown is None else shown) + PUT_BACK
    return Damage(share, shown, setting.weight * share * lasting / 60)


def _whole(loads: Mapping[str, Load]) -> Load:
    return sum(loads.values(), Load())


def _in_time(took: float | None, within: float) -> bool:
    return took is not None and took <= within


def _passes_in_time(prospects: tuple[Prospect, ...], within: float) -> bool:
    return bool(prospects) and all(_in_time(prospect.passes, within) for prospect in prospects)
