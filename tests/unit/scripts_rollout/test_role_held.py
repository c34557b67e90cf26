"""The shipped Roles grant what rollouts make use of, and no verb besides: rights grow with what the commands do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract import access
from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP, SYSTEM_NAMESPACE
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.fake_roles import AsRole, Use
from quarterdeck_scripts.kube.logs import FakeLogs
from quarterdeck_scripts.kube.workloads import KINDS
from quarterdeck_scripts.rollout.acting.copies import copy_of
from quarterdeck_scripts.rollout.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json

V2 = "localhost/checkout:v2"

START = f"rollout start checkout --image {V2} --yes"

WAYS: list[dict[str, Any]] = [
    {"weights": "[10]"},
    {"strategy": "blue-green", "history": 400.0},
    {"strategy": "rolling", "kind": "StatefulSet"},
    {"strategy": "rolling", "kind": "DaemonSet"},
]
"""What worlds are made with: each way to let a version in that asks something else of a cluster."""


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> set[Use]:
    """Return what is made use of from now on."""
    found: set[Use] = set()
    real = AsRole.__init__

    def begun(self: AsRole, *given: Any) -> None:
        real(self, *given)
        self.used = found

    monkeypatch.setattr(AsRole, "__init__", begun)
    return found


def typed(world: Any, monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[int]:
    """Run command lines on *world*; return their exit codes."""
    monkeypatch.setattr(Session, "open", lambda _, service: world.session(service))
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
    return [cli.run(line.split()) for line in lines]


def reads_settings(world: Any) -> None:
    """Have the service read a ConfigMap, which somebody changes while a version is let in.

    Of it there is a copy for a revision that nobody can go back to any more.
    """
    body = {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    settings = world.cluster.request("POST", path("ConfigMap", "shop"), body=body)
    template: Json = {"metadata": {}, "spec": {"containers": []}}
    named = {"name": "checkout", "namespace": "shop", "uid": "x"}
    gone = {"kind": "Deployment", "metadata": named, "spec": {"template": template}}
    copy = copy_of(gone, settings, rollout="checkout-v0-1", image="localhost/checkout:v0", revision=1)
    world.cluster.request("POST", path("ConfigMap", "shop"), body=copy)
    for kind in KINDS:
        for found in world.cluster.request("GET", path(kind, "shop"))["items"]:
            found["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
            world.cluster.request("PUT", path(kind, "shop", found["metadata"]["name"]), body={**found, "kind": kind})
    world.pass_time(10)
    where, changed = path("ConfigMap", "shop", "settings"), {"data": {"a": "2"}}
    soon = world.clock.now() - world.begin + 1
    world.at_time[soon] = lambda: world.cluster.request("PATCH", where, body=changed, content_type=MERGE_PATCH)


def test_no_verb_is_granted_that_nothing_uses(
    make_world: Callable[..., Any], used: set[Use], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way to let a version in, promoted or taken back; a line stopped and let run."""
    for way in WAYS:
        world = make_world(**way)
        (world.folder / "local" / "cluster-uid").unlink(missing_ok=True)  # each world is another cluster
        if "history" not in way:  # pods that are made anew for it would have none
            reads_settings(world)
        world.cluster.log = FakeLogs({}).log
        world.behave(V2, failing=0.2)
        assert typed(world, monkeypatch, f"{START} --dry-run", START) == [0, 1]
    world = make_world()
    (world.folder / "local" / "cluster-uid").unlink()
    facts = {"metadata": {"name": ENVIRONMENT_CONFIGMAP}, "data": {}}
    world.cluster.request("POST", path("ConfigMap", SYSTEM_NAMESPACE), body=facts)
    lines = (START, "rollout undo checkout --yes", "rollout freeze --why test --yes", "rollout thaw --yes")
    assert typed(world, monkeypatch, *lines) == [0, 0, 0, 0]

    granted = {
        (verb, rule.group, rule.resource, namespace)
        for namespace in ("shop", "quarterdeck", access.IDENTITY_NAMESPACE)
        for rule in access.rules(namespace)
        for verb in rule.verbs
        if rule.part not in {access.TELLING, access.FOLLOWING}  # made use of by tests of their own
    }
    assert granted - {(use.verb, use.group, use.resource, use.namespace) for use in used} == set()
