"""Deployments: how far they are, what they were, and how they are changed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import ROLLED_BACK
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, ApiError, path
from quarterdeck_scripts.kube.revisions import RollBack, previous_revision, revisions, rolled_back
from quarterdeck_scripts.kube.workloads import (
    WorkloadStatus,
    canary_of,
    hold_patch,
    promote_patch,
    restart_patch,
    status_of,
    undo_patch,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.kube.fake import FakeCluster
    from quarterdeck_scripts.kube.fake_controllers import Controllers

CHECKOUT = path("Deployment", "shop", "checkout")

V2 = "localhost/checkout:v2"

BAD = "localhost/checkout:bad"


def now(cluster: FakeCluster) -> tuple[Json, list[Json]]:
    """Return the Deployment and its ReplicaSets as they are."""
    return cluster.request("GET", CHECKOUT), cluster.request("GET", path("ReplicaSet", "shop"))["items"]


def promote(cluster: FakeCluster, image: str) -> None:
    """Deploy *image*."""
    cluster.request("PATCH", CHECKOUT, body=promote_patch(now(cluster)[0], image), content_type=JSON_PATCH)


def restart(cluster: FakeCluster) -> None:
    """Restart every pod."""
    body = restart_patch(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    cluster.request("PATCH", CHECKOUT, body=body, content_type=MERGE_PATCH)


def undo(cluster: FakeCluster) -> None:
    """Go back to the previous revision."""
    deployment, replica_sets = now(cluster)
    revision = previous_revision(deployment, replica_sets)
    assert revision
    cluster.request("PATCH", CHECKOUT, body=undo_patch(deployment, revision, replica_sets), content_type=JSON_PATCH)


def status(cluster: FakeCluster) -> WorkloadStatus:
    """Return how far the Deployment is."""
    return status_of(now(cluster)[0], cluster.request("GET", path("Pod", "shop"))["items"])


class TestStatus:
    def test_it_is_done_when_all_pods_are_new_and_ready(self, cluster: FakeCluster, checkout: Json) -> None:
        """Three asked for, three Ready, none left over."""
        assert str(status(cluster)) == "3 of 3 pods Ready, 3 of the newest template, 3 in all"
        assert status(cluster).done
        assert status(cluster).problems == ()

    def test_old_pods_that_still_serve_are_not_done(self, cluster: FakeCluster, checkout: Json) -> None:
        """A new version that crashes leaves the old one Ready; Ready pods alone are no proof."""
        promote(cluster, BAD)

        found = status(cluster)
        assert (found.ready, found.done) == (3, False)
        assert {problem.reason for problem in found.problems} == {"CrashLoopBackOff"}

    def test_counts_of_an_older_specification_are_not_done(self, cluster: FakeCluster, checkout: Json) -> None:
        """Until the controller has seen the change its counts say nothing about it."""
        checkout["metadata"]["generation"] += 1

        assert not status_of(checkout, []).done

    @pytest.mark.parametrize(
        ("condition", "reason"),
        [
            (
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"},
                "QuotaExceeded",
            ),
            (
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "denied"},
                "FailedCreate",
            ),
            (
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
                "ProgressDeadlineExceeded",
            ),
        ],
    )
    def test_what_keeps_pods_from_being_made_is_told(self, checkout: Json, condition: Json, reason: str) -> None:
        """Quota and admission show on the Deployment: there is no pod to ask."""
        checkout["status"]["conditions"] = [condition]

        (problem,) = status_of(checkout, []).problems

        assert (problem.pod, problem.reason, problem.failure) == ("", reason, True)


class TestRevisions:
    def test_the_previous_one_is_the_one_before(self, cluster: FakeCluster, checkout: Json) -> None:
        """Its whole template, without the label that is the controller's."""
        promote(cluster, V2)

        revision = previous_revision(*now(cluster))

        assert revision
        assert (revision.version, revision.images, revision.number) == ("v1", ("localhost/checkout:v1",), 1)
        assert revision.template == checkout["spec"]["template"]

    def test_a_restart_is_not_one_to_go_back_to(self, cluster: FakeCluster, checkout: Json) -> None:
        """After restarting a bad version in vain, back means the version before it."""
        promote(cluster, V2)
        restart(cluster)

        revision = previous_revision(*now(cluster))

        assert revision
        assert revision.version == "v1"

    def test_another_deployments_are_left_out(self, cluster: FakeCluster, checkout: Json) -> None:
        """Owners are told by identity, not by name."""
        promote(cluster, V2)
        deployment, replica_sets = now(cluster)
        deployment["metadata"]["uid"] = "recreated"

        assert revisions(deployment, replica_sets) == ()
        assert previous_revision(deployment, replica_sets) is None

    def test_the_first_version_has_none(self, cluster: FakeCluster, checkout: Json) -> None:
        """There is nothing to go back to."""
        assert previous_revision(*now(cluster)) is None


