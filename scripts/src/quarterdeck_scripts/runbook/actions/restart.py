"""`restart`: every pod of a service is replaced, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.kube.client import MERGE_PATCH
from quarterdeck_scripts.kube.revisions import RESTARTED_AT, restart_of
from quarterdeck_scripts.kube.workloads import restart_patch
from quarterdeck_scripts.runbook.model import Action, Options, Plan, Progress, Request, Subject, Target
from quarterdeck_scripts.runbook.service import (
    ServiceSeen,
    missing_of,
    observe_service,
    overturned,
    refuse_during_rollout,
    refuse_paused,
)

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json


class Restart(Action[ServiceSeen]):
    """Replace every pod of a service, a few at a time, without changing anything else.

    ## When

    A process is in a bad state that a fresh one would not be in: leaked memory, a deadlock, connections to
    something that moved. It does not help against a bad version (`roll-back`) or too much traffic (`scale`).

    ## What it does

    It notes the time on the Deployment's pod template, as `kubectl rollout restart` does; the Deployment's own
    strategy then decides how many pods go at once. With the strategy `Recreate` all go first: an outage, which
    the plan says.

    ## When it is done

    All pods asked for are new and Ready, and no old one is left. A new pod that crashes or cannot pull its
    image ends the wait early, with its name and the reason.

    ## Refused

    While a rollout of the service is under way; when the Deployment is paused or scaled to 0.

    ## After a run that died

    Run it again: a restart that is still under way is waited for, not begun anew.
    """

    target = Target.SERVICE
    usage = "restart --service SERVICE"

    def observe(self, cluster: Cluster, subject: Subject) -> ServiceSeen:
        """Read the Deployment and what belongs to it."""
        return observe_service(cluster, subject)

    def plan(self, seen: ServiceSeen, options: Options) -> Plan:
        """Note the time, unless a restart is under way."""
        refuse_during_rollout(seen)
        refuse_paused(seen)
        count = seen.deployment["spec"].get("replicas", 1)
        if not count:
            raise RefusedError(
                f"pods of the {seen.subject} to restart", "it is scaled to 0", "use the action `scale` to bring it back"
            )
        before = {"restartedAt": _restarted_at(seen.deployment)}
        begun = restart_of(seen.deployment, seen.replica_sets)
        if begun and not seen.status.done:
            return Plan(
                f"go on with the restart of the {seen.subject} begun at {begun}",
                before=before,
                goal={"restartedAt": begun},
            )
        patch = restart_patch(options.now)
        patch["metadata"] = {"uid": seen.deployment["metadata"]["uid"]}
        return Plan(
            f"restart the {seen.subject}: {count} pods",
            (_strategy(seen.deployment),),
            (Request("PATCH", seen.path, patch, MERGE_PATCH, seen.subject),),
            (),
            before,
            {"restartedAt": patch["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]},
        )

    def progress(self, plan: Plan, seen: ServiceSeen) -> Progress:
        """All pods are of the template that has the time on it."""
        now = {"restartedAt": _restarted_at(seen.deployment)}
        if now != plan.goal:
            raise overturned(plan, seen, f"another template was deployed meanwhile (restarted at {now['restartedAt']})")
        return Progress(missing_of(seen), {**now, "pods": str(seen.status)}, seen.failures)


def _restarted_at(deployment: Json) -> str | None:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    found = annotations.get(RESTARTED_AT)
    return str(found) if found else None


def _strategy(deployment: Json) -> str:
    strategy = deployment["spec"].get("strategy") or {"type": "RollingUpdate"}
    if strategy["type"] == "Recreate":
        return "strategy Recreate: ALL pods end before the first new one starts, so it is down meanwhile"
    limits = strategy.get("rollingUpdate") or {}
    stated = ", ".join(f"{key} {value}" for key, value in sorted(limits.items())) or "its defaults"
    return f"strategy {strategy['type']} ({stated})"
