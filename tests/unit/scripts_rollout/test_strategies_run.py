"""Whole rollouts by each strategy against a cluster in memory: what is left, promoted or taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests import rollouts
from tests.rollouts import Killed

from quarterdeck_contract.errors import EXIT_DONE, RefusedError
from quarterdeck_contract.kubernetes import HELD, ROLLOUT_STATE, TRACK, TRACK_BASELINE
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, path
from quarterdeck_scripts.kube.patches import pointer
from quarterdeck_scripts.kube.revisions import RESTARTED_AT
from quarterdeck_scripts.kube.traffic import service_of, weigh_patch
from quarterdeck_scripts.kube.workloads import canary_of, hold_patch, promote_patch
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout import beginning, going_back, status
from quarterdeck_scripts.rollout.acting.changes import Changes
from quarterdeck_scripts.rollout.rehearsal import rehearse
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending
from quarterdeck_scripts.rollout.steps.train import Member

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.steps.actions import Outcome

V1, V2, V3 = "localhost/checkout:v1", "localhost/checkout:v2", "localhost/checkout:v3"

WAYS = {way: made for way, made in rollouts.WAYS.items() if way != "canary"} | {"weights": {"weights": "[10, 50]"}}
"""What a world is made with, by the name of the way a version is let in; of routes, in two steps."""


@pytest.fixture(params=WAYS)
def world(request: pytest.FixtureRequest, make_world: Callable[..., Any]) -> Any:
    """Return a world for each way."""
    return make_world(**WAYS[request.param])


def run(world: Any, image: str = V2) -> tuple[Outcome, RolloutRecord]:
    """Run `rollout start` without its questions."""
    session = world.session()
    plan = session.plan(image, session.view().inspect())
    record = session.record(plan)
    outcome, _ = session.run(flow.start(plan), record)
    return outcome, record


def left(world: Any) -> dict[str, Any]:
    """Return all that a rollout may leave: specification but for the template, annotations, other objects."""
    workload = world.deployment()
    annotations = workload["metadata"].get("annotations") or {}
    return {
        "spec": {key: value for key, value in workload["spec"].items() if key != "template"},
        "notes": sorted({ROLLOUT_STATE, HELD} & set(annotations)),
        "selector": world.cluster.request("GET", path("Service", "shop", "checkout"))["spec"]["selector"],
        "deployments": world.deployments(),
        "services": [each["metadata"]["name"] for each in world._items("Service")],
        "switched": [each["metadata"].get("annotations") or {} for each in world._items("Service")],
        "routes": [each["spec"] for each in world._items("HTTPRoute")],
    }


def test_a_healthy_version_is_promoted(world: Any) -> None:
    """All pods are of the new version, and nothing is left but that."""
    before = left(world)

    outcome, record = run(world)

    assert outcome.ending is Ending.PROMOTED, outcome.reason
    assert world.images() == [V2] * 3
    assert left(world) == before
    last = record.readings[-1].tallies[0]
    assert last.canary.requests > 0
    assert last.stable.requests > 0


def test_a_failing_version_is_taken_back(world: Any) -> None:
    """All pods are of the old version, the whole template is back, and nothing is left."""
    world.behave(V2, failing=0.05)
    before, template = left(world), world.deployment()["spec"]["template"]

    outcome, record = run(world)

    assert outcome.ending is Ending.ROLLED_BACK, outcome.reason
    assert world.images() == [V1] * 3
    assert left(world) == before
    assert world.deployment()["spec"]["template"] == template
    assert record.readings[-1].tallies[0].stable.bad == 0


HELD_BACK = pytest.mark.parametrize("way", ["rolling", "partition", "daemons"])
"""The ways that hold the workload's own update."""


def deploy_by_hand(world: Any, image: str, note: str = "") -> None:
    """Have somebody write *image* and a *note* into the pods' template."""
    container = world.deployment()["spec"]["template"]["spec"]["containers"][0] | {"image": image}
    labels = {"app.kubernetes.io/version": image.rpartition(":")[2]}
    template = {
        "metadata": {"labels": labels, **({"annotations": {"team": note}} if note else {})},
        "spec": {"containers": [container]},
    }
    where = path(world.kind, "shop", "checkout")
    world.cluster.request("PATCH", where, body={"spec": {"template": template}}, content_type=MERGE_PATCH)


