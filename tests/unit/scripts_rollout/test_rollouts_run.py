"""Whole rollouts against a cluster in memory: what is left, what is written down, what is exited with."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.rollout.acting.stop import StopRequest
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from typing import Any

    from quarterdeck_scripts.rollout.steps.actions import Outcome

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"


def start(world: Any, image: str = V2, forced: str = "") -> tuple[Outcome, int, RolloutRecord]:
    """Run `rollout start` on *world* without its questions."""
    session = world.session()
    plan = session.plan(image, session.view().inspect(), forced)
    record = session.record(plan)
    outcome, code = session.run(flow.start(plan), record)
    return outcome, code, record


def is_back_on_v1(world: Any) -> bool:
    """Return whether nothing is left of the rollout."""
    return (
        world.images() == [V1] * 3
        and world.deployments() == ["checkout"]
        and ROLLOUT_STATE not in world.annotations()
        and holder(world) == ""
    )


def holder(world: Any) -> str:
    """Return who holds the lock."""
    lease = world.cluster.request("GET", path("Lease", "shop", "quarterdeck-rollout-checkout"))
    return str(lease["spec"]["holderIdentity"])


def test_a_healthy_version_is_promoted(world: Any) -> None:
    """A canary without errors passes; the stable pods are the new version and the canary is gone."""
    outcome, code, record = start(world)

    assert (outcome.ending, code) == (Ending.PROMOTED, 0)
    assert world.images() == [V2] * 3
    assert world.deployments() == ["checkout"]
    assert ROLLOUT_STATE not in world.annotations()
    assert holder(world) == ""
    assert record.replay() is not None
    assert record.replay().verdict == "PASS"  # type: ignore[union-attr]


def test_a_failing_version_is_rolled_back(world: Any) -> None:
    """A canary that fails 5 % of its requests is found out in seconds, and everything is as it was."""
    world.behave(V2, failing=0.05)

    outcome, code, record = start(world)

    assert (outcome.ending, code) == (Ending.ROLLED_BACK, 1)
    assert is_back_on_v1(world)
    assert record.readings[-1].at - record.since < 20
    (availability, _) = record.replay().judgements  # type: ignore[union-attr]
    assert availability.verdict == "FAIL"
    assert availability.stable.bad == 0


def test_a_slow_version_is_rolled_back(world: Any) -> None:
    """A canary that misses the latency SLO is rolled back although it answers everything."""
    world.behave(V2, slow=0.1)

    outcome, code, _ = start(world)

    assert (outcome.ending, code) == (Ending.ROLLED_BACK, 1)
    assert "slower than 250 ms" in outcome.reason
    assert is_back_on_v1(world)


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ImagePullBackOff"])
def test_a_canary_that_cannot_run_is_named_and_removed(world: Any, reason: str) -> None:
    """A canary whose pods never become Ready fails with the reason the cluster gives."""
    world.controllers.faults[V2] = reason

    outcome, code, _ = start(world)

    assert (outcome.ending, code) == (Ending.ROLLED_BACK, 1)
    assert reason in outcome.reason
    assert is_back_on_v1(world)


def test_an_unschedulable_canary_is_removed(world: Any) -> None:
    """A canary that no node takes fails with that reason."""
    body = {"spec": {"unschedulable": True}}
    world.cluster.request("PATCH", path("Node", name="n1"), body=body, content_type=MERGE_PATCH)

    outcome, code, _ = start(world)

    assert (outcome.ending, code) == (Ending.ROLLED_BACK, 1)
    assert "Unschedulable" in outcome.reason
    assert is_back_on_v1(world)


def test_no_scrapes_mean_no_verdict(world: Any) -> None:
    """When Prometheus stops scraping, nothing passes: the time runs out and everything is put back."""
    world.scraping = False

    outcome, code, record = start(world)

    assert (outcome.ending, code) == (Ending.INCONCLUSIVE, 3)
    assert all(reading.causes for reading in record.readings)
    assert is_back_on_v1(world)


def test_a_new_version_whose_stable_pods_crash_is_undone(world: Any) -> None:
    """When the promotion itself fails, the whole previous template comes back."""
    before = world.deployment()["spec"]["template"]
    session = world.session()
    plan = session.plan(V2, session.view().inspect(), "a test")
    world.controllers.faults[V2] = "CrashLoopBackOff"

    outcome, code = session.run(flow.start(plan), session.record(plan))

    assert (outcome.ending, code) == (Ending.ROLLED_BACK, 1)
    assert world.deployment()["spec"]["template"] == before
    assert is_back_on_v1(world)


def test_force_promotes_without_a_verdict(world: Any) -> None:
    """`--force` needs no canary, and its reason is in the audit log."""
    outcome, code, record = start(world, forced="the shop is closed anyway")

    assert (outcome.ending, code) == (Ending.PROMOTED, 0)
    assert world.images() == [V2] * 3
    assert record.readings == []
    log = "".join(file.read_text() for file in (world.folder / "audit").glob("*.jsonl"))
    assert "the shop is closed anyway" in log


def test_every_change_is_audited_before_and_after(world: Any) -> None:
    """The log on disk has each change twice, in the order they were made."""
    start(world)

    (file,) = (world.folder / "audit").glob("*.jsonl")
    actions = [json.loads(line)["action"] for line in file.read_text().splitlines()]
    assert actions == [
        action
        for action in (
            "rollout: note",
            "rollout: create canary",
            "rollout: note",
            "rollout: promote",
            "rollout: delete canary",
            "rollout: note",
        )
        for _ in range(2)
    ]


def test_somebody_elses_deployment_ends_the_judging(world: Any) -> None:
    """When the stable version changes under a canary, nothing is promoted and theirs is left alone."""
    world.behave(V2, rate=1.0)
    other = {"spec": {"template": {"metadata": {"annotations": {"team": "theirs"}}}}}
    where = path("Deployment", "shop", "checkout")
    world.at_time[45.0] = lambda: world.cluster.request("PATCH", where, body=other, content_type=MERGE_PATCH)

    outcome, code, _ = start(world)

    assert (outcome.ending, code) == (Ending.INCONCLUSIVE, 3)
    assert "somebody else changed the stable version" in outcome.reason
    assert world.deployment()["spec"]["template"]["metadata"]["annotations"] == {"team": "theirs"}
    assert world.deployments() == ["checkout"]


def test_a_canary_edited_by_somebody_else_ends_the_judging(world: Any) -> None:
    """Once the evidence of the old template counted on for the new one, which bears the same version."""
    world.behave(V2, rate=1.0)
    other = {"spec": {"template": {"metadata": {"annotations": {"team": "theirs"}}}}}
    where = path("Deployment", "shop", "checkout-canary")
    world.at_time[45.0] = lambda: world.cluster.request("PATCH", where, body=other, content_type=MERGE_PATCH)

    outcome, code, _ = start(world)

    assert (outcome.ending, code) == (Ending.INCONCLUSIVE, 3)
    assert "somebody else changed the new version: checkout-canary-" in outcome.reason
    assert (world.images(), world.deployments()) == ([V1] * 3, ["checkout"])


def test_an_image_that_already_runs_is_refused(world: Any) -> None:
    """There is nothing to roll out; the lock is given back."""
    with pytest.raises(RefusedError, match="does not run yet"):
        start(world, V1)

    assert holder(world) == ""


@pytest.mark.parametrize(
    ("spec", "found"), [({"replicas": 0}, "none: it is scaled to 0"), ({"paused": True}, "spec.paused: true")]
)
def test_what_could_not_take_a_new_version_is_refused(world: Any, spec: Any, found: str) -> None:
    """Once a paused Deployment was judged, promoted and put back, because its pods never became the new ones."""
    where = path("Deployment", "shop", "checkout")
    world.cluster.request("PATCH", where, body={"spec": spec}, content_type=MERGE_PATCH)

    with pytest.raises(RefusedError, match=found):
        start(world)

    assert world.deployments() == ["checkout"]
    assert ROLLOUT_STATE not in world.annotations()


def test_the_record_can_be_read_back(world: Any) -> None:
    """The file says the same, byte for byte, after it was read, and its verdict is computed anew."""
    _, _, record = start(world)

    text = (world.folder / "local" / "rollouts" / f"{record.id}.json").read_text()
    assert RolloutRecord.from_json(text).to_json() == text
    assert json.loads(text)["assessment"]["verdict"] == "PASS"
    assert json.loads(text)["ending"] == "promoted"


def test_a_rollout_whose_environment_is_ended_leaves_no_record(world: Any) -> None:
    """The folder is not made again: with nothing else in it, no local environment could be started there any more."""
    folder = world.folder / "local"
    world.at_time[45.0] = lambda: shutil.rmtree(folder)

    start(world)

    assert not folder.exists()


def test_a_signal_before_anything_was_changed_ends_it_with_nothing_to_put_back(world: Any) -> None:
    """Ctrl-C while the lock is waited for is an ending, not an error nobody expected."""
    session, stop = world.session(), StopRequest()
    plan = session.plan(V2, session.view().inspect())
    stop.ask(signal.SIGINT)
    before = world.deployment()

    outcome, code = session.run(flow.start(plan), session.record(plan), stop=stop)

    assert world.cluster.request("GET", path("Lease", "shop"))["items"] == []
    assert (outcome.ending, outcome.reason, code) == (Ending.INTERRUPTED, "stopped by Ctrl-C", 130)
    assert world.deployment() == before
