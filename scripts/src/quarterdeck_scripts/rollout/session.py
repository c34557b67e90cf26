"""Puts the parts of one command together: plan, record, lock, hands, loop."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract import access
from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import APP_VERSION
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts import console
from quarterdeck_scripts.audit import AuditLog, actor_here, actor_of
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.kube.logs import PodLogs
from quarterdeck_scripts.kube.pace import Paced
from quarterdeck_scripts.kube.pods import label
from quarterdeck_scripts.kube.revisions import restart_of
from quarterdeck_scripts.notices.courier import Courier
from quarterdeck_scripts.ports import SystemClock
from quarterdeck_scripts.rollout.acting import pruning
from quarterdeck_scripts.rollout.acting.hands import Hands
from quarterdeck_scripts.rollout.acting.keeper import Keeper, keeping
from quarterdeck_scripts.rollout.acting.lock import LeaseLock
from quarterdeck_scripts.rollout.acting.run import Runner
from quarterdeck_scripts.rollout.acting.scene import Witness
from quarterdeck_scripts.rollout.acting.stop import StopRequest, listening
from quarterdeck_scripts.rollout.acting.told import Herald
from quarterdeck_scripts.rollout.acting.view import ServiceView
from quarterdeck_scripts.rollout.checks import preflight, write_back
from quarterdeck_scripts.rollout.foresight import warning
from quarterdeck_scripts.rollout.foresight.asking import setting, step_of
from quarterdeck_scripts.rollout.judge.criteria import Criteria, objectives_of
from quarterdeck_scripts.rollout.judge.provider import interval_of, provider_of
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.line.keeper import Line
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Baseline, State, Strategy
from quarterdeck_scripts.workspace import AUDIT, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.notices.ports import Listener
    from quarterdeck_scripts.ports import Clock, Prometheus
    from quarterdeck_scripts.rollout.checks.finding import Finding
    from quarterdeck_scripts.rollout.foresight.outlook import Setting
    from quarterdeck_scripts.rollout.judge.tape import Tape
    from quarterdeck_scripts.rollout.steps.actions import Flow, Outcome, Situation


@dataclass(frozen=True)
class Session:
    """One command on one service."""

    environment: Environment
    service: Service
    prometheus: Prometheus
    clock: Clock
    folder: Path
    """Where this machine keeps the environment's files."""
    actor: str
    """Who runs the command: a person and a machine."""
    listeners: tuple[Listener, ...] = ()
    """Who is told of what it does."""

    @classmethod
    def open(cls, environment: Environment, service: str) -> Session:
        """Prepare a command on the service called *service*.

        Raises:
            UsageError: the environment has no such service.
        """
        from quarterdeck_scripts.notices.opening import Opening  # noqa: PLC0415 -- the network

        known, clock = environment.service(service), SystemClock()
        session = cls(
            environment=environment,
            service=known,
            prometheus=provider_of(environment, known, os.environ, clock),
            clock=clock,
            folder=state_of(environment.name),
            actor=actor_here(),
        )
        hearing = Opening(environment, known, os.environ, clock, session.audit).hearing()
        for line in hearing.deaf:
            console.say(line)
        return replace(session, listeners=tuple(hearing.listeners))

    def letting_in(self, strategy: str | None, baseline: str | None) -> Session:
        """Return the same command with another strategy or baseline than the catalogue's; None leaves it."""
        asked = {"strategy": strategy, "baseline": baseline}
        rollout = self.service.rollout.model_copy(update={key: value for key, value in asked.items() if value})
        return replace(self, service=self.service.model_copy(update={"rollout": rollout}))

    @property
    def interval(self) -> float:
        """Seconds between two scrapes."""
        return interval_of(self.environment, self.service)

    @property
    def records(self) -> Path:
        """Where records go."""
        return self.folder / "rollouts"

    def view(self) -> ServiceView:
        """Return a way to look at the service."""
        cluster = self.environment.cluster
        return ServiceView(cluster, self.service.namespace, self.service.name, self.environment.cluster_uid)

    def lock(self) -> LeaseLock:
        """Return the service's lock, not yet taken."""
        cluster, service = self.environment.cluster, self.service
        holder = f"{self.actor} (pid {os.getpid()})"
        return LeaseLock(cluster, service.namespace, service.name, holder=holder, clock=self.clock)

    def plan(self, image: str, situation: Situation, forced: str = "", *, train: tuple[str, ...] = ()) -> flow.Plan:
        """Return the plan for *image*; image may be empty for abort and undo. *train*: see `State`."""
        began = datetime.fromtimestamp(self.clock.now(), UTC)
        version = workloads.version_of(image) if image else "none"
        rollout = self.service.rollout
        new = State(
            id=f"{self.service.name}-{version}-{began:%Y%m%dT%H%M%SZ}",
            cluster=self.environment.cluster_uid,
            image=image,
            origin=situation.stable_image,
            by=self.actor,
            began=began.isoformat(timespec="seconds"),
            strategy=Strategy(rollout.strategy),
            baseline=Baseline(rollout.baseline),
            weights=tuple(sorted(rollout.weights)),
        )
        if situation.state and situation.state.image == image:
            new = situation.state
        return flow.Plan(
            service=self.service.name,
            new=replace(new, train=train),
            replicas=situation.replicas if new.strategy is Strategy.BLUE_GREEN else rollout.canary_replicas,
            interval=self.interval,
            ready_within=rollout.ready_within.total_seconds(),
            max_wait=rollout.max_wait.total_seconds(),
            forced=forced,
            by=self.actor,
        )

    def guard(self, situation: Situation) -> flow.Plan:
        """Return the plan for an update that somebody else began, or for going on with one that is guarded.

        Raises:
            RefusedError: the cluster keeps no revision to go back to, or the versions cannot be told apart.
        """
        image = situation.state.image if situation.state else situation.stable_image
        plan = replace(self.plan(image, situation), guarding=True)
        if situation.state is not None or situation.stable_settled:
            return plan  # gone on with, or refused
        stable = self.view().stable()
        kept = self.view().replica_sets()
        before = workloads.previous_revision(stable, kept)
        if before is None:
            raise RefusedError(
                f"an earlier revision of {self.service.name}, to go back to",
                "none is kept by the cluster (revisionHistoryLimit)",
                "raise that limit before the next update; this one cannot be guarded",
            )
        version = label({"metadata": stable["spec"]["template"]["metadata"]}, APP_VERSION)
        if before.version == version or restart_of(stable, kept):
            raise RefusedError(
                f"new pods of {self.service.name} that are told from the old ones by their label {APP_VERSION}",
                f"an update or a restart within {version}",
                "update to an image with another tag; this update cannot be guarded",
            )
        origin = before.images[workloads.serving_container(stable)]
        new = replace(plan.new, origin=origin, strategy=Strategy.ROLLING, baseline=Baseline.STABLE)
        return replace(plan, new=new, replicas=self.service.rollout.canary_replicas)

    def check_routes(self, plan: flow.Plan, situation: Situation) -> None:
        """Make sure that there is something to weigh, where *plan* weighs, and that nobody else weighs it.

        Raises:
            RefusedError: no route leads to the service, or one leads to its canary's Service already.
        """
        if not plan.new.weights:
            return
        name, view = self.service.name, self.view()
        if not view.routes():
            raise RefusedError(f"an HTTPRoute that leads to {name}", "none", "make one, or leave the weights out")
        canary = workloads.canary_name(name)
        named = [] if situation.state else [route["metadata"]["name"] for route in view.routes(canary)]
        if named:
            raise RefusedError(
                f"no HTTPRoute that leads to {canary}, the Service that a rollout makes and removes",
                f"{', '.join(named)} does",
                "take it out of that route: a rule by headers may lead to a Service of your own",
            )

    def rights(self, plan: flow.Plan, situation: Situation) -> tuple[preflight.Right, ...]:
        """Return what this user must be allowed to do for *plan*, abort and undo included."""
        parts = {
            access.SWITCHING: plan.strategy is Strategy.BLUE_GREEN or situation.directed,
            access.OTHER_KINDS: situation.kind != workloads.KINDS[0],
            access.WEIGHING: bool(plan.new.weights) or situation.weighed,
        }
        return preflight.rights(self.service.namespace, [part for part, needed in parts.items() if needed])

    def let_in(self, plan: flow.Plan) -> Setting:
        """Return how *plan* lets its version in, beside the stable pods that there are."""
        stable = self.view().stable()
        pods = stable["spec"].get("replicas") or stable.get("status", {}).get("desiredNumberScheduled", 1)
        return setting(plan, pods)

    def findings(self, plan: flow.Plan) -> tuple[Finding, ...]:
        """Return what the rollout will meet: autoscalers, budgets, other owners, freezes, too little evidence."""
        stable = self.view().stable()
        beside = not plan.forced and plan.strategy is not Strategy.ROLLING
        canary = workloads.canary_of(stable, plan.image, plan.replicas) if beside else None
        switched = plan.strategy is Strategy.BLUE_GREEN
        met = preflight.look(self.environment.cluster, stable, canary, switched=switched)
        warned = () if plan.forced else warning.findings(self.service, self.prometheus, self.let_in(plan))
        return (*met, *self.line().findings(self.service.name), *warned)

    def line(self) -> Line:
        """Return what may be rolled out in the environment, now."""
        return Line(self.environment, self.clock)

    def note_override(self, findings: Iterable[Finding], reason: str) -> None:
        """Write down which *findings* a *reason* passes by, before anything is changed; nothing when there are none.

        Raises:
            RefusedError: the audit log cannot be written.
        """
        overridden = [str(finding) for finding in findings]
        if overridden:
            subject = f"Deployment {self.service.namespace}/{self.service.name}"
            with self.audit().change(action="rollout: override", subject=subject, before=overridden, why=reason):
                pass

    def write_back(self, image: str) -> str:
        """Return the change that makes the stack's files give the service *image*, or say that they do."""
        sources = write_back.read(Path.cwd(), self.environment.name, self.environment.facts.catalogue)
        return write_back.change(sources, self.service.name, image) or f"{sources.catalogue_name} has {image} already."

    def audit(self) -> AuditLog:
        """Return the cluster's audit log."""
        return AuditLog(self.environment.cluster, AUDIT, actor_of(self.environment.cluster))

    def record(self, plan: flow.Plan) -> RolloutRecord:
        """Return an empty record for *plan*."""
        criteria = Criteria(warm_up=self.service.rollout.warm_up.total_seconds())
        if plan.new.weights:
            # Each step is judged by itself: together they may abort a healthy canary as seldom as one would.
            criteria = replace(criteria, false_fail=criteria.false_fail / len(plan.new.weights))
        return RolloutRecord(
            id=plan.new.id,
            service=self.service.name,
            namespace=self.service.namespace,
            environment=self.environment.name,
            cluster=self.environment.cluster_uid,
            image=plan.image,
            origin=plan.new.origin,
            by=self.actor,
            began=self.clock.now(),
            interval=plan.interval,
            max_wait=plan.max_wait,
            criteria=criteria,
            objectives=objectives_of(self.service, criteria),
            forced=plan.forced,
            rpc=sli.served(self.service) is sli.RPC,
        )

    def keeper(self, record: RolloutRecord, *, folder: Path | None = None, tape: Tape | None = None) -> Keeper:
        """Return who keeps the evidence of *record*'s rollout, in *folder* or in one beside its record."""
        cluster = self.environment.cluster
        return Keeper(
            folder=folder or self.records / record.id,
            record=record,
            witness=Witness(
                cluster,
                cluster if isinstance(cluster, PodLogs) else None,
                self.clock,
                self.service.namespace,
                self.service.name,
            ),
            prometheus=self.prometheus,
            clock=self.clock,
            tape=tape,
        )

    def run(
        self, steps: Flow, record: RolloutRecord, *, take_over: bool = False, stop: StopRequest | None = None
    ) -> tuple[Outcome, int]:
        """Run a flow to its end; return how it ended and the exit code. *stop* is shared by flows that are one run."""
        cluster, stop = Paced(self.environment.cluster, self.clock.monotonic), stop or StopRequest()
        paced = replace(self, environment=replace(self.environment, cluster=cluster))
        # Evidence is read once or twice, and from logs too, which only the cluster itself has.
        lock, keeper, audit = paced.lock(), self.keeper(record), paced.audit()
        hands = Hands(
            cluster=cluster,
            prometheus=self.prometheus,
            audit=audit,
            lock=lock,
            clock=self.clock,
            stop=stop,
            record=record,
            keeper=keeper,
            take_over=take_over,
            held=lambda: paced.line().pause(self.service.name, record.id, record.passed),
            foreseen=lambda percent: warning.short(self.service, self.prometheus, step_of(record, percent)),
            rest=cluster.pause,
        )
        runner = Runner(
            hands=hands,
            record=record,
            folder=self.records,
            stop=stop,
            clock=self.clock,
            show=console.step,
            tell=lock.tell,
            begun=audit.go_on_without_copy,
        )
        courier = Courier(self.listeners)
        try:
            with listening(stop, console.say):
                outcome = runner.run(keeping(Herald(record, self.clock.now, courier.tell).follow(steps)))
        finally:
            for line in filter(
                None, [keeper.close(), runner.unsaved, _uncopied(audit), *courier.close(), *self._pruned()]
            ):
                console.say(line)
        return outcome, stop.exit_code(outcome)

    def _pruned(self) -> list[str]:
        """Take old evidence away; return what could not be, in lines for a person."""
        return pruning.prune(self.records, self.clock.now())


def _uncopied(audit: AuditLog) -> str:
    why = audit.uncopied
    return f"The audit log is whole in the cluster; its copy in {AUDIT} lacks the last entries: {why}" if why else ""
