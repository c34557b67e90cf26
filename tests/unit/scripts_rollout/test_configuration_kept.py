"""ConfigMaps that a rollout finds changed or gone on its way back are as they were, or named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.kubernetes import KEPT_OF
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.rollout import beginning
from quarterdeck_scripts.rollout.acting.copies import copy_of, outdated
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.steps.actions import Outcome

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


@pytest.fixture
def world(world: Any) -> Any:
    """Return a world whose service reads two ConfigMaps and a Secret."""
    for name in ("settings", "prices"):
        body = {"metadata": {"name": name, "labels": {"team": "payments"}}, "data": {"a": "1", "b": "2"}}
        world.cluster.request("POST", path("ConfigMap", "shop"), body=body)
    reads = {
        "name": "checkout",
        "image": V1,
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}],
    }
    volumes = [{"name": "prices", "configMap": {"name": "prices"}}]
    deployment = world.deployment()
    deployment["spec"]["template"]["spec"] = {"containers": [reads], "volumes": volumes}
    world.cluster.request("PUT", path("Deployment", "shop", "checkout"), body=deployment)
    world.pass_time(10)
    return world


def run(world: Any, steps: Callable[[flow.Plan], Any], image: str = V2) -> Outcome:
    """Run a flow."""
    session = world.session()
    plan = session.plan(image, session.view().inspect())
    outcome: Outcome = session.run(steps(plan), session.record(plan))[0]
    return outcome


def config_map(world: Any, name: str) -> Json:
    """Return a ConfigMap as it is."""
    found: Json = world.cluster.request("GET", path("ConfigMap", "shop", name))
    return found


def edit(world: Any, name: str, data: dict[str, str | None]) -> None:
    """Have somebody change a ConfigMap."""
    where = path("ConfigMap", "shop", name)
    world.cluster.request("PATCH", where, body={"data": data}, content_type=MERGE_PATCH)


def deploy(world: Any, image: str) -> None:
    """Have somebody change the version without a rollout."""
    deployment = world.deployment()
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image
    deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] = image.rpartition(":")[2]
    world.cluster.request("PUT", path("Deployment", "shop", "checkout"), body=deployment)
    world.pass_time(10)


def copies(world: Any) -> list[Json]:
    """Return the copies that are kept."""
    found: list[Json] = world.cluster.request(
        "GET", path("ConfigMap", "shop"), query={"labelSelector": f"{KEPT_OF}=checkout"}
    )["items"]
    return found


def test_what_was_edited_during_a_failed_rollout_is_put_back(world: Any) -> None:
    """Whole, the keys that were added too; and what cannot be put back is said."""
    world.behave(V2, failing=0.05)
    world.at_time[world.clock.now() - world.begin + 2] = lambda: edit(world, "settings", {"a": "9", "c": "3"})

    outcome = run(world, flow.start)

    assert outcome.ending is Ending.ROLLED_BACK
    assert config_map(world, "settings")["data"] == {"a": "1", "b": "2"}
    assert outcome.reason.endswith("Not restored: Secrets are never copied: keys as they are now.")
    assert copies(world) == []


def test_what_was_deleted_after_a_promotion_comes_back_with_undo(world: Any) -> None:
    """Labels and all, before the pods that read it."""
    run(world, flow.start)
    world.cluster.request("DELETE", path("ConfigMap", "shop", "prices"))
    edit(world, "settings", {"b": None})

    outcome = run(world, flow.undo, "")

    assert outcome.ending is Ending.UNDONE
    assert world.images() == [V1] * 3
    assert config_map(world, "settings")["data"] == {"a": "1", "b": "2"}
    prices = config_map(world, "prices")
    assert (prices["data"], prices["metadata"]["labels"]) == ({"a": "1", "b": "2"}, {"team": "payments"})


def test_what_is_as_it_was_is_left_alone(world: Any) -> None:
    """Nothing is written, and nothing need be said of Secrets."""
    world.behave(V2, failing=0.05)
    before = config_map(world, "settings")["metadata"]["resourceVersion"]

    outcome = run(world, flow.start)

    assert config_map(world, "settings")["metadata"]["resourceVersion"] == before
    assert "Not restored" not in outcome.reason


def test_what_has_no_copy_is_named_when_it_is_gone(world: Any) -> None:
    """An undo of what nobody rolled out."""
    deploy(world, V2)
    world.cluster.request("DELETE", path("ConfigMap", "shop", "prices"))

    outcome = run(world, flow.undo, "")

    assert "Not restored: ConfigMap prices, which is gone, and of which there is no copy." in outcome.reason


def test_an_immutable_one_with_another_content_is_named(world: Any) -> None:
    """It could only be deleted and made anew, which is not ours to do."""
    world.behave(V2, failing=0.05)

    def seal() -> None:
        edit(world, "settings", {"a": "9"})
        where = path("ConfigMap", "shop", "settings")
        world.cluster.request("PATCH", where, body={"immutable": True}, content_type=MERGE_PATCH)

    world.at_time[world.clock.now() - world.begin + 2] = seal
    outcome = run(world, flow.start)

    assert "Not restored: ConfigMap settings, which is immutable and has another content" in outcome.reason


def test_a_copy_is_of_what_was_there_when_the_rollout_began(world: Any) -> None:
    """A later rollout from the same version copies anew: what was meant meanwhile is not taken back."""
    run(world, flow.start)
    deploy(world, V1)
    edit(world, "settings", {"a": "5"})
    world.behave(V2, failing=0.05)
    world.at_time[world.clock.now() - world.begin + 2] = lambda: edit(world, "prices", {"b": "7"})

    run(world, flow.start)

    assert config_map(world, "settings")["data"] == {"a": "5", "b": "2"}
    assert config_map(world, "prices")["data"] == {"a": "1", "b": "2"}


def test_a_guarded_update_is_not_taken_back_to_copies_of_an_earlier_rollout(world: Any) -> None:
    """A guard has kept none: what was edited since somebody rolled the same version out stays."""
    run(world, flow.start)
    deploy(world, V1)
    edit(world, "settings", {"a": "5"})
    world.behave(V2, failing=0.05)
    world.controllers.faults[V2] = "ContainerCreating"
    deploy(world, V2)

    def get_ready() -> None:
        world.controllers.faults.clear()
        world.controllers.settle(world.cluster)

    world.at_time[world.clock.now() - world.begin + 10] = get_ready
    outcome, _ = beginning.carry_out([beginning.guarded(world.session())])

    assert outcome.ending is Ending.ROLLED_BACK
    assert world.images() == [V1] * 3
    assert config_map(world, "settings")["data"] == {"a": "5", "b": "2"}


@pytest.mark.parametrize(("failing", "image"), [(0.05, V2), (0.0, "localhost/checkout:v3")])
def test_an_undo_of_what_others_deployed_leaves_what_was_edited(world: Any, failing: float, image: str) -> None:
    """A rollout from the same version kept copies: it went back, or let another version in."""
    world.behave(V2, failing=failing)
    run(world, flow.start)
    if not failing:
        deploy(world, V1)
    edit(world, "settings", {"a": "5"})
    deploy(world, image)

    outcome = run(world, flow.undo, "")

    assert outcome.ending is Ending.UNDONE
    assert world.images() == [V1] * 3
    assert config_map(world, "settings")["data"] == {"a": "5", "b": "2"}


@pytest.mark.parametrize("again", [False, True])
def test_a_version_that_was_deployed_again_by_hand_is_undone_without_copies(world: Any, *, again: bool) -> None:
    """The rollout that let it in is long over: what was edited since is meant. Not so where nobody came between."""
    run(world, flow.start)
    if again:
        deploy(world, V1)
        deploy(world, V2)
    edit(world, "settings", {"a": "5"})

    outcome = run(world, flow.undo, "")

    assert outcome.ending is Ending.UNDONE
    assert world.images() == [V1] * 3
    assert config_map(world, "settings")["data"] == {"a": "5" if again else "1", "b": "2"}


def test_copies_go_with_the_last_revision_that_reads_them(world: Any) -> None:
    """Only what can be gone back to is kept."""
    workload = world.deployment()
    first = copy_of(workload, config_map(world, "settings"), rollout="checkout-v2-1", image=V2, revision=1)

    assert outdated([first], [workload["spec"]["template"]]) == []
    assert outdated([first], [{"metadata": {}, "spec": {"containers": []}}]) == [first]


def test_no_secret_is_read(world: Any) -> None:
    """Not to copy it, and not to compare it."""
    world.behave(V2, failing=0.05)
    run(world, flow.start)

    assert [where for _, where in world.cluster.requests if "/secrets" in where] == []
