"""What every change of a cluster has in common: made as us, under the lock, and audited before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, ApiError, Json, path
from quarterdeck_scripts.kube.patches import pointer

if TYPE_CHECKING:
    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.rollout.acting.lock import LeaseLock
    from quarterdeck_scripts.rollout.acting.view import ServiceView
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

FIELD_MANAGER = "quarterdeck-rollout"
"""Who, in `managedFields`, changed what a rollout changed."""

_AS_US = {"fieldManager": FIELD_MANAGER}

_NOT_FOUND, _CONFLICT, _UNFIT = 404, 409, 422


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

    def _patch(self, found: Json, body: Json | list[Json]) -> Json:
        """Change *found*, and nothing that was written since; a list is a JSON patch, anything else a merge patch.

        *found* was read before the lock was seen to be held. Whoever takes it over and writes since is not overwritten:
        that is a conflict, and with the next try the lock is seen to be lost.
        """
        version = found["metadata"]["resourceVersion"]
        if isinstance(body, list):
            body = [{"op": "add", "path": pointer("metadata", "resourceVersion"), "value": version}, *body]
        else:
            body = {**body, "metadata": {**body.get("metadata", {}), "resourceVersion": version}}
        content_type = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
        where = self._path(found)
        try:
            return self._cluster.request("PATCH", where, query=_AS_US, body=body, content_type=content_type)
        except ApiError as error:
            # A patch that does not fit what is there now is refused before its version is looked at.
            if error.status == _UNFIT and self._cluster.request("GET", where)["metadata"]["resourceVersion"] != version:
                raise ApiError(_CONFLICT, "Conflict", error.message, method="PATCH", path=where) from error
            raise

    def _create(self, wanted: Json) -> Json:
        return self._cluster.request("POST", path(wanted["kind"], self._record.namespace), query=_AS_US, body=wanted)

    def _delete(self, found: Json, **options: object) -> None:
        """Delete *found*, not another one of its name; gone already is gone."""
        this = {"preconditions": {"uid": found["metadata"]["uid"]}, **options}
        try:
            self._cluster.request("DELETE", self._path(found), body=this)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    def _confirm(self, made: Json, back: list[Json] | None = None) -> None:
        """See that the lock was still ours when *made* came to be, beside the workload that has the state.

        Whoever took over puts back what they saw before that. So it is taken back, by the patch *back* or by deleting
        it, unless they go on with the same rollout: that makes it too.

        Raises:
            RefusedError: the lock is somebody else's.
        """
        try:
            self._lock.holds()
        except RefusedError:
            noted = (self._view.stable()["metadata"].get("annotations") or {}).get(ROLLOUT_STATE)
            if noted != self._view.noted:
                with self._change("withdraw", made, None, "somebody else took the rollout over"):
                    if back is None:
                        self._delete(made, propagationPolicy="Background")
                    elif back:
                        self._patch(made, back)
            raise

    def _change(self, action: str, found: Json, before: object, why: str) -> Any:
        """Return the audit log's context of a change of *found*, about to be made."""
        subject = f"{found['kind']} {self._record.namespace}/{found['metadata']['name']}"
        return self._audit.change(action=f"rollout: {action}", subject=subject, before=before, why=why)

    def _path(self, found: Json) -> str:
        return path(found["kind"], self._record.namespace, found["metadata"]["name"])