@HELD_BACK
@pytest.mark.parametrize("stateless", [False, True])
def test_what_somebody_deploys_over_a_held_update_goes_out(
    make_world: Callable[..., Any], way: str, *, stateless: bool
) -> None:
    """Once the hold stayed: a hotfix waited for ever, and an abort put the version under judgement in its place."""
    world = make_world(**WAYS[way])
    world.behave(V2, rate=0.0)
    before = left(world)

    def hotfix() -> None:
        deploy_by_hand(world, V3)
        if stateless:
            raise Killed

    world.at_time[45.0] = hotfix
    if stateless:
        with pytest.raises(Killed):
            run(world)
        note = [{"op": "remove", "path": pointer("metadata", "annotations", ROLLOUT_STATE)}]
        where = path(world.kind, "shop", "checkout")
        world.cluster.request("PATCH", where, body=note, content_type=JSON_PATCH)
        FakeClock.sleep(world.clock, 31)
        assert going_back.abort(world.session, ["checkout"], yes=True, dry_run=False, take_over=True) == EXIT_DONE
    else:
        outcome, _ = run(world)
        assert outcome.ending is Ending.INCONCLUSIVE
        assert outcome.reason == f"somebody else changed the stable version: its pods' template (now {V3})"

    assert world.images() == [V3] * 3
    assert left(world) == before


@HELD_BACK
def test_a_held_update_that_somebody_edits_goes_back_to_the_version_before(
    make_world: Callable[..., Any], way: str
) -> None:
    """Once it went back to the template before the edit, which has the version that was not to serve."""
    world = make_world(**WAYS[way])
    world.behave(V2, rate=0.0)
    template, before = world.deployment()["spec"]["template"], left(world)
    world.at_time[45.0] = lambda: deploy_by_hand(world, V2, note="theirs")

    outcome, _ = run(world)

    assert outcome.ending is Ending.INCONCLUSIVE
    assert world.images() == [V1] * 3
    assert world.deployment()["spec"]["template"] == template
    assert left(world) == before


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ImagePullBackOff"])
def test_a_version_that_cannot_run_is_named_and_taken_back(world: Any, reason: str) -> None:
    """A StatefulSet too: its controller would wait for the broken pod for ever."""
    world.controllers.faults[V2] = reason
    before = left(world)

    outcome, _ = run(world)

    assert outcome.ending is Ending.ROLLED_BACK
    assert reason in outcome.reason
    assert world.images() == [V1] * 3
    assert left(world) == before


def test_what_is_promoted_can_be_undone(world: Any) -> None:
    """The previous revision comes back whole, whatever keeps it."""
    template = world.deployment()["spec"]["template"]
    run(world)

    session = world.session()
    plan = session.plan("", session.view().inspect())
    outcome, _ = session.run(flow.undo(plan), session.record(plan))

    assert outcome.ending is Ending.UNDONE
    assert world.images() == [V1] * 3
    assert world.deployment()["spec"]["template"] == template


def test_a_version_that_was_once_restored_is_taken_back_when_it_breaks(
    make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undone to v1, on to v2, and to v1 once more, which never gets Ready: v2 is whole again in the end."""
    world = make_world()
    run(world)
    session = world.session()
    plan = session.plan("", session.view().inspect())
    session.run(flow.undo(plan), session.record(plan))
    run(world)
    promote = Changes.promote

    def breaking(changes: Changes, image: str) -> None:
        world.controllers.faults[V1] = "CrashLoopBackOff"
        promote(changes, image)

    monkeypatch.setattr(Changes, "promote", breaking)
    outcome, _ = run(world, V1)

    assert outcome.ending is Ending.ROLLED_BACK
    assert world.images() == [V2] * 3


@pytest.mark.parametrize("failing", [0.0, 0.05])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_an_update_that_somebody_else_began_is_judged(
    make_world: Callable[..., Any], kind: str, failing: float
) -> None:
    """Held where it is found, and then let go or taken back, whatever the catalogue's strategy is."""
    world = make_world(kind)
    world.behave(V2, failing=failing)
    before = left(world)
    world.controllers.faults[V2] = "ContainerCreating"
    where = path(kind, "shop", "checkout")
    body = promote_patch(world.deployment(), V2)
    world.cluster.request("PATCH", where, body=body, content_type=JSON_PATCH)

    def get_ready() -> None:
        world.controllers.faults.clear()
        world.controllers.settle(world.cluster)

    world.at_time[world.clock.now() - world.begin + 10] = get_ready
    found = beginning.guarded(world.session())
    outcome, _ = beginning.carry_out([found])

    assert found.plan.new.origin == V1
    assert outcome.ending is (Ending.ROLLED_BACK if failing else Ending.PROMOTED), outcome.reason
    assert world.images() == [V1 if failing else V2] * 3
    assert left(world) == before


def test_a_settled_service_has_nothing_to_guard(world: Any) -> None:
    """It says how a judged rollout is begun."""
    with pytest.raises(RefusedError, match="rollout start checkout --image"):
        beginning.guarded(world.session())


@pytest.mark.parametrize("restarted", [False, True])
def test_an_update_within_one_version_cannot_be_guarded(make_world: Callable[..., Any], *, restarted: bool) -> None:
    """Only variables are changed, or it is a restart: no look could tell new pods from old ones."""
    world = make_world()
    run(world)
    world.controllers.faults[V2] = "ContainerCreating"
    template: dict[str, Any] = {"metadata": {"annotations": {RESTARTED_AT: "2026-11-22T10:00:00Z"}}}
    if not restarted:
        template = {"spec": {"containers": [{"name": "checkout", "image": V2, "env": [{"name": "A", "value": "2"}]}]}}
    body = {"spec": {"template": template}}
    world.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=MERGE_PATCH)

    with pytest.raises(RefusedError, match="an update or a restart within v2"):
        beginning.guarded(world.session())


