"""Events about a rollout in a real API server, which holds them to its own rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import list_all, path
from quarterdeck_scripts.notices.kubernetes_events import KubernetesEvents
from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

SPACE = "told-of-rollouts"
AT = 1_800_000_000.0
NOTICE = Notice(
    occasion=Occasion.GOING_BACK,
    tone=Tone.WARNING,
    title="checkout: going back from v2 (prod)",
    text="errors: 12 of 600 requests failed",
    at=AT,
    run="checkout-v2-20270115T080000Z",
    service="checkout",
    namespace=SPACE,
    environment="prod",
    version="v2",
    by="anna@bridge",
    began=AT - 60,
)


@pytest.fixture
def cluster(api_server: Path) -> Iterator[Cluster]:
    """Return a cluster with the Deployment `checkout` in a namespace of this module's own."""
    cluster = connect(api_server)
    if not any(found["metadata"]["name"] == SPACE for found in list_all(cluster, path("Namespace"))):
        cluster.request("POST", path("Namespace"), body={"metadata": {"name": SPACE}})
    labels = {"app": "checkout"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "localhost/checkout:v1"}]}}
    body = {"metadata": {"name": "checkout"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}
    cluster.request("POST", path("Deployment", SPACE), body=body)
    yield cluster
    for kind in ("Event", "Deployment"):
        cluster.request("DELETE", path(kind, SPACE))


def events(cluster: Cluster) -> list[Json]:
    """Return the namespace's Events."""
    return list(list_all(cluster, path("Event", SPACE)))


def test_an_event_is_about_the_very_deployment(cluster: Cluster) -> None:
    """So that `kubectl describe` shows it there, and not at one of the same name that comes after."""
    deployment = cluster.request("GET", path("Deployment", SPACE, "checkout"))

    KubernetesEvents(cluster).hear(NOTICE)

    (event,) = events(cluster)
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": SPACE,
        "name": "checkout",
        "uid": deployment["metadata"]["uid"],
    }
    assert (event["type"], event["reason"]) == ("Warning", "RolloutGoingBack")
    assert event["message"] == "checkout: going back from v2 (prod). errors: 12 of 600 requests failed"
    assert (event["firstTimestamp"], event["lastTimestamp"], event["count"]) == (
        "2027-01-15T08:00:00Z",
        "2027-01-15T08:00:00Z",
        1,
    )
    assert event["source"] == {"component": "quarterdeck-rollout"}


def test_the_same_notice_again_is_no_second_event(cluster: Cluster) -> None:
    """Another moment of the same run is."""
    listener = KubernetesEvents(cluster)

    listener.hear(NOTICE)
    listener.hear(NOTICE)
    listener.hear(replace(NOTICE, occasion=Occasion.ENDED, tone=Tone.SUCCESS))

    assert sorted(event["reason"] for event in events(cluster)) == ["RolloutEnded", "RolloutGoingBack"]


def test_a_reason_of_any_length_and_letters_is_taken(cluster: Cluster) -> None:
    """The API server takes 1,024 bytes, and no half characters."""
    KubernetesEvents(cluster).hear(replace(NOTICE, text="é" * 2000, by="b" * 500))

    (event,) = events(cluster)
    assert 1020 <= len(event["message"].encode()) <= 1024
    assert event["message"].endswith("éé")


def test_a_service_that_is_gone_cannot_be_told_of(cluster: Cluster) -> None:
    """That is said, and is all that happens."""
    with pytest.raises(QuarterdeckError, match="404"):
        KubernetesEvents(cluster).hear(replace(NOTICE, service="orders"))