class TestUndo:
    def test_everything_in_the_template_comes_back(self, cluster: FakeCluster, checkout: Json) -> None:
        """Environment variables, labels that were added, and the version label of the Deployment too."""
        template = now(cluster)[0]["spec"]["template"]
        template["spec"]["containers"][0] |= {"env": [], "image": V2}
        template["metadata"]["labels"] |= {"app.kubernetes.io/version": "v2", "new": "label"}
        body = {"metadata": {"labels": {"app.kubernetes.io/version": "v2"}}, "spec": {"template": template}}
        cluster.request("PATCH", CHECKOUT, body=body, content_type=MERGE_PATCH)

        undo(cluster)

        deployment, _ = now(cluster)
        assert deployment["spec"]["template"] == checkout["spec"]["template"]
        assert deployment["metadata"]["labels"] == checkout["metadata"]["labels"]
        assert status(cluster).done

    def test_it_leaves_a_mark_that_outlives_a_restart(self, cluster: FakeCluster, checkout: Json) -> None:
        """The mark says what was undone, so that doing it again does not bring it back."""
        first = now(cluster)[1][0]["metadata"]["name"]
        promote(cluster, V2)
        undo(cluster)
        assert rolled_back(*now(cluster)) == RollBack("v2", "v1", first, 2)

        restart(cluster)

        assert rolled_back(*now(cluster)) == RollBack("v2", "v1", first, 2)

    def test_the_next_version_ends_the_mark(self, cluster: FakeCluster, checkout: Json) -> None:
        """What was undone then is history; now v1 is the version to go back to."""
        promote(cluster, V2)
        undo(cluster)
        promote(cluster, "localhost/checkout:v3")

        assert rolled_back(*now(cluster)) is None
        revision = previous_revision(*now(cluster))
        assert revision
        assert revision.version == "v1"

    def test_a_version_that_was_rolled_back_to_may_be_deployed_again(
        self, cluster: FakeCluster, checkout: Json
    ) -> None:
        """It stands at no roll-back then: what it was rolled back from came in between, and is the way back."""
        promote(cluster, V2)
        undo(cluster)
        promote(cluster, V2)
        promote(cluster, "localhost/checkout:v1")

        assert rolled_back(*now(cluster)) is None
        revision = previous_revision(*now(cluster))
        assert revision
        assert revision.version == "v2"

    def test_somebody_else_may_deploy_it_again(self, cluster: FakeCluster, checkout: Json) -> None:
        """They leave the mark, whose revision says that another one came after it."""
        promote(cluster, V2)
        deployed = now(cluster)[0]["spec"]["template"]
        undo(cluster)
        restored = now(cluster)[0]["spec"]["template"]

        for template in (deployed, restored):
            body = [{"op": "replace", "path": "/spec/template", "value": template}]
            cluster.request("PATCH", CHECKOUT, body=body, content_type=JSON_PATCH)

        assert ROLLED_BACK in now(cluster)[0]["metadata"]["annotations"]
        assert rolled_back(*now(cluster)) is None
        undo(cluster)
        mark = rolled_back(*now(cluster))
        assert mark
        assert (mark.from_version, mark.to_version) == ("v1", "v2")

    @pytest.mark.parametrize("begin", [promote_patch, partial(hold_patch, pods=1)])
    def test_what_is_deployed_next_takes_the_mark_away(
        self, cluster: FakeCluster, checkout: Json, begin: Callable[[Json, str], list[Json]]
    ) -> None:
        """Promoted or held at its first pods."""
        promote(cluster, V2)
        undo(cluster)

        cluster.request("PATCH", CHECKOUT, body=begin(now(cluster)[0], V2), content_type=JSON_PATCH)

        assert ROLLED_BACK not in now(cluster)[0]["metadata"]["annotations"]

    def test_the_mark_holds_before_its_controller_has_seen_what_is_undone(
        self, cluster: FakeCluster, checkout: Json
    ) -> None:
        """The number that the undone revision gets later is no sign of something deployed since."""
        before, kept = now(cluster)
        revision = revisions(before, kept)[0]
        promote(cluster, V2)
        patch = undo_patch(now(cluster)[0], revision, kept)
        cluster.request("PATCH", CHECKOUT, body=patch, content_type=JSON_PATCH)

        assert rolled_back(*now(cluster)) == RollBack("v2", "v1", revision.replica_set, 2)

    def test_it_is_refused_when_the_world_moved(self, cluster: FakeCluster, checkout: Json) -> None:
        """A patch made for one template is not applied to another."""
        promote(cluster, V2)
        deployment, replica_sets = now(cluster)
        revision = previous_revision(deployment, replica_sets)
        assert revision
        promote(cluster, "localhost/checkout:v3")

        body = undo_patch(deployment, revision, replica_sets)
        with pytest.raises(ApiError) as caught:
            cluster.request("PATCH", CHECKOUT, body=body, content_type=JSON_PATCH)

        assert caught.value.status == 422
        assert now(cluster)[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "localhost/checkout:v3"


class TestNewVersions:
    def test_a_canary_is_the_stable_one_with_another_image(
        self, cluster: FakeCluster, controllers: Controllers, checkout: Json
    ) -> None:
        """Its own selector, its track and version on its pods, and nothing of the server's."""
        canary = canary_of(checkout, V2, 1)

        labels = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "canary"}
        assert canary["metadata"] == {
            "name": "checkout-canary",
            "namespace": "shop",
            "labels": {**labels, "app.kubernetes.io/version": "v2", "app.kubernetes.io/managed-by": "quarterdeck"},
        }
        assert canary["spec"]["replicas"] == 1
        assert canary["spec"]["selector"] == {"matchLabels": labels}
        assert canary["spec"]["template"]["metadata"]["labels"] == {**labels, "app.kubernetes.io/version": "v2"}
        container = canary["spec"]["template"]["spec"]["containers"][0]
        assert container == {"name": "checkout", "image": V2, "env": [{"name": "OLD", "value": "1"}]}

    def test_promotion_leaves_everything_but_the_version(self, cluster: FakeCluster, checkout: Json) -> None:
        """The image, and the version on template and Deployment."""
        promote(cluster, V2)

        deployment, _ = now(cluster)
        assert deployment["metadata"]["labels"]["app.kubernetes.io/version"] == "v2"
        assert deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] == "v2"
        assert deployment["spec"]["template"]["metadata"]["labels"]["quarterdeck.dev/track"] == "stable"
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == V2
        assert status(cluster).done

    def test_the_container_that_serves_is_found_by_name(self, checkout: Json) -> None:
        """A sidecar before it keeps its image."""
        checkout["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})

        images = [each["image"] for each in canary_of(checkout, V2, 1)["spec"]["template"]["spec"]["containers"]]

        assert images == ["proxy:1", V2]

    def test_containers_without_the_services_name_are_ambiguous(self, checkout: Json) -> None:
        """Nobody guesses which image to change."""
        containers: list[Any] = [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]
        checkout["spec"]["template"]["spec"]["containers"] = containers

        with pytest.raises(UsageError, match="a container named checkout"):
            promote_patch(checkout, V2)

    @pytest.mark.parametrize(
        ("image", "version"),
        [
            ("checkout:v2", "v2"),
            ("host:5000/a/checkout:v2.1-rc_1", "v2.1-rc_1"),
            (f"checkout:v2@sha256:{'0a' * 32}", "v2"),
        ],
    )
    def test_the_tag_is_the_version(self, image: str, version: str) -> None:
        """A registry's port and a digest are not."""
        assert version_of(image) == version

    @pytest.mark.parametrize(
        "image",
        [
            "checkout",
            "host:5000/checkout",
            "checkout@sha256:00",
            "checkout:",
            "a:" + "v" * 64,
            "not an image!",
            "not an image:v1",
            "checkout:v1@sha256:00",
        ],
    )
    def test_an_image_without_a_version_is_refused(self, image: str) -> None:
        """The version is a label's value on every series, so it has to be one."""
        with pytest.raises(UsageError, match="repository:version"):
            version_of(image)