def test_a_baseline_that_was_left_is_refused_and_taken_away(make_world: Callable[..., Any]) -> None:
    """Somebody took the note away and the canary, and forgot what it was compared with."""
    world = make_world(baseline="fresh")
    beside = canary_of(world.deployment(), V1, 1, TRACK_BASELINE)
    world.cluster.request("POST", path("Deployment", "shop"), body=beside)

    with pytest.raises(RefusedError, match="no baseline of checkout"):
        beginning.starts(world.session, [Member("checkout", V2)], (), "")
    assert going_back.abort(world.session, ["checkout"], yes=True, dry_run=False, take_over=False) == 0

    assert world.deployments() == ["checkout"]
    assert world.images() == [V1] * 3


def test_a_route_that_names_the_canarys_service_itself_is_refused(make_world: Callable[..., Any]) -> None:
    """It would be weighed as if a rollout had made it, and lead nowhere once that is over."""
    world = make_world(weights="[50]")
    rule = {"backendRefs": [{"name": "checkout-canary", "port": 80, "weight": 1}]}
    body = {"metadata": {"name": "testers"}, "spec": {"rules": [rule]}}
    world.cluster.request("POST", path("HTTPRoute", "shop"), body=body)

    with pytest.raises(RefusedError) as refused:
        beginning.starts(world.session, [Member("checkout", V2)], (), "")

    assert refused.value.found == "testers does"
    assert world.deployments() == ["checkout"]


def test_no_request_reaches_a_green_pod_before_the_switch(make_world: Callable[..., Any]) -> None:
    """And after it none reaches a blue one."""
    world = make_world(**WAYS["blue-green"])
    seen = set()
    passing = world.clock.sleep

    def sleep(seconds: float) -> None:
        passing(seconds)
        selector = world.cluster.request("GET", path("Service", "shop", "checkout"))["spec"]["selector"]
        seen.add((selector.get(TRACK), len(world.pods())))

    world.clock.sleep = sleep
    run(world)

    assert ("canary", 6) in seen
    assert (None, 6) not in seen


def test_requests_follow_the_weights(make_world: Callable[..., Any]) -> None:
    """Step by step, within two points; other backends keep their part, and in the end all is as it was."""
    world = make_world(**WAYS["weights"])
    for image in (V1, V2):
        world.behave(image, rate=160.0)
    other = {"name": "legacy", "port": 80, "weight": 3}
    route = world.cluster.request("GET", path("HTTPRoute", "shop", "front"))
    route["spec"]["rules"][0]["backendRefs"].append(other)
    world.cluster.request("PUT", path("HTTPRoute", "shop", "front"), body=route)
    shares, legacies = [], []
    passing = world.clock.sleep

    def sleep(seconds: float) -> None:
        passing(seconds)
        refs = world._items("HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"]
        weights = {ref["name"]: ref["weight"] for ref in refs}
        share = 100 * weights.get("checkout-canary", 0) / (weights["checkout"] + weights.get("checkout-canary", 0))
        shares.append(share)
        legacies.append(weights["legacy"] / sum(weights.values()))

    world.clock.sleep = sleep
    outcome, record = run(world)

    assert outcome.ending is Ending.PROMOTED, outcome.reason
    assert set(shares) == {10, 50}
    assert shares == sorted(shares)
    assert set(legacies) == {0.75}
    last = record.readings[-1].tallies[0]
    assert 100 * last.canary.requests / (last.canary.requests + last.stable.requests) == pytest.approx(50, abs=2)
    assert world._items("HTTPRoute")[0]["spec"] == route["spec"]


