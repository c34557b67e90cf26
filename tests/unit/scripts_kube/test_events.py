"""Events say why there are no pods, and that a node is on its way, where no status does."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.kube.client import Json  # noqa: TC001 -- in a signature that pytest reads
from quarterdeck_scripts.kube.events import not_made, with_nodes_coming
from quarterdeck_scripts.kube.pods import PodProblem, creation_failure

QUOTA = 'create Pod db-1 in StatefulSet db failed error: pods "db-1" is forbidden: exceeded quota: requests'
WEBHOOK = 'create Pod db-1 in StatefulSet db failed error: admission webhook "guard.example" denied the request: no'


def workload(changed: str = "2026-11-23T12:00:00Z") -> Json:
    """Return a StatefulSet that was changed last at a time."""
    times = ["2026-11-01T00:00:00Z", changed]
    return {"kind": "StatefulSet", "metadata": {"name": "db", "managedFields": [{"time": time} for time in times]}}


def event(message: str, **when: object) -> Json:
    """Return an event on it."""
    return {"reason": "FailedCreate", "message": message, **when}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (QUOTA, "QuotaExceeded"),
        (WEBHOOK, "AdmissionDenied"),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot', "AdmissionDenied"),
        ('failed calling webhook "guard.example": context deadline exceeded', "AdmissionDenied"),
        ("pods \"a\" is forbidden: ValidatingAdmissionPolicy 'tags' denied request: use a digest", "AdmissionDenied"),
        ('pods "a" is forbidden: maximum cpu usage per Container is 1, but limit is 2', "LimitExceeded"),
        ('pods "a" is forbidden: error looking up service account shop/a', "FailedCreate"),
    ],
)
def test_a_refused_pod_is_classified_by_the_servers_words(message: str, reason: str) -> None:
    """Quota, admission, limits; anything else keeps the controller's own reason."""
    assert creation_failure(message) == reason


def test_the_last_words_on_pods_that_were_not_made_are_told() -> None:
    """Each in the fields that its writer uses."""
    found = not_made(
        workload(),
        [
            event(WEBHOOK, lastTimestamp="2026-11-23T12:00:09Z"),
            event(QUOTA, series={"lastObservedTime": "2026-11-23T12:00:31.000000Z"}),
            event("not yet", eventTime="2026-11-23T12:00:10.000000Z"),
        ],
    )

    assert found == (PodProblem("", "QuotaExceeded", QUOTA),)


def test_events_from_before_the_last_change_are_of_another_version() -> None:
    """They are kept for an hour."""
    assert not_made(workload(), [event(QUOTA, lastTimestamp="2026-11-23T11:59:59Z"), event(QUOTA)]) == ()
    assert not_made({"kind": "StatefulSet", "metadata": {"name": "db"}}, [event(QUOTA)]) != ()


def test_want_of_room_is_no_failure_while_a_node_is_being_made() -> None:
    """For that pod: others keep their problem."""
    problems = [PodProblem(name, "Unschedulable", "0/3 nodes are available") for name in ("a", "b")]
    coming = {"reason": "TriggeredScaleUp", "message": "pod triggered scale-up", "involvedObject": {"name": "a"}}

    after = with_nodes_coming([*problems, PodProblem("a", "NotReady", "")], [coming])

    assert [(each.pod, each.reason, each.failure) for each in after] == [
        ("a", "TriggeredScaleUp", False),
        ("b", "Unschedulable", True),
        ("a", "NotReady", False),
    ]
