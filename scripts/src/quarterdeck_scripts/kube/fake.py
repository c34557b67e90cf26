"""An API server in memory: what tests of ours and of users speak to instead of a cluster.

It answers as kube-apiserver does, errors included, in what Quarterdeck asks of one; `tests/cluster` says the
same sentences to both. It has no controllers: give it a *reactor* to play them (`fake_controllers` has one for
Deployments). It has no defaults, no validation, no roles, and a watch ends when it has told everything.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.kube.client import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, ApiError, path
from quarterdeck_scripts.kube.fake_store import Address, Selection, Store
from quarterdeck_scripts.kube.patches import PatchError, apply, copied, merge, operate
from quarterdeck_scripts.kube.pods import is_finished, is_ready, is_terminating
from quarterdeck_scripts.kube.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json

_GRACE = 30
"""Seconds a pod has to end, when neither it nor its deletion says otherwise: the API's default."""

_RESTLESS = 10_000
"""Changes in a row after which a reactor is taken to undo its own work for ever."""

_GENERATIONS = {"Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "PodDisruptionBudget", "Pod"}
"""Kinds whose `metadata.generation` counts changes of their specification."""


class FakeCluster:
    """`Cluster` in memory, with the requests it was sent in `requests`."""

    def __init__(
        self, objects: Iterable[Json] = (), reactor: Callable[[FakeCluster, Json], None] | None = None
    ) -> None:
        """*objects* are stored as they are, status included, and their namespaces with them.

        Args:
            objects: each says its kind.
            reactor: called after every stored change with the object as it is now; it may change the cluster.
        """
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request, in order; `dryRun` requests have the method in brackets."""
        self.now: Callable[[], float] = time.time
        """Its clock, in Unix seconds: another one for tests in which time flies."""
        self._store = Store()
        self._reactor = reactor
        self._queue: deque[Json] = deque()
        self._reacting = False
        for name in ("default", "kube-system"):
            self._add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for each in objects:
            self._add(each)

    @property
    def server(self) -> str:
        """A URL that leads nowhere."""
        return "https://fake.invalid"

    @property
    def skew(self) -> float:
        """None: its clock is this machine's."""
        return 0.0

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> Json:
        """Answer one request; see `Cluster.request`."""
        del timeout
        query = query or {}
        self.requests.append((f"({method})" if _dry(query) else method, path))
        address = Address.parse(path)
        try:
            if method == "GET":
                return self._store.get(address) if address.name else self._list(address, query)
            if method == "POST":
                return self._post(address, copied(body), query)
            if method == "DELETE":
                options = body if isinstance(body, dict) else {}
                return self._delete(address, {**options, **query})
            return self._change(address, self._proposed(method, address, body, content_type, query), query)
        except ApiError as error:
            raise ApiError(error.status, error.reason, error.message, method=method, path=path) from None

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Tell what has happened since `resourceVersion`, and end; see `Cluster.watch`."""
        del timeout
        self.requests.append(("WATCH", path))
        selection = Selection.of(Address.parse(path), query)
        since = int(query.get("resourceVersion") or 0)
        if since:
            yield from self._store.changes(selection, since)
        else:
            yield from ({"type": "ADDED", "object": found} for found in self._store.select(selection))

    def compact(self) -> None:
        """Forget the history: watches and pages that began earlier answer 410, as after five minutes."""
        self._store.compact()

    def _add(self, found: Json) -> None:
        found = copied(found)
        namespace = found["metadata"].get("namespace")
        home = Address.parse(path("Namespace", name=namespace or "default"))
        if namespace and not self._store.has(home):
            self._add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        found["metadata"] = {**self._birth(found), **found["metadata"]}
        self._store.put(Address.of(found), found)

    def _list(self, address: Address, query: Mapping[str, str]) -> Json:
        found = self._store.select(Selection.of(address, query))
        version, start = map(int, query.get("continue", f"{self._store.version}:0").split(":"))
        if self._store.expired(version):
            raise ApiError(410, "Expired", "The provided continue parameter is too old")
        end = start + int(query.get("limit") or len(found) or 1)
        metadata: Json = {"resourceVersion": str(version)}
        if end < len(found):
            metadata |= {"continue": f"{version}:{end}", "remainingItemCount": len(found) - end}
        items = [{key: value for key, value in each.items() if key not in {"apiVersion", "kind"}} for each in found]
        kind = f"{address.kind}List"
        return {"apiVersion": address.version, "kind": kind, "metadata": metadata, "items": items[start:end]}

    def _post(self, address: Address, body: Json | list[Json] | None, query: Mapping[str, str]) -> Json:
        if not isinstance(body, dict):
            raise ApiError(400, "BadRequest", "the body is no object")
        if address.plural == "selfsubjectreviews":
            return {**body, "status": {"userInfo": {"username": "somebody", "groups": ["system:authenticated"]}}}
        if address.plural == "selfsubjectaccessreviews":
            return {**body, "status": {"allowed": True}}
        if address.subresource == "eviction":
            return self._evict(address, body, query)
        return self._create(address, body, query)

    def _create(self, address: Address, found: Json, query: Mapping[str, str]) -> Json:
        metadata = found.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = metadata.get("generateName", "") + uuid.uuid4().hex[:5]
        address = replace(address, name=metadata["name"])
        if address.namespace:
            self._store.get(Address.parse(path("Namespace", name=address.namespace)))
            metadata["namespace"] = address.namespace
        if self._store.has(address):
            raise ApiError(409, "AlreadyExists", f"{address.described} already exists")
        found.setdefault("kind", address.kind)
        found.setdefault("apiVersion", address.version)
        if address.plural != "nodes":
            found.pop("status", None)
        if address.plural == "pods":
            found["status"] = {"phase": "Pending"}
        metadata.update(self._birth(found))
        return self._stored(address, found, query)

    def _proposed(
        self,
        method: str,
        address: Address,
        body: Json | list[Json] | None,
        content_type: str,
        query: Mapping[str, str],
    ) -> Json:
        """Return the object as PUT or PATCH wants it."""
        if method == "PUT" and isinstance(body, dict):
            return body
        if content_type == APPLY_PATCH and isinstance(body, dict):
            if not query.get("fieldManager"):
                raise ApiError(422, "Invalid", "fieldManager: Required value: is required for apply patch")
            present = self._store.get(address) if self._store.has(address) else {}
            applied: Json = apply(present, body)
            return applied
        present = self._store.get(address)
        if content_type == MERGE_PATCH and isinstance(body, dict):
            merged: Json = merge(present, body)
            return merged
        if content_type == JSON_PATCH and isinstance(body, list):
            try:
                return operate(present, body)
            except PatchError as error:
                message = "the server rejected our request due to an error in our request"
                raise ApiError(422, "Invalid", message) from error
        raise ApiError(415, "UnsupportedMediaType", f"{method} of {content_type} is not taken")

    def _change(self, address: Address, wanted: Json, query: Mapping[str, str]) -> Json:
        """Store *wanted* in place of what is there, as far as a client may change it."""
        if not self._store.has(address):
            if address.subresource or "metadata" not in wanted:
                self._store.get(address)
            return self._create(address, copied(wanted), query)
        present = self._store.get(address)
        for key in ("resourceVersion", "uid"):
            if wanted["metadata"].get(key, present["metadata"][key]) != present["metadata"][key]:
                message = "the object has been modified; please apply your changes to the latest version and try again"
                raise ApiError(409, "Conflict", f"Operation cannot be fulfilled on {address.described}: {message}")
        if present.get("immutable") and wanted.get("data") != present.get("data"):
            raise ApiError(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        changed = copied(present if address.subresource == "status" else wanted)
        changed.pop("status", None)
        status = (wanted if address.subresource == "status" else present).get("status")
        changed |= {"status": status} if status is not None else {}
        kept = ("uid", "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion", "namespace", "name")
        changed["metadata"] |= {key: present["metadata"][key] for key in kept if key in present["metadata"]}
        if changed == present:
            return present
        if changed.get("spec") != present.get("spec") and "generation" in present["metadata"]:
            changed["metadata"]["generation"] += 1
        return self._stored(address, changed, query)

    def _delete(self, address: Address, options: Mapping[str, object]) -> Json:
        present = self._store.get(address)
        this: Any = options.get("preconditions") or {}
        for key in ("uid", "resourceVersion"):
            if this.get(key, present["metadata"][key]) != present["metadata"][key]:
                message = f"Precondition failed: {key} in precondition: {this[key]}, in object meta: "
                raise ApiError(409, "Conflict", message + present["metadata"][key])
        grace = options.get("gracePeriodSeconds", present.get("spec", {}).get("terminationGracePeriodSeconds", _GRACE))
        lingers = address.plural == "pods" and present["spec"].get("nodeName") and int(str(grace)) > 0
        if lingers and not is_terminating(present):
            present["metadata"]["deletionTimestamp"] = self._stamp()
            return self._stored(address, present, options)
        if not lingers:
            self._stored(address, None, options)
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}

    def _evict(self, address: Address, body: Json, query: Mapping[str, str]) -> Json:
        pod = self._store.get(address)
        options = {**(body.get("deleteOptions") or {}), **query}
        wanted = (options.pop("preconditions", None) or {}).get("uid", pod["metadata"]["uid"])
        if wanted != pod["metadata"]["uid"]:
            raise ApiError(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
        if not (is_finished(pod) or is_terminating(pod) or pod["status"]["phase"] == "Pending"):
            self._spend_budget(pod, options)
        self._delete(replace(address, subresource=""), options)
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "code": 201}

    def _spend_budget(self, pod: Json, query: Mapping[str, str]) -> None:
        """Take the eviction of *pod* from its disruption budget, or refuse it."""
        within = Address.parse(path("PodDisruptionBudget", pod["metadata"]["namespace"]))
        budgets = [
            budget
            for budget in self._store.select(Selection.of(within, {}))
            if budget["spec"].get("selector") is not None
            and selects(budget["spec"]["selector"], pod["metadata"].get("labels") or {})
        ]
        if len(budgets) > 1:
            message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiError(500, "Internal Server Error", message)
        for budget in budgets:
            status = budget.get("status", {})
            if not is_ready(pod) and status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0:
                continue
            if status.get("disruptionsAllowed", 0) < 1:
                message = "Cannot evict pod as it would violate the pod's disruption budget."
                raise ApiError(429, "TooManyRequests", message)
            status["disruptionsAllowed"] -= 1
            self._stored(Address.of(budget), budget, query)

    def _stored(self, address: Address, found: Json | None, query: Mapping[str, object]) -> Json:
        """Store *found* (None: remove what is there), unless *query* asks for a dry run, and let the reactor act."""
        if _dry(query):
            return copied(found) if found is not None else self._store.get(address)
        stored = self._store.put(address, found)
        if self._reactor is not None:
            self._queue.append(stored)
            if not self._reacting:
                self._react(self._reactor)
        return copied(stored)

    def _birth(self, found: Json) -> Json:
        """Return the metadata that every new object is given."""
        generation = {"generation": 1} if found.get("kind") in _GENERATIONS else {}
        return {"uid": str(uuid.uuid4()), "creationTimestamp": self._stamp(), **generation}

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _react(self, reactor: Callable[[FakeCluster, Json], None]) -> None:
        """Tell *reactor* each change, those it makes itself too, until there is none."""
        self._reacting = True
        try:
            for _ in range(_RESTLESS):
                if not self._queue:
                    return
                reactor(self, self._queue.popleft())
            raise RuntimeError("the reactor never comes to rest")
        finally:
            self._reacting = False
            self._queue.clear()


def _dry(query: Mapping[str, object]) -> bool:
    return query.get("dryRun") in ("All", ["All"])