@pytest.mark.parametrize("weight", [1, 0])
def test_a_rule_that_somebody_adds_meanwhile_leaves_no_route_on_the_canary(
    make_world: Callable[..., Any], weight: int
) -> None:
    """It has no share of the canary's, and its route is put back all the same before the canary goes."""
    world = make_world(**WAYS["weights"])
    world.behave(V2, failing=0.05)
    front = path("HTTPRoute", "shop", "front")
    added = {
        "matches": [{"path": {"value": "/new"}}],
        "backendRefs": [{"name": "checkout", "port": 80, "weight": weight}],
    }
    wanted = [*world.cluster.request("GET", front)["spec"]["rules"], added]

    def add() -> None:
        route = world.cluster.request("GET", front)
        assert route["spec"]["rules"] != wanted[:1]
        route["spec"]["rules"].append(added)
        world.cluster.request("PUT", front, body=route)

    world.at_time[36] = add
    outcome, _ = run(world)

    assert outcome.ending is Ending.ROLLED_BACK
    assert world.cluster.request("GET", front)["spec"]["rules"] == wanted
    assert [each["metadata"]["name"] for each in world._items("Service")] == ["checkout"]


def test_a_canarys_service_left_alone_is_aborted_before_another_begins(make_world: Callable[..., Any]) -> None:
    """Routes may still lead to it; one of the same name that its owner made is left alone."""
    world = make_world(**WAYS["weights"])
    front, before = path("HTTPRoute", "shop", "front"), left(world)
    service = world.cluster.request("GET", path("Service", "shop", "checkout"))
    made = service_of(service, "checkout-canary", "canary")
    world.cluster.request("POST", path("Service", "shop"), body=made)
    route = world.cluster.request("GET", front)
    body = weigh_patch(route, "checkout", "checkout-canary", 10)
    world.cluster.request("PATCH", front, body=body, content_type=JSON_PATCH)

    with pytest.raises(RefusedError, match="no Service of a canary of checkout"):
        run(world)
    assert going_back.abort(world.session, ["checkout"], yes=True, dry_run=False, take_over=False) == 0

    assert left(world) == before
    del made["metadata"]["labels"]
    world.cluster.request("POST", path("Service", "shop"), body=made)
    assert not world.session().view().inspect().weighed


def test_weights_without_a_route_are_refused_before_anything_is_changed(make_world: Callable[..., Any]) -> None:
    """There is nothing to weigh."""
    world = make_world(**WAYS["weights"])
    world.cluster.request("DELETE", path("HTTPRoute", "shop", "front"))

    with pytest.raises(RefusedError, match="an HTTPRoute that leads to checkout"):
        beginning.starts(world.session, [Member("checkout", V2)], (), "")

    assert world.deployments() == ["checkout"]
    assert ROLLOUT_STATE not in world.annotations()


def test_a_service_that_leads_to_one_track_by_its_owners_will_is_left_alone(make_world: Callable[..., Any]) -> None:
    """There is nothing to switch then, and nothing of it is for an abort to put back."""
    world = make_world(**WAYS["blue-green"])
    where, body = path("Service", "shop", "checkout"), {"spec": {"selector": {TRACK: "stable"}}}
    world.cluster.request("PATCH", where, body=body, content_type=MERGE_PATCH)
    before = left(world)

    with pytest.raises(RefusedError, match="whose selector is switched"):
        run(world)
    session = world.session()
    plan = session.plan(V2, session.view().inspect())
    session.run(flow.abort(plan), session.record(plan))

    assert left(world) == before


def test_a_held_update_is_shown_as_what_is_let_in(make_world: Callable[..., Any]) -> None:
    """Its first pods, beside the whole workload; what somebody deploys over it is not taken for it."""
    world = make_world(**WAYS["rolling"])
    body = hold_patch(world.deployment(), V2, 1)
    world.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=body, content_type=JSON_PATCH)

    found = status.of(world.cluster, world.session().environment.cluster_uid, "shop", "checkout")

    assert found.canary == status.SideStatus(V2, desired=1, ready=1, done=True, problems=())
    assert "abort removes it" in str(found)

    deploy_by_hand(world, V3)
    found = status.of(world.cluster, world.session().environment.cluster_uid, "shop", "checkout")
    assert (found.stable.image, found.canary.image) == (V3, V2)


def test_a_dry_run_shows_every_change_and_makes_none(world: Any) -> None:
    """The flow's own steps, on a cluster that stores nothing."""
    before, pods = left(world), world.pods()
    session = world.session()
    plan = session.plan(V2, session.view().inspect())

    told = rehearse(session, plan, flow.start(plan))

    assert "Promote localhost/checkout:v2" in told
    assert left(world) == before
    assert world.pods() == pods
