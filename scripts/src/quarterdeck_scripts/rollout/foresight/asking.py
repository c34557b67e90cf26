"""Puts an outlook together: what the cluster has, what Prometheus counts, what is left of the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import InconclusiveError, QuarterdeckError, UsageError
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.rollout.foresight import traffic
from quarterdeck_scripts.rollout.foresight.outlook import Budget, Outlook, Setting, foresee
from quarterdeck_scripts.rollout.judge import queries, usual
from quarterdeck_scripts.rollout.judge.criteria import Criteria, objectives_of
from quarterdeck_scripts.rollout.steps.state import Baseline, Strategy
from quarterdeck_scripts.slo import questions

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_scripts.ports import Prometheus
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.steps.flow import Plan


def setting(plan: Plan, stable_pods: int, canary_pods: int | None = None) -> Setting:
    """Return how *plan* lets a new version in beside *stable_pods*, or with another number of *canary_pods*."""
    return Setting(
        service=plan.service,
        strategy=plan.strategy,
        baseline=plan.new.baseline,
        canary_pods=canary_pods or plan.replicas,
        stable_pods=stable_pods,
        interval=plan.interval,
        max_wait=plan.max_wait,
        percent=plan.new.weights[0] if plan.new.weights else None,
    )


def step_of(record: RolloutRecord, percent: int) -> Setting:
    """Return how the rollout of *record* lets its version in at a step with *percent* of what its routes send."""
    named = (record.service, Strategy.CANARY, Baseline.STABLE)
    return Setting(*named, 1, 1, interval=record.interval, max_wait=record.max_wait, percent=percent)


def outlook(service: Service, prometheus: Prometheus, how_let_in: Setting) -> Outlook:
    """Return what a rollout of *service*, let in like that, could show, and what it could cost.

    Raises:
        UsageError: nobody sends requests to it.
        InconclusiveError: Prometheus counts no requests of it.
        AnswerError, UnreachableError: Prometheus does not answer.
    """
    if not service.serves:
        raise UsageError(
            f"a service that requests are sent to, for {service.name}'s verdicts are made of them",
            f"one of {service.framework}",
            "watch its objectives with `quarterdeck slo report`, and promote it with --force REASON",
        )
    criteria, how = Criteria(warm_up=service.rollout.warm_up.total_seconds()), sli.served(service)
    objectives = objectives_of(service, criteria)
    if usual.is_wanted(objectives):
        text = queries.durations(service.namespace, service.name, usual.WINDOW, how)
        found = usual.objective(prometheus.query(text), criteria)
        objectives += (found,) if found else ()
    thresholds = [objective.threshold for objective in objectives if objective.threshold is not None]
    asked = traffic.questions(service.namespace, service.name, thresholds, how)
    now = traffic.read(prometheus, asked)
    if not now.rate:
        raise InconclusiveError(
            f"requests to the stable pods of {service.namespace}/{service.name} in the last hour",
            "none in Prometheus",
            "send it traffic, or see whether it is scraped: a rollout would end without a verdict",
        )
    budgets = {slo.name: _budget(service, slo, prometheus) for slo in service.slos}
    return foresee(how_let_in, criteria, objectives, traffic=now, how=how, budgets=budgets)


def counted_at_peak(service: Service, prometheus: Prometheus, let_in: Setting) -> float:
    """Return how many requests a second a verdict would count, of both sides, at the last week's peak.

    0 where nobody knows.
    """
    asked = traffic.questions(service.namespace, service.name, (), sli.served(service))["peak"]
    try:
        rates = let_in.rates(traffic.Load(traffic.read(prometheus, {"peak": asked}).peak))
    except QuarterdeckError:
        return 0.0
    return rates.canary + rates.baseline


def _budget(service: Service, slo: Slo, prometheus: Prometheus) -> Budget:
    whole = (100 - slo.objective) / 100 * slo.window.total_seconds() / 60
    try:
        answer = prometheus.query(questions.of(service, slo).numbers["remaining"])
    except QuarterdeckError:
        return Budget(whole, None)
    shares = [value for series in answer.series for _, value in series.samples[-1:] if value <= 1]
    return Budget(whole, shares[0] * whole if len(shares) == 1 else None)
