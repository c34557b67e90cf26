"""`scale`: a service gets another number of pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_scripts.kube.client import JSON_PATCH
from quarterdeck_scripts.runbook.model import Action, Options, Plan, Progress, Request, Subject, Target
from quarterdeck_scripts.runbook.service import (
    ServiceSeen,
    missing_of,
    observe_service,
    overturned,
    refuse_during_rollout,
)

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster


class Scale(Action[ServiceSeen]):
    """Give a service another number of pods.

    ## When

    It is saturated: latency and queues grow with traffic, and its pods are healthy. More pods do not help when
    what it waits for (a database, another service) is the bottleneck, and make that worse.

    ## What it does

    It sets `spec.replicas` of the Deployment. The next deployment of the stack sets what the catalogue says:
    write a lasting change into `services.yaml`.

    ## When it is done

    As many pods as asked for are there and Ready, and no more.

    ## Refused

    While a rollout of the service is under way. When a HorizontalPodAutoscaler (also KEDA's) sets the number:
    it would undo this within seconds, so change its bounds instead. To 0, which is an outage, unless `--force`
    is given.
    """

    target = Target.SERVICE
    usage = "scale --service SERVICE --replicas N"

    def observe(self, cluster: Cluster, subject: Subject) -> ServiceSeen:
        """Read the Deployment and what belongs to it."""
        return observe_service(cluster, subject)

    def plan(self, seen: ServiceSeen, options: Options) -> Plan:
        """Set the number, if it is another."""
        wanted, present = options.replicas, seen.deployment["spec"].get("replicas", 1)
        if wanted is None:
            raise UsageError("how many pods are wanted", "no --replicas", f"give --replicas N; it has {present} now")
        refuse_during_rollout(seen)
        for autoscaler in seen.autoscalers:
            bounds = f"{autoscaler['spec'].get('minReplicas', 1)} to {autoscaler['spec']['maxReplicas']}"
            name = autoscaler["metadata"]["name"]
            raise RefusedError(
                f"nobody else to set the number of pods of the {seen.subject}",
                f"the HorizontalPodAutoscaler {name} does ({bounds} pods); it would undo this at once",
                f"change the bounds of {name} where it is defined",
            )
        if wanted == 0 and not options.force:
            raise RefusedError(
                f"at least one pod of the {seen.subject}",
                "--replicas 0, which takes it down",
                "add --force if so meant",
            )
        before, goal = {"replicas": present}, {"replicas": wanted}
        if wanted == present:
            return Plan(f"see that the {seen.subject} has its {present} pods", before=before, goal=goal)
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": seen.deployment["metadata"]["uid"]},
            {"op": "test", "path": "/spec/replicas", "value": present},
            {"op": "replace", "path": "/spec/replicas", "value": wanted},
        ]
        return Plan(
            f"scale the {seen.subject} from {present} to {wanted} pods",
            ("the next deployment of the stack sets what services.yaml says",),
            (Request("PATCH", seen.path, patch, JSON_PATCH, seen.subject),),
            (),
            before,
            goal,
        )

    def progress(self, plan: Plan, seen: ServiceSeen) -> Progress:
        """As many pods as asked for are Ready, and no other is left."""
        now = {"replicas": seen.deployment["spec"].get("replicas", 1)}
        if now != plan.goal:
            raise overturned(plan, seen, f"somebody set {now['replicas']} pods meanwhile")
        return Progress(missing_of(seen), {**now, "pods": str(seen.status)}, seen.failures)
