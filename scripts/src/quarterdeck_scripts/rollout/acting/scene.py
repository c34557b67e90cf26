"""What a cluster has on a service now and will not have once its pods are gone, as named texts of bounded size.

It is read by the way, while people wait for a rollback: so it has a deadline, and whatever cannot be had is named
and left out. No Secret is read; what others wrote in plain is scrubbed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_contract.kubernetes import APP_NAME, TRACK, TRACK_BASELINE, TRACK_CANARY
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.pods import is_ready, label, problems_of
from quarterdeck_scripts.kube.secrets import scrubbed, secrets_in, without_secrets
from quarterdeck_scripts.kube.workloads import canary_name
from quarterdeck_scripts.rollout.acting.configuration import changes, config_maps_of, template_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.kube.logs import PodLogs
    from quarterdeck_scripts.ports import Clock

_OTHERS = ("StatefulSet", "DaemonSet")
_NOT_FOUND = 404
_PAGE = 500
"""Objects a page; see `kube.client.list_all`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken, and how long it may last."""

    seconds: float = 20.0
    """For all of it: a failing canary goes on serving meanwhile."""
    call_seconds: float = 5.0
    """For one request."""
    listed: int = 2000
    """Pods with a line of their own."""
    whole: int = 30
    """Pods with their whole object and logs: new ones and those in trouble first."""
    events: int = 500
    """The newest."""
    config_maps: int = 30
    log_bytes: int = 256 << 10
    """For one log; more than the longest stack traces."""
    bytes: int = 6 << 20
    """For all texts together. Objects and events come before logs."""


@dataclass(slots=True)
class Scene:
    """What was found."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By name, as in a folder."""
    missing: list[str] = field(default_factory=list)
    """What could not be had, or was too much, and why."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


@dataclass(frozen=True, slots=True)
class Witness:
    """Who looks at one service in one cluster."""

    cluster: Cluster
    logs: PodLogs | None
    """None where nobody has them."""
    clock: Clock
    namespace: str
    service: str
    limits: Limits = Limits()

    def look(self, origin: str, image: str) -> Scene:
        """Return what there is; *origin* and *image* are the old and the new version's; *image* may be empty."""
        look = _Look(self, self.clock.monotonic() + self.limits.seconds)
        look.take(origin, image)
        return look.scene


