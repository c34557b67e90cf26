"""A large collection is listed once, and afterwards asked for what changed; what is seen is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract import access
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.fake_roles import AsRole
from quarterdeck_scripts.kube.known import MANY, Known

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = path("Pod", "a")
LISTED, WATCHED = ("GET", ALL), ("WATCH", ALL)


def cluster_of(count: int) -> FakeCluster:
    """Return a cluster with *count* pods."""
    named = ({"name": f"{number:04}", "namespace": "a"} for number in range(count))
    return FakeCluster({"kind": "Pod", "metadata": metadata, "spec": {}} for metadata in named)


def change_some(cluster: FakeCluster) -> None:
    """Change a pod, delete one and make one; forget that somebody asked."""
    changed = {"metadata": {"labels": {"seen": "yes"}}}
    cluster.request("PATCH", path("Pod", "a", "0001"), body=changed, content_type=MERGE_PATCH)
    cluster.request("DELETE", path("Pod", "a", "0002"), query={"gracePeriodSeconds": "0"})
    cluster.request("POST", ALL, body={"metadata": {"name": "new"}, "spec": {}})
    cluster.requests.clear()


def seen(known: Known) -> dict[str, Any]:
    """Return the labels of what is seen, by name."""
    return {each["metadata"]["name"]: each["metadata"].get("labels") for each in known.look()}


def true(cluster: FakeCluster) -> dict[str, Any]:
    """Return the labels of what there is, by name."""
    items = cluster.request("GET", ALL)["items"]
    return {each["metadata"]["name"]: each["metadata"].get("labels") for each in items}


class Breaking(AsRole):
    """A cluster whose watches break off with *error* once *after* events were told."""

    def __init__(self, cluster: FakeCluster, error: Exception, after: int) -> None:
        super().__init__(cluster, access.rules)
        self.error, self.after = error, after

    def watch(self, path: str, **how: Any) -> Iterator[Any]:
        """Tell some, and break."""
        for number, event in enumerate(super().watch(path, **how)):
            if number == self.after:
                raise self.error
            yield event


def test_many_are_listed_once_and_then_asked_for_changes() -> None:
    """2,001 objects are two pages, and then one request a look; the shipped Role is enough for it."""
    cluster = cluster_of(2001)
    known = Known(AsRole(cluster, access.rules), ALL)
    assert len(known.look()) == 2001
    assert cluster.requests == [LISTED] * 2
    change_some(cluster)

    assert (seen(known), known.look() == known.look()) == (true(cluster), True)

    assert [each for each in cluster.requests if each != LISTED] == [WATCHED] * 3


def test_few_are_listed_each_time() -> None:
    """That is one request as well, and nobody waits for a watch to end."""
    cluster = cluster_of(MANY)
    known = Known(cluster, ALL)
    known.look()
    change_some(cluster)

    assert len(known.look()) == MANY
    assert cluster.requests == [LISTED]


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize(
    "error", [ApiError(410, "Expired", "too old"), UnreachableError("an answer", "the connection broke", "")]
)
def test_a_watch_that_breaks_off_loses_nothing(error: Exception, after: int) -> None:
    """Wherever it does: all is listed again."""
    cluster = cluster_of(MANY + 5)
    known = Known(Breaking(cluster, error, after), ALL)
    known.look()
    change_some(cluster)

    assert seen(known) == true(cluster)


def test_a_server_that_forgot_the_past_is_asked_for_all() -> None:
    """410 at the watch's beginning, as after a compaction."""
    cluster = cluster_of(MANY + 5)
    known = Known(cluster, ALL)
    known.look()
    change_some(cluster)
    cluster.compact()

    assert seen(known) == true(cluster)


def test_who_may_not_watch_lists() -> None:
    """An older Role says so once; nobody is asked again for what was refused."""
    cluster = cluster_of(MANY + 5)
    rules = [rule for rule in access.rules("a") if rule.part != access.FOLLOWING]
    known = Known(AsRole(cluster, lambda _: rules), ALL)
    known.look()
    change_some(cluster)

    assert seen(known) == true(cluster)
    assert seen(known) == true(cluster)
    assert cluster.requests == [LISTED] * 4


def test_another_refusal_is_told() -> None:
    """What is no reason to list would be none then."""
    cluster = cluster_of(MANY + 5)
    known = Known(Breaking(cluster, ApiError(429, "TooManyRequests", "later"), 0), ALL)
    known.look()
    change_some(cluster)

    with pytest.raises(ApiError, match="429"):
        known.look()


def test_pages_that_expire_half_way_are_read_anew() -> None:
    """So that what is seen is all of one moment."""
    cluster = cluster_of(2001)

    class Forgetful(AsRole):
        def request(self, method: str, path: str, **how: Any) -> Any:
            """Forget the first page before the second is asked for, once."""
            if "continue" in how["query"] and "new" not in true(cluster):
                change_some(cluster)
                cluster.compact()
            return super().request(method, path, **how)

    known = Known(Forgetful(cluster, access.rules), ALL)

    assert seen(known) == true(cluster)


def test_only_what_is_kept_is_held() -> None:
    """Of what was listed, and of what was told later."""
    cluster = cluster_of(MANY + 5)
    known = Known(cluster, ALL, keep=lambda found: {"metadata": {"name": found["metadata"]["name"]}})
    known.look()
    change_some(cluster)

    assert {tuple(each) for each in known.look()} == {("metadata",)}
