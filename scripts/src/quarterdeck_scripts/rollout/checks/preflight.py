"""What has to be true before a rollout changes anything, abort's needs included."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import VERSION, access
from quarterdeck_contract.errors import InconclusiveError, QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.labels import CONTRACT_VERSION
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.kube.client import JSON_PATCH, RESOURCES, ApiError, list_all, path
from quarterdeck_scripts.kube.ownership import Owner, owners
from quarterdeck_scripts.rollout.checks import budgets, scalers
from quarterdeck_scripts.rollout.checks.finding import Finding
from quarterdeck_scripts.rollout.judge import queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.ports import Prometheus

_BAD_REQUEST, _NOT_FOUND = 400, 404


@dataclass(frozen=True, slots=True)
class Right:
    """Something a rollout must be allowed to do."""

    verb: str
    group: str
    """API group; empty is the core group."""
    resource: str
    """Plural, with its subresource."""
    namespace: str
    name: str = ""
    """Of the one object it is about; empty is any."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} in {self.namespace}"


def rights(namespace: str, parts: Iterable[str] = ()) -> tuple[Right, ...]:
    """Return every right that a rollout of a service in *namespace* needs, abort and undo included.

    Args:
        namespace: the service's.
        parts: of `quarterdeck_contract.access` that it needs besides what every rollout does.
    """
    wanted = {access.ALWAYS, *parts}
    return tuple(
        Right(verb, rule.group, rule.resource, where, name)
        for where in (namespace, SYSTEM_NAMESPACE, access.IDENTITY_NAMESPACE)
        for rule in access.rules(where)
        if rule.part in wanted
        for verb in rule.verbs
        for name in rule.names or ("",)
    )


def require_rights(cluster: Cluster, needed: Iterable[Right]) -> None:
    """Ask the API server whether this user may do all that is *needed*.

    Raises:
        RefusedError: some of it is not allowed; all of it is named.
    """
    missing = [right for right in needed if not _allowed(cluster, right)]
    if missing:
        raise RefusedError(
            "the rights that a rollout and its abort need",
            f"not allowed to {'; '.join(map(str, missing))}",
            f"ask for the Role {access.ROLE}, which has these verbs; nothing was changed",
        )


def _allowed(cluster: Cluster, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    review = {
        "apiVersion": RESOURCES["SelfSubjectAccessReview"][0],
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = cluster.request("POST", path("SelfSubjectAccessReview"), body=review)
    return bool(answer.get("status", {}).get("allowed"))


def require_image(cluster: Cluster, stable: Json, image: str) -> None:
    """Require that the API server would store *image* as the version of *stable*, by a dry run.

    A policy that writes a mirror's address into every image would have the rollout look for a version that is nowhere.

    Raises:
        RefusedError: it would store another one.
        ApiError: it would not store it at all.
    """
    metadata = stable["metadata"]
    where = path(stable["kind"], metadata["namespace"], metadata["name"])
    patch = workloads.promote_patch(stable, image)
    try:
        stored = cluster.request("PATCH", where, query={"dryRun": "All"}, body=patch, content_type=JSON_PATCH)
    except ApiError as error:
        if error.status == _BAD_REQUEST:  # a webhook that supports no dry runs
            return
        raise
    found = workloads.serving_image(stored)
    if found != image:
        raise RefusedError(
            f"{metadata['name']} to get the image {image}",
            f"a policy of the cluster that makes it {found}",
            f"start with --image {found}; nothing was changed",
        )


def look(cluster: Cluster, target: Json, canary: Json | None, *, switched: bool = False) -> tuple[Finding, ...]:
    """Return what autoscalers, disruption budgets and owners mean for a rollout of the workload *target*.

    Args:
        cluster: where it is.
        target: the workload that is rolled out, as it is now.
        canary: the workload that the new version would be run by beside it; None when there is none.
        switched: whether all requests go to that one at once.
    """
    namespace = target["metadata"]["namespace"]
    scaling = scalers.scalers_of(
        list_all(cluster, path("HorizontalPodAutoscaler", namespace)), _scaled_objects(cluster, namespace)
    )
    labels = canary["spec"]["template"]["metadata"]["labels"] if canary else {}
    return (
        *scalers.findings(
            target,
            canary=canary["spec"]["replicas"] if canary else 0,
            canary_name=canary["metadata"]["name"] if canary else workloads.canary_name(target["metadata"]["name"]),
            canary_labels=labels,
            scalers=scaling,
            switched=switched,
        ),
        *budgets.findings(target, labels, list_all(cluster, path("PodDisruptionBudget", namespace))),
        *(_owned(target["metadata"]["name"], owner) for owner in owners(target)),
    )


def _scaled_objects(cluster: Cluster, namespace: str) -> Iterator[Json]:
    """Yield KEDA's ScaledObjects; none where the cluster does not know the kind."""
    try:
        yield from list_all(cluster, f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects")
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise


def _owned(name: str, owner: Owner) -> Finding:
    when = "within minutes" if owner.tool.reverts else "or report a conflict, when it is run next"
    found = f"{owner.tool.name} describes {name} ({owner.sign}) and will put its old image back, {when}"
    return Finding("owner", found, owner.tool.advice, refuses=owner.tool.reverts)


def require_measurable(prometheus: Prometheus, namespace: str, service: str, interval: float) -> None:
    """Make sure that a verdict can come at all: Prometheus answers, and knows the service by our contract.

    Raises:
        InconclusiveError: it does not answer, or has no series of the service.
        RefusedError: the service speaks another version of the contract.
    """
    advice = "mend that, or pass the gate by with --force REASON"
    try:
        answer = prometheus.query(queries.scrapes(namespace, service, max(60.0, 5 * interval)))
    except QuarterdeckError as error:
        raise InconclusiveError("Prometheus to answer, or there can be no verdict", error.found, advice) from error
    if not answer.series:
        raise InconclusiveError(
            f"series of {namespace}/{service} in Prometheus, or there can be no verdict", "none", advice
        )
    spoken = {series.labels.get(CONTRACT_VERSION.prometheus, "") for series in answer.series}
    if spoken != {VERSION}:
        raise RefusedError(
            f"{service} to speak version {VERSION} of the telemetry contract",
            f"version {', '.join(sorted(spoken))}",
            "install the Quarterdeck release whose contract the service was built with, or rebuild the service",
        )


def bind_cluster(folder: Path, environment: str, uid: str) -> None:
    """Remember which cluster an environment's name means here, and refuse another.

    Args:
        folder: where the environment keeps its files on this machine.
        environment: its name.
        uid: of the cluster that the context leads to now.

    Raises:
        RefusedError: the name meant another cluster before.
    """
    file = folder / "cluster-uid"
    if not file.exists():
        # Where nothing can be written, nothing can be changed either: the audit log sees to that. An abort it lets go.
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(uid + "\n", encoding="ascii")
        return
    known = file.read_text(encoding="ascii").strip()
    if known != uid:
        raise RefusedError(
            f"the environment {environment} to be the cluster {known}, as before",
            f"the context leads to the cluster {uid}",
            f"correct the context; if the cluster was really replaced, remove {file}",
        )
