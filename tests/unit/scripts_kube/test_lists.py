"""Lists are read page by page, each object once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.client import ApiError, list_all, path
from quarterdeck_scripts.kube.fake import FakeCluster

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


def configmaps(count: int) -> list[Json]:
    """Return ConfigMaps to begin with."""
    return [{"kind": "ConfigMap", "metadata": {"name": f"{number:04}", "namespace": "a"}} for number in range(count)]


def test_more_than_a_page_is_read_to_the_end() -> None:
    """1,201 objects are three pages of at most 500."""
    cluster = FakeCluster(configmaps(1201))

    names = [found["metadata"]["name"] for found in list_all(cluster, path("ConfigMap", "a"))]

    assert names == [f"{number:04}" for number in range(1201)]
    assert cluster.requests == [("GET", path("ConfigMap", "a"))] * 3


def test_a_list_that_expired_is_begun_anew() -> None:
    """410 between two pages: what was given before is not given again, and what is new is not lost."""
    cluster = FakeCluster(configmaps(600))
    listing = list_all(cluster, path("ConfigMap", "a"))

    begun = [next(listing) for _ in range(500)]
    cluster.request("POST", path("ConfigMap", "a"), body={"metadata": {"name": "0000-new"}})
    cluster.compact()
    rest = list(listing)

    names = [found["metadata"]["name"] for found in begun + rest]
    assert sorted(names) == sorted([*(f"{number:04}" for number in range(600)), "0000-new"])


def test_an_expired_watch_says_so() -> None:
    """410 is for the caller of a watch, who has to list again."""
    cluster = FakeCluster(configmaps(2))
    cluster.compact()

    with pytest.raises(ApiError) as caught:
        list(cluster.watch(path("ConfigMap", "a"), query={"resourceVersion": "1"}, timeout=1))

    assert caught.value.status == 410
