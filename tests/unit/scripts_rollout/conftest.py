"""A service that serves requests in a cluster in memory, scraped by a Prometheus in memory, in time that flies."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract import VERSION, access
from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_scripts.environment import Environment
from quarterdeck_scripts.kube import fake_controllers
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.fake_roles import AsRole
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.kube.selectors import selects
from quarterdeck_scripts.ports import Answer, FakeClock, FakePrometheus, Series
from quarterdeck_scripts.rollout.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import ModuleType

    from quarterdeck_scripts.kube.client import Json

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

CATALOGUE = """
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: localhost/checkout:v1
    replicas: 3
    slos:
      - {name: availability, kind: availability, objective: 99.5, window: 30d}
      - {name: latency, kind: latency, objective: 99, threshold: 250ms, window: 30d}
    rollout: {strategy: canary, canary_replicas: 1, max_wait: 5m, ready_within: 1m}
"""

SCRAPE = 2.0

HISTORY = 30.0
"""Seconds the service has been scraped when a test begins."""


class Controllers(fake_controllers.Controllers):
    """Besides, what a deleted Deployment leaves is collected."""

    def __call__(self, cluster: Any, changed: Json) -> None:
        """React to one change."""
        super().__call__(cluster, changed)
        if changed.get("kind") == "Deployment":
            owners = {
                each["metadata"]["uid"]
                for kind in ("Deployment", "StatefulSet", "DaemonSet")
                for each in cluster.request("GET", path(kind))["items"]
            }
            for kind in ("ReplicaSet", "Pod"):
                for found in cluster.request("GET", path(kind))["items"]:
                    metadata = found["metadata"]
                    owners.add(metadata["uid"])
                    if all(owner["uid"] not in owners for owner in metadata["ownerReferences"]):
                        owners.discard(metadata["uid"])
                        where = path(kind, metadata["namespace"], metadata["name"])
                        cluster.request("DELETE", where, query={"gracePeriodSeconds": "0"})


@dataclass
class Behaviour:
    """How pods of an image serve."""

    rate: float = 40.0
    """Requests a second and pod."""
    failing: float = 0.0
    """Share of requests answered with 500."""
    slow: float = 0.0
    """Share of requests over 250 ms."""


@dataclass
class World:
    """Everything around one service."""

    cluster: FakeCluster
    controllers: Controllers
    folder: Path
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    scraping: bool = True
    at_time: dict[float, Callable[[], None]] = field(default_factory=dict)
    """What somebody else does, by seconds since the start."""
    catalogue: str = CATALOGUE
    kind: str = "Deployment"
    """Of the workload that was deployed last."""

    def __post_init__(self) -> None:
        self.begin = float(int(time.time())) - HISTORY
        self.clock = FakeClock(self.begin, self._pass_time)
        self.cluster.now = self.clock.now
        self.prometheus = FakePrometheus(self._answer)
        self._series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        self._served: dict[str, float] = {}
        self._scraped = self.begin

    def behave(self, image: str, **how: float) -> None:
        """Say how pods of *image* serve: see `Behaviour`."""
        self.behaviours[image] = Behaviour(**how)

    def session(self, name: str = "checkout") -> Session:
        """Return a session on a service, as its commands open one for somebody with the shipped Roles and no more."""
        facts = EnvironmentFacts("local", "http://p.invalid", "http://a.invalid", self.catalogue, f"{SCRAPE:g}s")
        uid = self.cluster.request("GET", path("Namespace", name="kube-system"))["metadata"]["uid"]
        operator = AsRole(self.cluster, lambda namespace: access.rules(namespace) if namespace else ())
        environment = Environment("local", operator, facts, uid)
        service = environment.service(name)
        return Session(environment, service, self.prometheus, self.clock, self.folder / "local", "anna@bridge")

    def deploy(self, name: str, image: str, replicas: int = 3, kind: str = "Deployment") -> None:
        """Have a service run *image*, under a Service of its name."""
        labels = {"app.kubernetes.io/name": name, "quarterdeck.dev/track": "stable"}
        versioned = {**labels, "app.kubernetes.io/version": image.rpartition(":")[2]}
        template = {
            "metadata": {"labels": versioned},
            "spec": {"containers": [{"name": name, "image": image, "env": [{"name": "A", "value": "1"}]}]},
        }
        body = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "labels": versioned},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        }
        self.kind = kind
        self.cluster.request("POST", path(kind, "shop"), body=body)
        leading = {"metadata": {"name": name}, "spec": {"selector": {"app.kubernetes.io/name": name}}}
        self.cluster.request("POST", path("Service", "shop"), body=leading)

    def deployment(self, name: str = "checkout") -> Json:
        """Return a Deployment as it is, or the workload of another kind that was deployed."""
        return self.cluster.request("GET", path(self.kind, "shop", name))

    def images(self) -> list[str]:
        """Return the image of every pod, sorted."""
        return sorted(pod["spec"]["containers"][0]["image"] for pod in self.pods())

    def pods(self) -> list[Json]:
        """Return every pod of the service."""
        items: list[Json] = self.cluster.request("GET", path("Pod", "shop"))["items"]
        return items

    def deployments(self) -> list[str]:
        """Return the names of all Deployments."""
        return [each["metadata"]["name"] for each in self.cluster.request("GET", path("Deployment", "shop"))["items"]]

    def annotations(self) -> dict[str, str]:
        """Return the stable Deployment's annotations."""
        return dict(self.deployment()["metadata"].get("annotations") or {})

    def pass_time(self, seconds: float) -> None:
        """Let *seconds* pass."""
        for _ in range(round(seconds * 4)):
            self.clock.sleep(0.25)

    def _pass_time(self, now: float) -> None:
        for due in [due for due in self.at_time if now - self.begin >= due]:
            self.at_time.pop(due)()
        while now - self._scraped >= SCRAPE:
            self._scraped += SCRAPE
            if self.scraping:
                self._scrape(self._scraped)

    def _scrape(self, now: float) -> None:
        for pod in filter(is_ready, self.pods()):
            labels = pod["metadata"]["labels"]
            image = pod["spec"]["containers"][0]["image"]
            target = {
                "cluster": "local",
                "namespace": "shop",
                "service": labels["app.kubernetes.io/name"],
                "pod": pod["metadata"]["name"],
                "version": labels["app.kubernetes.io/version"],
                "track": labels["quarterdeck.dev/track"],
            }
            behaviour = self.behaviours.get(image, Behaviour())
            asked = behaviour.rate * SCRAPE * self._led(target["service"], labels)
            uid = pod["metadata"]["uid"]
            served = self._served[uid] = self._served.get(uid, 0) + asked
            failed = int(served * behaviour.failing)
            good = int(served) - failed
            self._put(now, 1, __name__="quarterdeck_build_info", contract_version=VERSION, **target)
            bucket = {"__name__": "http_server_request_duration_seconds_bucket", "http_route": "/pay", **target}
            fast = good - int(served * behaviour.slow)
            for status, bound, value in (("200", "+Inf", good), ("200", "0.25", fast), ("500", "+Inf", failed)):
                if value or status == "200":
                    self._put(now, value, http_response_status_code=status, le=bound, **bucket)

    def _led(self, service: str, labels: Mapping[str, str]) -> float:
        """Return what part a pod gets of the requests it could have: as its Service leads, or a route's weights.

        A route sends 100 requests for each that a pod could have, in whole ones, by its weights.
        """
        leading = {each["metadata"]["name"]: each for each in self._items("Service")}
        routes = self._items("HTTPRoute")
        if not routes:
            return float(selects({"matchLabels": leading[service]["spec"]["selector"]}, labels))
        refs = routes[0]["spec"]["rules"][0]["backendRefs"]
        whole = sum(ref["weight"] for ref in refs)
        pods = [pod["metadata"]["labels"] for pod in self.pods() if is_ready(pod)]
        part = 0.0
        for ref in refs:
            selector = {"matchLabels": leading.get(ref["name"], {"spec": {"selector": {"": ""}}})["spec"]["selector"]}
            if selects(selector, labels):
                part += len(pods) * ref["weight"] / whole / sum(selects(selector, each) for each in pods)
        return part

    def _items(self, kind: str) -> list[Json]:
        try:
            items: list[Json] = self.cluster.request("GET", path(kind, "shop"))["items"]
        except ApiError as error:
            if error.status != 404:
                raise
            return []  # a real cluster without that kind
        return items

    def route(self, weight: int = 1) -> None:
        """Have a route lead to the service."""
        refs = [{"name": "checkout", "port": 80, "weight": weight}]
        body = {"metadata": {"name": "front"}, "spec": {"rules": [{"backendRefs": refs}]}}
        self.cluster.request("POST", path("HTTPRoute", "shop"), body=body)

    def _put(self, now: float, value: float, **labels: str) -> None:
        self._series.setdefault(tuple(sorted(labels.items())), []).append((now, float(value)))

    def _answer(self, promql: str, at: float | None) -> Answer:
        if promql == "time()":
            return Answer((Series({}, ((self.clock.now(), self.clock.now()),)),))
        if not promql.endswith("s]"):  # it has raw samples, and computes nothing
            return Answer(())
        name = promql.partition("{")[0]
        window = float(promql.rpartition("[")[2].removesuffix("s]"))
        now = at or self.clock.now()
        found = []
        for labels, samples in self._series.items():
            recent = tuple(sample for sample in samples if now - window < sample[0] <= now)
            its_own = "service=" not in promql or f'service="{dict(labels)["service"]}"' in promql
            if dict(labels)["__name__"] == name and its_own and recent:
                found.append(Series(dict(labels), recent))
        return Answer(tuple(found))


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Return a world where `checkout` serves at v1 with three pods and has been scraped for half a minute."""
    return make_world()


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Return a function that makes such a world, of another kind of workload or with a longer history."""

    def make(kind: str = "Deployment", history: float = HISTORY, **rollout: str) -> World:
        monkeypatch.chdir(tmp_path)
        controllers = Controllers()
        count = 3 if kind == "DaemonSet" else 1
        nodes = [{"kind": "Node", "metadata": {"name": f"n{number + 1}"}} for number in range(count)]
        cluster = FakeCluster(nodes, controllers)
        for name in ("shop", "quarterdeck"):
            cluster.request("POST", path("Namespace"), body={"metadata": {"name": name}})
        world = World(cluster, controllers, tmp_path / ".quarterdeck")
        asked = "".join(f", {key}: {value}" for key, value in rollout.items())
        world.catalogue = CATALOGUE.replace("{strategy: canary", f"{{strategy: canary{asked}")
        if "strategy" in rollout:
            world.catalogue = world.catalogue.replace("strategy: canary, ", "")
        (world.folder / "local").mkdir(parents=True, exist_ok=True)
        world.deploy("checkout", V1, kind=kind)
        if "weights" in rollout:
            world.route()
        world.pass_time(history)
        return world

    return make


@pytest.fixture(scope="session")
def simulation(root: Path) -> ModuleType:
    """Return `tests/bench/verdict_simulation.py` as a module."""
    import sys  # noqa: PLC0415 -- only here: dataclasses look their module up

    spec = importlib.util.spec_from_file_location("verdict_simulation", root / "tests/bench/verdict_simulation.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
