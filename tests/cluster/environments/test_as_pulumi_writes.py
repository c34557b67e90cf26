"""Every environment written to a real API server as Pulumi's Kubernetes provider writes it, without Pulumi.

The provider neither applies what is new nor compares what was applied: it creates by POST, compares what the API server
has with what the program says, as far as the program says anything, and applies only where that differs. Source:
`provider/pkg/provider/provider.go` (Diff) and `provider/pkg/await/await.go` of pulumi/pulumi-kubernetes 4.32.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.control_plane import running
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import APPLY_PATCH, MERGE_PATCH, ApiError
from quarterdeck_stacks.capture import capture
from quarterdeck_stacks.environments import deploy
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.settings.cluster import RENDERING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

JSON_PATCH = "application/json-patch+json"
CREATES, APPLIES = "pulumi-kubernetes", "pulumi-kubernetes-0a1b2c3d"
"""Field managers: of every creation, and of one resource's updates."""

SERVICE, BUDGET = ("Service", "shop", "checkout"), ("PodDisruptionBudget", "shop", "checkout")
DEPLOYMENT = ("Deployment", "shop", "checkout")
FACTS = ("ConfigMap", "quarterdeck", "quarterdeck-environment")

Key = tuple[str, str | None, str]


@dataclass(frozen=True)
class Provider:
    """The provider's part: one resource at a time."""

    cluster: Cluster

    def create(self, inputs: Json) -> None:
        """Make the object, which must not be there yet."""
        self.cluster.request("POST", self._collection(inputs), query={"fieldManager": CREATES}, body=inputs)

    def state(self, inputs: Json) -> Json | None:
        """Return what the API server has of what *inputs* say; None where it has no such object."""
        try:
            live = self.cluster.request("GET", self.path(inputs))
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        pruned: Json = _pruned(live, inputs)
        return pruned

    def update(self, inputs: Json) -> None:
        """Take the fields of the creation over, and apply; by force where the object says so."""
        until(lambda: self._taken_over(inputs), f"nobody else writes {self.path(inputs)} meanwhile")
        force = inputs["metadata"].get("annotations", {}).get("pulumi.com/patchForce", "false")
        query = {"fieldManager": APPLIES, "force": force}
        self.cluster.request("PATCH", self.path(inputs), query=query, body=inputs, content_type=APPLY_PATCH)

    def _taken_over(self, inputs: Json) -> bool:
        """Give the fields of the creation to the updates; False where a controller wrote the object meanwhile.

        The provider has waited until a Deployment is ready, so that its controller writes no more; here nobody waits.
        """
        live = self.cluster.request("GET", self.path(inputs))
        fields = live["metadata"]["managedFields"]
        for each in fields:
            if each["manager"] == CREATES:
                each.update(manager=APPLIES, operation="Apply")
        values = {"managedFields": fields, "resourceVersion": live["metadata"]["resourceVersion"]}
        patch = [{"op": "replace", "path": f"/metadata/{name}", "value": value} for name, value in values.items()]
        try:
            self.cluster.request("PATCH", self.path(inputs), body=patch, content_type=JSON_PATCH)
        except ApiError as error:
            if error.status != 409:
                raise
            return False
        return True

    def delete(self, inputs: Json) -> None:
        """Delete the object and, before it, what belongs to it."""
        with contextlib.suppress(ApiError):  # gone with its namespace
            self.cluster.request("DELETE", self.path(inputs), query={"propagationPolicy": "Foreground"})

    def path(self, inputs: Json) -> str:
        """Return the path of the object."""
        return f"{self._collection(inputs)}/{inputs['metadata']['name']}"

    def _collection(self, inputs: Json) -> str:
        version, namespace = inputs["apiVersion"], inputs["metadata"].get("namespace")
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{prefix}{f'/namespaces/{namespace}' if namespace else ''}/{self._plural(prefix, inputs['kind'])}"

    @cache  # noqa: B019 -- one instance a test run
    def _plural(self, prefix: str, kind: str) -> str:
        resources = self.cluster.request("GET", prefix)["resources"]
        (name,) = [each["name"] for each in resources if each["kind"] == kind and "/" not in each["name"]]
        return str(name)


def _pruned(live: Any, inputs: Any) -> Any:
    """Return *live* in the shape of *inputs*: their keys of a map, as many entries of a list."""
    if isinstance(live, dict) and isinstance(inputs, dict):
        return {key: _pruned(live[key], value) for key, value in inputs.items() if key in live}
    if isinstance(live, list) and isinstance(inputs, list):
        return [_pruned(one, other) for one, other in zip(live, inputs, strict=False)]
    return live


