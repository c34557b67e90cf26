"""An answer of the past is known by its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.versions import Versions

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

ALL = path("Deployment", "shop")
ONE = path("Deployment", "shop", "checkout")
GONE = ApiError(404, "NotFound", "not found")


def state(version: int | str, uid: str = "u", **metadata: str) -> Json:
    """Return an object at a version."""
    return {"metadata": {"name": "checkout", "uid": uid, "resourceVersion": str(version), **metadata}}


def listing(version: int | str) -> Json:
    """Return a list of a version."""
    return {"metadata": {"resourceVersion": str(version)}, "items": []}


@pytest.fixture
def versions() -> Versions:
    """Return a memory in which the Deployment was changed to version 9."""
    versions = Versions()
    versions.check("PATCH", ONE, None, state(9))
    return versions


def test_the_newest_is_believed(versions: Versions) -> None:
    """The same version, a newer one, and another object's older one."""
    assert versions.check("GET", ONE, None, state(9)) == ""
    assert versions.check("GET", ONE, None, state(12)) == ""
    assert versions.check("GET", path("Deployment", "shop", "cart"), None, state(3)) == ""


def test_an_older_one_is_not(versions: Versions) -> None:
    """Of the object, by any path of it, and of a list that should have it."""
    assert versions.check("GET", ONE, None, state(8)) == "version 8 after 9"
    assert versions.check("GET", f"{ONE}/scale", None, state(8)) == "version 8 after 9"
    assert versions.check("GET", ALL, None, listing(8)) == "a list of version 8 after 9"
    assert versions.check("GET", path("Deployment"), {"limit": "500"}, listing(8)) == "a list of version 8 after 9"


def test_versions_of_other_kinds_say_nothing(versions: Versions) -> None:
    """Events may even be kept in another etcd."""
    assert versions.check("GET", path("Event", "shop"), None, listing(2)) == ""


def test_whoever_asks_for_an_older_one_gets_it(versions: Versions) -> None:
    """A further page, and a version that was named."""
    assert versions.check("GET", ALL, {"continue": "x"}, listing(8)) == ""
    assert versions.check("GET", ONE, {"resourceVersion": "0"}, state(8)) == ""


def test_a_dry_run_changes_nothing(versions: Versions) -> None:
    """Its answer is no state that ever was."""
    versions.check("PATCH", ONE, {"dryRun": "All"}, state(11))

    assert versions.check("GET", ONE, None, state(9)) == ""


@pytest.mark.parametrize("odd", ["", "abc", "٣"])
def test_versions_that_are_no_numbers_are_left_alone(versions: Versions, odd: str) -> None:
    """Some aggregated APIs have none."""
    assert versions.check("GET", ONE, None, state(odd)) == ""
    assert versions.check("GET", ALL, None, listing(odd)) == ""
    assert versions.check("POST", path("SelfSubjectReview"), None, {"metadata": {}}) == ""


def test_what_was_deleted_does_not_come_back(versions: Versions) -> None:
    """Another object of its name does."""
    versions.check("DELETE", ONE, None, {"status": "Success", "metadata": {}, "details": {"uid": "u"}})

    assert versions.check("GET", ONE, None, state(9)) == "what was deleted"
    assert not versions.check_absence("GET", ONE, GONE)
    assert versions.check("GET", ONE, None, state(12, uid="v")) == ""


def test_what_was_deleted_with_a_grace_period_may_stay(versions: Versions) -> None:
    """It is seen ending, and its end is believed at once."""
    versions.check("DELETE", ONE, None, state(10, deletionTimestamp="now"))

    assert versions.check("GET", ONE, None, state(10, deletionTimestamp="now")) == ""
    assert not versions.check_absence("GET", ONE, GONE)


def test_an_absence_is_doubted_where_something_was(versions: Versions) -> None:
    """Only a 404, only of what was there, and only until somebody believes it."""
    assert versions.check_absence("GET", ONE, GONE)
    assert not versions.check_absence("PATCH", ONE, GONE)
    assert not versions.check_absence("GET", ONE, ApiError(403, "Forbidden", "no"))
    assert not versions.check_absence("GET", path("Deployment", "shop", "cart"), GONE)

    versions.forget(ONE)
    assert not versions.check_absence("GET", ONE, GONE)


def test_a_whole_collection_can_be_deleted(versions: Versions) -> None:
    """None of it is expected any more."""
    versions.check("DELETE", ALL, None, listing(10))

    assert not versions.check_absence("GET", ONE, GONE)


def test_what_a_watch_told_counts(versions: Versions) -> None:
    """A list after a watch that expired is not older than what the watch had told."""
    versions.note_event(ALL, state(20))

    assert versions.check("GET", ALL, None, listing(19)) == "a list of version 19 after 20"


def test_only_so_many_are_remembered(versions: Versions) -> None:
    """The oldest is forgotten; nothing worse happens than without a memory."""
    for number in range(1000):
        named = path("ConfigMap", "shop", f"{number}")
        versions.check("GET", named, None, {"metadata": {"name": f"{number}", "resourceVersion": "9"}})

    assert versions.check("GET", ONE, None, state(8)) == ""
