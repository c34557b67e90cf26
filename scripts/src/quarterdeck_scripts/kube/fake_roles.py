"""A cluster in memory as somebody sees it who has Roles: what they do not grant is refused, as RBAC does.

For tests that a Role is enough. What a real API server decides is tested against one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.kube.client import ApiError, Around, path
from quarterdeck_scripts.kube.fake_store import Address
from quarterdeck_scripts.kube.logs import PodLogs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_contract.access import Rule
    from quarterdeck_scripts.kube.client import Cluster, Json

Granted = Callable[[str], Iterable["Rule"]]
"""Takes a namespace, or nothing for what is in none."""

_ANYBODY = {"selfsubjectreviews", "selfsubjectaccessreviews"}
"""What every authenticated user may create: the default ClusterRole `system:basic-user`."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class Use:
    """One right that was made use of."""

    verb: str
    group: str
    resource: str
    """Plural, with its subresource."""
    namespace: str
    name: str = ""


class AsRole(Around):
    """`Cluster` for somebody with Roles, with every right that was made use of in `used`."""

    def __init__(self, cluster: Cluster, granted: Granted) -> None:
        """*granted* says which rules hold in a namespace."""
        super().__init__(cluster)
        self._granted = granted
        self.used: set[Use] = set()
        if isinstance(cluster, PodLogs):
            self.log = self._log_of(cluster)

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
        """Send one request, if it is granted; see `Cluster.request`."""
        use = _use(method, path)
        if use.resource == "selfsubjectaccessreviews" and isinstance(body, dict) and not self._may(_asked(body)):
            return {**body, "status": {"allowed": False}}
        self._require(use, method, path)
        return self._cluster.request(method, path, query=query, body=body, content_type=content_type, timeout=timeout)

    def watch(self, path: str, *, query: Mapping[str, str], timeout: float) -> Iterator[Json]:
        """Watch, if it is granted; see `Cluster.watch`."""
        self._require(_use("WATCH", path), "WATCH", path)
        return self._cluster.watch(path, query=query, timeout=timeout)

    def _log_of(self, logs: PodLogs) -> Callable[..., bytes]:
        """Return how logs are read from *logs*, as far as that is granted: see `PodLogs.log`."""

        def log(namespace: str, pod: str, container: str, **how: Any) -> bytes:
            where = path("Pod", namespace, pod, "log")
            self._require(_use("GET", where), "GET", where)
            return logs.log(namespace, pod, container, **how)

        return log

    def _require(self, use: Use, method: str, path: str) -> None:
        if not self._may(use):
            group = f' in API group "{use.group}" in the namespace "{use.namespace}"'
            message = f'{use.resource} is forbidden: User "somebody" cannot {use.verb} resource "{use.resource}"{group}'
            raise ApiError(403, "Forbidden", message, method=method, path=path)
        self.used.add(use)

    def _may(self, use: Use) -> bool:
        if use.resource in _ANYBODY:
            return True
        return any(
            (rule.group, rule.resource) == (use.group, use.resource)
            and use.verb in rule.verbs
            and (not rule.names or use.name in rule.names)
            for rule in self._granted(use.namespace)
        )


def _use(method: str, path: str) -> Use:
    """Return the right that a request needs."""
    address = Address.parse(path)
    resource = "/".join(filter(None, (address.plural, address.subresource)))
    group = address.version.rpartition("/")[0]
    # A namespace is in itself: so does the API server see it.
    namespace = address.name if address.plural == "namespaces" else address.namespace
    verb = _VERBS.get(method) or {
        ("GET", True): "get",
        ("GET", False): "list",
        ("DELETE", True): "delete",
        ("DELETE", False): "deletecollection",
    }.get((method, bool(address.name)), "watch")
    return Use(verb, group, resource, namespace, address.name)


def _asked(review: Json) -> Use:
    """Return the right that a SelfSubjectAccessReview asks about."""
    attributes = review["spec"]["resourceAttributes"]
    resource = "/".join(filter(None, (attributes["resource"], attributes.get("subresource", ""))))
    name = attributes.get("name", "")
    return Use(attributes["verb"], attributes.get("group", ""), resource, attributes.get("namespace", ""), name)