@pytest.fixture(scope="module")
def provider(tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Return the provider of a cluster with controllers and nodes, and nothing else in it."""
    with running(tmp_path_factory.mktemp("as-pulumi-writes"), tool) as kubeconfig:
        yield Provider(connect(kubeconfig))


@pytest.fixture(scope="module")
def described(root: Path) -> Callable[..., dict[Key, Json]]:
    """Return a function from a stack and overrides to its objects, as the program registers them, in that order."""
    project = load_project(root)

    def run(stack: str, *overrides: str) -> dict[Key, Json]:
        config = load_stack(project, stack, ["kubeconfig=", f"context={RENDERING}", *overrides])
        with contextlib.chdir(project.program):
            registered = capture(deploy, project=project.name, stack=stack, config=config)
        found = [_whole(each.inputs) for each in registered if each.type.startswith("kubernetes:")]
        return {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in found}

    return run


def _whole(inputs: Json) -> Json:
    """Return *inputs* with the whole numbers that the engine's wire format writes as fractions."""

    def number(text: str) -> float:
        return int(float(text)) if float(text).is_integer() else float(text)

    whole: Json = json.loads(json.dumps(inputs), parse_float=number)
    return whole


def _differing(provider: Provider, objects: dict[Key, Json]) -> set[Key]:
    """Return what a preview would change: what is not there, or not as the program says."""
    return {key for key, inputs in objects.items() if provider.state(inputs) != inputs}


def _mend(provider: Provider, objects: dict[Key, Json], keys: set[Key]) -> None:
    for key, inputs in objects.items():
        if key in keys:
            (provider.create if provider.state(inputs) is None else provider.update)(inputs)


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_an_environment_is_made_compared_updated_mended_and_taken_away(
    provider: Provider, described: Callable[..., dict[Key, Json]], stack: str
) -> None:
    """A second run changes nothing; a new image changes one Deployment and the facts; drift is seen and undone."""
    first, second = described(stack), described(stack, 'images=["checkout=localhost/checkout:v2"]')
    namespaces = {name for kind, _, name in first if kind == "Namespace"}
    try:
        for inputs in first.values():
            provider.create(inputs)
        assert _differing(provider, first) == set()

        assert _differing(provider, second) == {DEPLOYMENT, FACTS}
        _mend(provider, second, {DEPLOYMENT, FACTS})
        assert _differing(provider, second) == set()

        port = [{**second[SERVICE]["spec"]["ports"][0], "targetPort": 81}]
        provider.cluster.request(
            "PATCH",
            provider.path(second[SERVICE]),
            query={"fieldManager": "somebody"},
            body={"spec": {"ports": port}},
            content_type=MERGE_PATCH,
        )
        provider.delete(second[BUDGET])
        until(lambda: provider.state(second[BUDGET]) is None, "what depends on the budget to be looked for")
        assert _differing(provider, second) == {SERVICE, BUDGET}
        _mend(provider, second, {SERVICE, BUDGET})
        assert _differing(provider, second) == set()
    finally:
        for inputs in reversed(second.values()):
            provider.delete(inputs)
        until(lambda: not namespaces & _namespaces(provider.cluster))


def test_an_image_that_a_rollout_promoted_is_a_conflict_and_not_undone(
    provider: Provider, described: Callable[..., dict[Key, Json]]
) -> None:
    """Also of a Deployment that was created by POST, whose fields are taken over before they are applied."""
    objects = described("local")
    promoted = described("local", 'images=["checkout=localhost/checkout:v3"]')[DEPLOYMENT]
    other = described("local", 'images=["checkout=localhost/checkout:v2"]')[DEPLOYMENT]
    path = provider.path(promoted)
    try:
        for inputs in objects.values():
            provider.create(inputs)
        container = provider.cluster.request("GET", path)["spec"]["template"]["spec"]["containers"][0]
        body = {"spec": {"template": {"spec": {"containers": [{**container, "image": "localhost/checkout:v3"}]}}}}
        query = {"fieldManager": "a-rollout"}
        provider.cluster.request("PATCH", path, query=query, body=body, content_type=MERGE_PATCH)

        with pytest.raises(ApiError, match='conflict with "a-rollout"'):
            provider.update(other)
        provider.update(promoted)

        found = provider.cluster.request("GET", path)["spec"]["template"]["spec"]["containers"][0]
        assert found["image"] == "localhost/checkout:v3"
    finally:
        for inputs in reversed(objects.values()):
            provider.delete(inputs)


def _namespaces(cluster: Cluster) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.request("GET", "/api/v1/namespaces")["items"]}
