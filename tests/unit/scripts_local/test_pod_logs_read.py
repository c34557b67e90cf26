"""Where pods are processes, the cluster's logs are files, and read as a kubelet's are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.client import ApiError
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.local.guard import GuardedCluster

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.logs import PodLogs


@pytest.fixture
def logs(tmp_path: Path) -> PodLogs:
    """Return the logs of an environment with one pod of one container that ran twice."""
    folder = tmp_path / "pods" / "shop_checkout-1_8f3c"
    folder.mkdir(parents=True)
    (folder / "app.log").write_bytes(b"one\n\xff two\n")
    (folder / "app.previous.log").write_bytes(b"Traceback\n")
    return GuardedCluster(FakeCluster(), tmp_path)


def test_both_runs_of_a_container_are_read(logs: PodLogs) -> None:
    """As bytes; and of a long one the end."""
    assert logs.log("shop", "checkout-1", "app", most=100) == b"one\n\xff two\n"
    assert logs.log("shop", "checkout-1", "app", most=6) == b"\xff two\n"
    assert logs.log("shop", "checkout-1", "app", previous=True, most=100) == b"Traceback\n"


@pytest.mark.parametrize(("pod", "container"), [("checkout-2", "app"), ("checkout-1", "sidecar")])
def test_a_log_that_is_not_there_is_the_servers_error(logs: PodLogs, pod: str, container: str) -> None:
    """Another pod or container has none."""
    with pytest.raises(ApiError, match="no such log"):
        logs.log("shop", pod, container, most=100)
