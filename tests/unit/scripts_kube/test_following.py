"""A collection is followed without a gap, whatever breaks off."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.follow import Told, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_scripts.kube.client import Json

ALL = path("ConfigMap", "a")


@pytest.fixture
def cluster() -> FakeCluster:
    """Return a cluster with two ConfigMaps."""
    made = FakeCluster([{"kind": "Namespace", "metadata": {"name": "a"}}])
    for name in ("one", "two"):
        make(made, name)
    return made


def make(cluster: FakeCluster, name: str) -> None:
    """Make a ConfigMap."""
    cluster.request("POST", ALL, body={"metadata": {"name": name}})


def change(cluster: FakeCluster, name: str) -> None:
    """Change a ConfigMap."""
    data = {"changes": str(len(cluster.requests))}
    cluster.request("PATCH", path("ConfigMap", "a", name), body={"data": data}, content_type=MERGE_PATCH)


def delete(cluster: FakeCluster, name: str) -> None:
    """Delete a ConfigMap."""
    cluster.request("DELETE", path("ConfigMap", "a", name))


def told(changes: Iterator[Any], count: int) -> list[str]:
    """Return the next *count* things that are told, in words."""
    return [
        " ".join(filter(None, [each.told.value, each.found.get("metadata", {}).get("name", "")]))
        for each in islice(changes, count)
    ]


def following(cluster: Any, in_pauses: list[Callable[[], None]], **options: Any) -> Iterator[Any]:
    """Follow, doing one thing in each pause."""
    return follow(cluster, ALL, sleep=lambda _: in_pauses.pop(0)(), **options)


def test_what_is_there_and_then_each_change(cluster: FakeCluster) -> None:
    """The list, a mark that it is whole, and what the watches say."""

    def changes() -> None:
        make(cluster, "three")
        change(cluster, "one")
        delete(cluster, "two")

    events = following(cluster, [changes])

    assert told(events, 3) == ["present one", "present two", "complete"]
    assert told(events, 3) == ["present three", "present one", "absent two"]
    assert [method for method, _ in cluster.requests].count("GET") == 1


def test_what_happened_while_a_version_expired_is_told_from_the_difference(cluster: FakeCluster) -> None:
    """410: what changed, what came and what went; what did not is not told again."""

    def changes() -> None:
        make(cluster, "three")
        change(cluster, "one")
        cluster.compact()

    def more() -> None:
        delete(cluster, "two")
        delete(cluster, "three")
        make(cluster, "three")
        cluster.compact()

    events = following(cluster, [changes, lambda: None, more, lambda: None])

    assert told(events, 3) == ["present one", "present two", "complete"]
    assert told(events, 3) == ["present one", "present three", "complete"]
    assert sorted(told(events, 2)) == ["absent three", "absent two"]
    assert told(events, 2) == ["present three", "complete"]


class Breaking:
    """A cluster whose first watches break off after an event, and whose lists fail once."""

    def __init__(self, cluster: FakeCluster, error: Exception) -> None:
        self._cluster = cluster
        self._error = error
        self.left = 2
        self.asked: list[str] = []

    def request(self, *args: Any, **options: Any) -> Json:
        """Pass on, after a failure."""
        if self.left == 2:
            self.left -= 1
            raise self._error
        return self._cluster.request(*args, **options)

    def watch(self, where: str, *, query: Any, timeout: float) -> Iterator[Json]:
        """Give one event and break."""
        self.asked.append(query["resourceVersion"])
        for event in self._cluster.watch(where, query=query, timeout=timeout):
            yield event
            if self.left:
                self.left -= 1
                raise self._error


@pytest.mark.parametrize(
    "error", [UnreachableError("an answer", "silence", "wait"), ApiError(503, "ServiceUnavailable", "later")]
)
def test_a_watch_that_breaks_is_begun_where_it_broke(cluster: FakeCluster, error: Exception) -> None:
    """Nothing is told twice, nothing is left out, and there is no second list."""
    broken = Breaking(cluster, error)

    def changes() -> None:
        for name in ("three", "four", "five"):
            make(cluster, name)

    events = following(broken, [lambda: None, changes, lambda: None])

    assert told(events, 6) == [
        *("present one", "present two", "complete"),
        *("present three", "present four", "present five"),
    ]
    assert [method for method, _ in cluster.requests].count("GET") == 1


def test_bookmarks_keep_a_quiet_watch_young(cluster: FakeCluster) -> None:
    """The next watch begins at the version of the bookmark."""

    class Quiet(Breaking):
        def watch(self, where: str, *, query: Any, timeout: float) -> Iterator[Json]:
            self.asked.append(query["resourceVersion"])
            assert query["allowWatchBookmarks"] == "true"
            yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "4711"}}}

    quiet = Quiet(cluster, ValueError())
    quiet.left = 0

    def stop() -> None:
        raise KeyboardInterrupt

    events = following(quiet, [lambda: None, stop])
    told(events, 3)
    with pytest.raises(KeyboardInterrupt):
        next(events)

    assert quiet.asked[1] == "4711"


def test_what_does_not_pass_ends_it(cluster: FakeCluster) -> None:
    """Unless whoever follows says otherwise."""
    forbidden = ApiError(403, "Forbidden", "no")
    with pytest.raises(ApiError, match="403"):
        next(following(Breaking(cluster, forbidden), []))

    complaints: list[Exception] = []
    events = following(Breaking(cluster, forbidden), [lambda: None], trouble=complaints.append)

    assert told(events, 1) == ["present one"]
    assert complaints == [forbidden]


def test_an_expired_page_voids_those_before_it() -> None:
    """What is told is of one moment: the watch after it begins there."""
    names = [f"{number:03}" for number in range(600)]
    cluster = FakeCluster([{"kind": "ConfigMap", "metadata": {"name": name, "namespace": "a"}} for name in names])
    pages: list[Any] = []

    class Expiring(Breaking):
        def request(self, method: str, where: str, **options: Any) -> Json:
            pages.append(options["query"].get("continue"))
            if len(pages) == 2:
                delete(cluster, "000")
                cluster.compact()
            return cluster.request(method, where, **options)

    events = following(Expiring(cluster, ValueError()), [lambda: None])

    assert told(events, 600) == [*(f"present {name}" for name in names[1:]), "complete"]
    assert [bool(page) for page in pages] == [False, True, False, True]


def test_marks_are_of_no_object(cluster: FakeCluster) -> None:
    """Only that the list was whole is said."""
    marks = [each for each in islice(following(cluster, []), 3) if each.told is Told.COMPLETE]

    assert [mark.found for mark in marks] == [{}]