class _Look:
    """One look, and what it has found so far."""

    def __init__(self, witness: Witness, deadline: float) -> None:
        self.scene = Scene()
        self._witness = witness
        self._limits = witness.limits
        self._deadline = deadline
        self._secrets: set[str] = set()

    def take(self, origin: str, image: str) -> None:
        """Read everything, then write it down: what is a secret in one object may be repeated in another."""
        selector = {"labelSelector": f"{APP_NAME}={self._witness.service}"}
        pods = self._list("Pod", selector, self._limits.listed)
        workloads = list(self._workloads())
        kept = dict.fromkeys(
            "ReplicaSet" if found["kind"] == "Deployment" else "ControllerRevision" for found in workloads
        )
        revisions = [(kind, found) for kind in kept for found in self._list(kind, selector, self._limits.listed)]
        workloads += [{**found, "kind": kind} for kind, found in revisions]
        maps = self._config_maps([*workloads, *({"spec": {"template": pod}} for pod in pods)], (origin, image))
        events = self._events(pods, workloads)
        chosen = sorted(pods, key=lambda pod: (not _runs(pod, image), is_ready(pod), pod["metadata"]["name"]))
        chosen = chosen[: self._limits.whole]
        self._secrets |= {*secrets_in(chosen), *secrets_in(workloads), *secrets_in([*maps.values()])}

        self._write_lines("pods.txt", (_line(pod) for pod in pods))
        self._write_lines("events.txt", (_event_line(event) for event in events))
        old, new = template_of(origin, workloads), template_of(image, workloads)
        if old is not None and new is not None:
            self._write_lines("changes.txt", changes(old, new, maps))
        elif image:
            self.scene.missing.append(f"changes.txt: no template of {origin if old is None else image} is left")
        self._write_objects("pods.json", chosen)
        self._write_objects("workloads.json", workloads)
        self._write_objects("config-maps.json", maps.values())
        self._take_logs(chosen)

    # Reading

    def _ask(self, where: str, query: Mapping[str, str] | None = None) -> Json:
        left = self._time_left()
        if left <= 0:
            raise QuarterdeckError("time to ask", "no time was left for it", "look at the cluster by hand")
        return self._witness.cluster.request("GET", where, query=query, timeout=left)

    def _list(self, kind: str, query: Mapping[str, str], most: int) -> list[Json]:
        found: list[Json] = []
        page = {**query, "limit": str(min(most, _PAGE))}
        try:
            while len(found) < most:
                answer = self._ask(path(kind, self._witness.namespace), page)
                found += answer["items"]
                page["continue"] = answer["metadata"].get("continue") or ""
                if not page["continue"]:
                    return found
        except QuarterdeckError as error:
            self.scene.missing.append(f"{kind}s after the first {len(found)}: {error.found}")
        else:
            self.scene.missing.append(f"{kind}s after the first {len(found)}: more than are kept")
        return found

    def _workloads(self) -> Iterator[Json]:
        """Yield what has the service's pods: by name, so that nobody needs a right to list workloads."""
        service = self._witness.service
        tracks = (canary_name(service, track) for track in (TRACK_CANARY, TRACK_BASELINE))
        for kind, name in (
            *(("Deployment", name) for name in (service, *tracks)),
            *((kind, service) for kind in _OTHERS),
        ):
            try:
                yield {"kind": kind, **self._ask(path(kind, self._witness.namespace, name))}
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    self.scene.missing.append(f"{kind} {name}: {error.found}")
            except QuarterdeckError as error:
                self.scene.missing.append(f"{kind} {name}: {error.found}")

    def _config_maps(self, workloads: Iterable[Json], images: Iterable[str]) -> dict[str, Json]:
        templates = [template for image in images if (template := template_of(image, workloads)) is not None]
        names = dict.fromkeys(name for template in templates for name in config_maps_of(template).values())
        found = {}
        for name in islice(names, self._limits.config_maps):
            try:
                found[name] = self._ask(path("ConfigMap", self._witness.namespace, name))
            except QuarterdeckError as error:
                self.scene.missing.append(f"ConfigMap {name}: {error.found}")
        if len(names) > self._limits.config_maps:
            self.scene.missing.append(f"ConfigMaps: {len(names) - self._limits.config_maps} more than are kept")
        return found

    def _events(self, pods: Iterable[Json], workloads: Iterable[Json]) -> list[Json]:
        ours = {found["metadata"]["name"] for found in [*pods, *workloads]}
        listed = self._list("Event", {}, 10 * self._limits.events)
        mine = [event for event in listed if (event.get("involvedObject") or {}).get("name") in ours]
        return sorted(mine, key=_when)[-self._limits.events :]

    def _take_logs(self, pods: Iterable[Json]) -> None:
        if self._witness.logs is None:
            self.scene.missing.append("logs: nobody here has them")
            return
        for pod in pods:
            for container, previous in _runs_of_containers(pod):
                self._take_log(pod["metadata"]["name"], container, previous=previous)

    def _take_log(self, pod: str, container: str, *, previous: bool) -> None:
        name = f"logs/{pod}.{container}{'.previous' if previous else ''}.log"
        room = min(self._limits.log_bytes, self._limits.bytes - self.scene.size)
        left = self._time_left()
        if room <= 0 or left <= 0 or self._witness.logs is None:
            self.scene.missing.append(f"{name}: {'no time' if room > 0 else 'no room'} was left")
            return
        try:
            log = self._witness.logs.log(
                self._witness.namespace, pod, container, previous=previous, most=room, timeout=left
            )
        except QuarterdeckError as error:
            self.scene.missing.append(f"{name}: {error.found}")
        else:
            self._write(name, scrubbed(log, self._secrets))

    def _time_left(self) -> float:
        """Return how many seconds the next request may last; none when there is no time left."""
        return min(self._limits.call_seconds, self._deadline - self._witness.clock.monotonic())

    # Writing

    def _write_lines(self, name: str, lines: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in lines).encode(errors="replace")
        self._write(name, scrubbed(text, self._secrets))

    def _write_objects(self, name: str, found: Iterable[Json]) -> None:
        plain = [self._plain(without_secrets(each)) for each in found]
        self._write(name, json.dumps(plain, indent=1, sort_keys=True).encode() + b"\n")

    def _plain(self, value: Any) -> Any:
        """Return *value* without bookkeeping, every text in it scrubbed."""
        if isinstance(value, dict):
            return {key: self._plain(each) for key, each in value.items() if key != "managedFields"}
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        return scrubbed(value.encode(errors="replace"), self._secrets).decode() if isinstance(value, str) else value

    def _write(self, name: str, text: bytes) -> None:
        room = self._limits.bytes - self.scene.size
        if len(text) > room:
            self.scene.missing.append(f"{name}: {len(text) - max(room, 0):,} of its {len(text):,} bytes had no room")
            text = text[-room:] if name.startswith("logs/") and room > 0 else text[: max(room, 0)]
        self.scene.files[name] = text


def _runs(pod: Json, image: str) -> bool:
    return any(container["image"] == image for container in pod["spec"]["containers"])


def _runs_of_containers(pod: Json) -> Iterator[tuple[str, bool]]:
    """Yield every container of *pod* that has run, and whether it is the run before that is meant."""
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if "waiting" not in (container.get("state") or {}) or container.get("restartCount"):
            yield container["name"], False
        if container.get("restartCount"):
            yield container["name"], True


def _line(pod: Json) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    images = " ".join(container["image"] for container in pod["spec"]["containers"])
    facts = [
        pod["metadata"]["name"],
        label(pod, TRACK) or "-",
        images,
        pod.get("status", {}).get("phase", "Unknown"),
        "Ready" if is_ready(pod) else "NotReady",
        f"restarts={sum(container.get('restartCount', 0) for container in statuses)}",
        f"node={pod['spec'].get('nodeName', '-')}",
        f"created={pod['metadata'].get('creationTimestamp', '-')}",
    ]
    return "  ".join([*facts, *(str(problem) for problem in problems_of(pod))])


def _when(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def _event_line(event: Json) -> str:
    about = event.get("involvedObject") or {}
    times = f" ({event['count']} times)" if event.get("count", 1) > 1 else ""
    what = f"{event.get('type', '')}  {event.get('reason', '')}  {about.get('kind', '')}/{about.get('name', '')}"
    return f"{_when(event)}  {what}: {' '.join(str(event.get('message', '')).split())}{times}"
