"""What has to be true before a rollout changes anything, abort's needs included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract import VERSION
from quarterdeck_contract.errors import InconclusiveError, QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.labels import CONTRACT_VERSION
from quarterdeck_scripts.kube.client import RESOURCES, path
from quarterdeck_scripts.rollout import queries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.rollout.ports import Prometheus


@dataclass(frozen=True, slots=True)
class Right:
    """Something a rollout must be allowed to do."""

    verb: str
    kind: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {RESOURCES[self.kind][1]} in {self.namespace}"


def rights(namespace: str) -> tuple[Right, ...]:
    """Return every right that start, abort and undo need for a service in *namespace*. No Secrets, no wildcards."""
    needed = {
        "Deployment": ("get", "create", "patch", "delete"),
        "ReplicaSet": ("list",),
        "Pod": ("list",),
        "Lease": ("get", "create", "update"),
    }
    ours = tuple(Right(verb, kind, namespace) for kind, verbs in needed.items() for verb in verbs)
    audit = tuple(Right(verb, "ConfigMap", SYSTEM_NAMESPACE) for verb in ("get", "create", "patch"))
    return (*ours, *audit)


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
            "ask for a Role with these verbs; nothing was changed",
        )


def _allowed(cluster: Cluster, right: Right) -> bool:
    version, resource = RESOURCES[right.kind]
    attributes = {
        "verb": right.verb,
        "group": version.rpartition("/")[0],
        "resource": resource,
        "namespace": right.namespace,
    }
    review = {
        "apiVersion": RESOURCES["SelfSubjectAccessReview"][0],
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = cluster.request("POST", path("SelfSubjectAccessReview"), body=review)
    return bool(answer.get("status", {}).get("allowed"))


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
