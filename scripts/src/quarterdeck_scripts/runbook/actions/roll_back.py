"""`roll-back`: a service goes back to the version before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import APP_VERSION
from quarterdeck_scripts.kube.client import JSON_PATCH
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.kube.revisions import (
    Revision,
    previous_revision,
    revisions,
    rolled_back,
    without_restart,
)
from quarterdeck_scripts.kube.workloads import undo_patch
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
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json


class RollBack(Action[ServiceSeen]):
    """Bring back the version of a service that ran before the present one.

    ## When

    Errors or latency began with a new version. Look at the panel by version, or at
    `kubectl rollout history`, when in doubt.

    ## What it does

    It restores the whole pod template of the previous revision that the cluster keeps (image, environment,
    resources, probes, labels), and the version label of the Deployment. A restart in between is no revision to
    go back to. The change is one patch, tested against the template the plan was made for.

    ## What it cannot restore

    The content of ConfigMaps and Secrets, which templates name but do not hold; the plan lists them. Where the
    version came by `quarterdeck rollout`, `quarterdeck rollout undo SERVICE` restores its ConfigMaps, too. Data
    that the newer version wrote or migrated. `services.yaml` and the stack: their next deployment brings the newer
    version again, so change them too.

    ## When it is done

    Every pod asked for is of the restored template and Ready, and no pod of another version is left.

    ## Refused

    While a rollout of the service is under way: `quarterdeck rollout abort` is its way back. When the cluster
    keeps no earlier revision. When the Deployment is paused.

    ## After a run that died

    Run it again. A Deployment that was rolled back already stays on the version restored: the bad one does not
    come back, however often this is run. The next deployed version ends that.
    """

    target = Target.SERVICE
    usage = "roll-back --service SERVICE"

    def observe(self, cluster: Cluster, subject: Subject) -> ServiceSeen:
        """Read the Deployment and what belongs to it."""
        return observe_service(cluster, subject)

    def plan(self, seen: ServiceSeen, options: Options) -> Plan:
        """Restore the previous template, unless that was done already."""
        del options
        refuse_during_rollout(seen)
        refuse_paused(seen)
        before = _state(seen.deployment)
        done = rolled_back(seen.deployment, seen.replica_sets)
        if done:
            return Plan(
                f"the {seen.subject} was rolled back from {done.from_version} to {done.to_version} already: see that "
                "it serves",
                before=before,
                goal=_goal(without_restart(seen.deployment["spec"]["template"])),
            )
        previous = previous_revision(seen.deployment, seen.replica_sets)
        if previous is None:
            raise RefusedError(
                f"an earlier version of the {seen.subject} in the cluster",
                f"none but the present one, {_named(before)}",
                "deploy an earlier version with `quarterdeck rollout start`",
            )
        restore = undo_patch(seen.deployment, previous, seen.replica_sets)
        return Plan(
            f"roll the {seen.subject} back from {_named(before)} to {previous.version or ', '.join(previous.images)} "
            f"(revision {previous.number})",
            (*_age(seen, previous), *_not_restored(previous)),
            (Request("PATCH", seen.path, restore, JSON_PATCH, seen.subject),),
            (),
            before,
            _goal(without_restart(previous.template)),
        )

    def progress(self, plan: Plan, seen: ServiceSeen) -> Progress:
        """All pods are of the restored template and no other version serves."""
        template = without_restart(seen.deployment["spec"]["template"])
        if template != plan.goal["template"]:
            raise overturned(plan, seen, f"{_named(_state(seen.deployment))} was deployed meanwhile")
        wanted = plan.goal["version"]
        others = tuple(
            f"pod {pod['metadata']['name']} of version {_version(pod)} still serves"
            for pod in seen.pods
            if is_ready(pod) and _version(pod) != wanted
        )
        return Progress(
            (*others, *missing_of(seen)), {**_state(seen.deployment), "pods": str(seen.status)}, seen.failures
        )


def _goal(template: Json) -> Json:
    return {"template": template, "version": (template["metadata"].get("labels") or {}).get(APP_VERSION, "")}


def _version(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(APP_VERSION, ""))


def _state(deployment: Json) -> Json:
    template = deployment["spec"]["template"]
    return {
        "version": (template["metadata"].get("labels") or {}).get(APP_VERSION, ""),
        "images": [container["image"] for container in template["spec"]["containers"]],
    }


def _named(state: Json) -> str:
    return str(state["version"] or ", ".join(state["images"]))


def _age(seen: ServiceSeen, previous: Revision) -> Iterator[str]:
    made = {found["metadata"]["name"]: found["metadata"].get("creationTimestamp") for found in seen.replica_sets}
    yield f"it was first deployed at {made.get(previous.replica_set)}"
    kept = [f"{each.number}: {each.version}" for each in revisions(seen.deployment, seen.replica_sets)]
    yield f"revisions kept: {', '.join(kept)}"


def _not_restored(previous: Revision) -> Iterator[str]:
    named = sorted(set(_references(previous.template["spec"])))
    if named:
        yield f"NOT restored, only named by the template: the content of {', '.join(named)}"
    yield "NOT restored: data that the newer version wrote or migrated"
    yield "NOT changed: services.yaml and the stack; their next deployment brings the newer version again"


def _references(value: Any, key: str = "") -> Iterator[str]:
    """Yield the ConfigMaps and Secrets that a pod specification names."""
    if isinstance(value, list):
        for each in value:
            yield from _references(each, key)
    elif isinstance(value, dict):
        if key in {"configMapRef", "configMapKeyRef", "configMap"} and "name" in value:
            yield f"ConfigMap {value['name']}"
        elif key in {"secretRef", "secretKeyRef", "secret"} and ("name" in value or "secretName" in value):
            yield f"Secret {value.get('name') or value.get('secretName')}"
        for inner, each in value.items():
            yield from _references(each, inner)
