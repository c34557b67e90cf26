"""What a person reads before and after: the plan, what a dry run would change, how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.kube.differences import differences
from quarterdeck_scripts.rollout.judge import usual
from quarterdeck_scripts.rollout.judge.criteria import Bad
from quarterdeck_scripts.rollout.judge.explain import duration, number_of, percent
from quarterdeck_scripts.rollout.steps.actions import Outcome
from quarterdeck_scripts.rollout.steps.state import Baseline, Ending, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.checks.finding import Finding
    from quarterdeck_scripts.rollout.judge.criteria import Criteria, Objective
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.steps.flow import Plan


def plan(plan: Plan, environment: Environment, record: RolloutRecord, *, resumed: bool) -> str:
    """Return the plan in lines."""
    begun = f"go on with {plan.new.id}, begun {plan.new.began} by {plan.new.by}" if resumed else f"{plan.new.id}"
    lines = [
        f"Plan: {plan.service} from {plan.new.origin} to {plan.image} ({begun})",
        f"  cluster    {environment.cluster.server}, environment {environment.name} ({environment.cluster_uid})",
    ]
    if plan.forced:
        lines.append(f"  gate       passed by, no verdict: {plan.forced}")
    else:
        lines.append(f"  {plan.strategy:10} {_let_in(plan)}, Ready within {duration(plan.ready_within)}")
        lines += [f"  judged by  {_judged(objective, record.criteria)}" for objective in record.objectives]
        if usual.is_wanted(record.objectives):
            lines.append("  judged by  usual latency: requests over twice what nearly all took before the canary came")
        lines.append(f"  decides    at every scrape ({plan.interval:g} s), for at most {duration(plan.max_wait)}")
    then = "let the rest follow" if plan.strategy is Strategy.ROLLING else "replace the stable pods"
    lines.append(f"  then       promote: {then}; in any other case everything is put back")
    return "\n".join(lines)


def _let_in(plan: Plan) -> str:
    pods = number_of(plan.replicas, "pod")
    if plan.strategy is Strategy.ROLLING:
        return "hold the update where it is" if plan.guarding else f"{pods} first, and the update held there"
    if plan.strategy is Strategy.BLUE_GREEN:
        return f"{pods} beside the stable ones, to which the Service is switched; compared with what was before"
    fresh = f", and {pods} of {plan.new.origin} to compare with" if plan.new.baseline is Baseline.FRESH else ""
    return f"{pods} beside the stable ones{fresh}"


def findings(found: Iterable[Finding]) -> str:
    """Return what the preflight found, in lines; those that refuse first. Empty without any."""
    ordered = sorted(found, key=lambda finding: not finding.refuses)
    return "\n".join(f"  {'refuses' if each.refuses else 'mind':10} {each}" for each in ordered)


def outcome_of(service: str, outcome: Outcome) -> str:
    """Return how it ended, in a line."""
    return f"{service}: {outcome.ending}. {outcome.reason[:1].upper()}{outcome.reason[1:]}"


def ending(record: RolloutRecord, outcome: Outcome, file: Path) -> str:
    """Return how it ended, in lines; *file* has the record."""
    assessment = record.replay()
    judgements = assessment.judgements if assessment else ()
    # A verdict's reason is its judgements' own sentences: once is enough.
    told = any(judgement.explanation in outcome.reason for judgement in judgements)
    lines = [f"{record.service}: {outcome.ending}" if told else outcome_of(record.service, outcome)]
    lines += [f"  {judgement.verdict:12} {judgement.explanation}" for judgement in judgements]
    lines += [f"  {'mind':12} {assessment.unseen}"] if assessment and assessment.unseen else []
    where = f"its evidence is in {file.with_suffix('')}, its record is {file}"
    lines.append(f"  {duration(record.ended - record.began)} in all; {where}")
    return "\n".join(lines)


def endings(records: Sequence[tuple[RolloutRecord, Path]], outcome: Outcome, output: str) -> str:
    """Return how one rollout, or several together, ended, as the data of a command.

    Args:
        records: each with the file that has it.
        outcome: of all of them.
        output: `text` or `json`.
    """
    if output == "json":
        every = [record.to_json() for record, _ in records]
        return every[0] if len(every) == 1 else json.dumps([json.loads(each) for each in every], indent=1)
    if len(records) == 1:
        (record, file), *_ = records
        return ending(record, outcome, file)
    lines = [outcome_of("together", outcome)]
    return "\n".join(
        lines
        + [
            ending(record, Outcome(Ending(record.ending), record.reason), file)
            if record.ending
            else f"{record.service}: not begun"
            for record, file in records
        ]
    )


@dataclass(frozen=True, slots=True)
class Undo:
    """What an undo would do."""

    text: str
    already: bool
    """Whether the stable version stands at a roll-back already, so that nothing is done."""


def undo(stable: Json, replica_sets: Iterable[Json]) -> Undo:
    """Return what undoing *stable*'s last change would do.

    Raises:
        RefusedError: the cluster keeps no earlier revision.
    """
    replica_sets = list(replica_sets)
    name = stable["metadata"]["name"]
    mark = workloads.rolled_back(stable, replica_sets)
    if mark is not None:
        return Undo(f"{name} was rolled back already: from {mark.from_version} to {mark.to_version}.", already=True)
    previous = workloads.previous_revision(stable, replica_sets)
    if previous is None:
        raise RefusedError(f"an earlier revision of {name}", "none kept by the cluster", "deploy the wanted version")
    lines = [f"Plan: {name} back to revision {previous.number} ({', '.join(previous.images)}), the whole pod template:"]
    lines += [f"  {line}" for line in differences(stable["spec"]["template"], previous.template)]
    return Undo("\n".join(lines), already=False)


def _judged(objective: Objective, criteria: Criteria) -> str:
    bad = "failed requests (5xx)" if objective.bad is Bad.FAILED else f"requests over {objective.threshold or 0:g} s"
    return (
        f"{objective.name}: share of {bad}, at most {criteria.ratio:g} times stable's or "
        f"{percent(objective.floor)}, whichever is more"
    )
