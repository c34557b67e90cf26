"""From what should be there to a plan, and from a plan to what was done: what every such command shares."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts import console
from quarterdeck_scripts.audit import AuditLog, Change, actor_of
from quarterdeck_scripts.publish import text
from quarterdeck_scripts.publish.apply import Outcome, apply
from quarterdeck_scripts.publish.plan import make, missing
from quarterdeck_scripts.workspace import AUDIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.resource import Resource
    from quarterdeck_scripts.publish.plan import Plan
    from quarterdeck_scripts.publish.ports import Store


@dataclass(frozen=True)
class Publication:
    """What should be in one place, and whom to tell."""

    where: str
    """`Datadog at datadoghq.com, environment prod`."""
    store: Store
    wanted: tuple[Resource, ...] = ()
    left_out: tuple[str, ...] = ()
    """What cannot be there as the catalogue has it, each with its reason."""
    kept: frozenset[str] = frozenset()
    """Kinds that are not deleted for not being wanted."""
    output: str = "text"
    """Form of the data on stdout: `text` or `json`."""

    def plan(self) -> Plan:
        """Look what is there, and decide. Changes nothing."""
        found = self.store.found()
        others = {resource.key: self.store.others(resource) for resource in missing(self.wanted, found)}
        return make(self.wanted, found, others, kept=self.kept)

    def show(self, plan: Plan, *, as_data: bool) -> None:
        """Say what *plan* is; *as_data* for whoever asked for no more than that."""
        say = console.emit if as_data and self.output == "text" else console.say
        for line in text.lines(plan, self.left_out):
            say(line)
        console.say(f"{self.where}: {text.summary(plan)}.")
        if as_data and self.output == "json":
            console.emit_json({"where": self.where, **text.to_json(plan, self.left_out)})

    def carry_out(self, plan: Plan, audit: AuditLog | None, action: str, tell: Callable[[str], None]) -> None:
        """Do what *plan* says, written down before and after, and say what became of it.

        Raises:
            RefusedError: the audit log cannot be written; nothing was changed.
            QuarterdeckError: some of it could not be done.
        """
        outcome = Outcome()
        try:
            if plan.changes:
                with self._written_down(plan, audit, action) as change:
                    try:
                        apply(plan, self.store, outcome, tell)
                    finally:
                        change.after = [f"{step.act.value} {step.resource.key}" for step in outcome.done]
                    self._require_done(outcome)
        finally:
            for line in text.report(outcome):
                console.say(line)
            if self.output == "json":
                console.emit_json({"where": self.where, **text.to_json(plan, self.left_out, outcome)})
        console.say(f"{self.where}: {len(outcome.done)} changed.")
        if plan.left:
            raise QuarterdeckError(
                f"nothing else to have the names of ours in {self.where}",
                "; ".join(f"{step.resource.kind} {step.resource.name}: {step.why}" for step in plan.left),
                "rename or delete what has the name, and run it again; the rest is done",
            )

    def _written_down(self, plan: Plan, audit: AuditLog | None, action: str) -> Any:
        if audit is None:
            return nullcontext(Change(id=""))
        return audit.change(action=action, subject=self.where, before=text.to_json(plan)["steps"], why="")

    def _require_done(self, outcome: Outcome) -> None:
        undone = len(outcome.failed) + len(outcome.untried)
        if undone:
            raise QuarterdeckError(
                f"every change in {self.where} to be made",
                f"{len(outcome.done)} made and {undone} not, as said above",
                "mend what is said and run it again: it goes on from what was done",
            )


def agree_and_carry_out(
    wanted: Publication, action: str, env: str, context: str | None, *, yes: bool, unaudited: bool
) -> None:
    """Show the plan, ask, and do it: what every changing command does with its options.

    Args:
        wanted: what should be where.
        action: as the audit log has it.
        env: whose cluster keeps the audit log.
        context: of the kubeconfig, when it is not the environment's own.
        yes: do not ask.
        unaudited: write no audit entry.
    """
    plan = wanted.plan()
    wanted.show(plan, as_data=False)
    audit = None
    if plan.changes:
        console.confirm("Go ahead?", yes=yes)
        audit = None if unaudited else audit_of(env, context)
    with console.step(action) as step:
        wanted.carry_out(plan, audit, action, step.update)
        step.update("")  # what was done last is not what is done


def audit_of(env: str, context: str | None) -> AuditLog:
    """Return the audit log of the environment *env*, in its cluster.

    Raises:
        RefusedError: its cluster cannot be reached.
    """
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- the client costs 260 ms

    try:
        cluster = open_environment(env, context).cluster
        return AuditLog(cluster, AUDIT, actor_of(cluster))
    except QuarterdeckError as error:
        raise RefusedError(
            f"the audit log in the cluster of {env}: {error.expected}",
            error.found,
            f"{error.next_step}; or change what is planned without an entry, by --unaudited",
        ) from error
