"""What every change of a cluster has in common: made as us, under the lock, and audited before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.kube.client import JSON_PATCH, ApiError, Json, path

if TYPE_CHECKING:
    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.rollout.acting.lock import LeaseLock
    from quarterdeck_scripts.rollout.acting.view import ServiceView
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

FIELD_MANAGER = "quarterdeck-rollout"
"""Who, in `managedFields`, changed what a rollout changed."""

_AS_US = {"fieldManager": FIELD_MANAGER}

_NOT_FOUND = 404


class Writer:
    """Changes one service's objects, one request each."""

    def __init__(
        self, cluster: Cluster, audit: AuditLog, lock: LeaseLock, view: ServiceView, record: RolloutRecord
    ) -> None:
        """*record* says which service, and why things are done."""
        self._cluster = cluster
        self._audit = audit
        self._lock = lock
        self._view = view
        self._record = record

    def _patch(self, found: Json, body: Json | list[Json], content_type: str = JSON_PATCH) -> None:
        self._cluster.request("PATCH", self._path(found), query=_AS_US, body=body, content_type=content_type)

    def _create(self, wanted: Json) -> None:
        self._cluster.request("POST", path(wanted["kind"], self._record.namespace), query=_AS_US, body=wanted)

    def _delete(self, found: Json, **options: object) -> None:
        """Delete *found*; gone already is gone."""
        try:
            self._cluster.request("DELETE", self._path(found), body=options or None)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    def _change(self, action: str, found: Json, before: object, why: str) -> Any:
        """Return the audit log's context of a change of *found*, about to be made."""
        subject = f"{found['kind']} {self._record.namespace}/{found['metadata']['name']}"
        return self._audit.change(action=f"rollout: {action}", subject=subject, before=before, why=why)

    def _path(self, found: Json) -> str:
        return path(found["kind"], self._record.namespace, found["metadata"]["name"])
