"""The audit log in a real API server: its limits and its conflicts are the server's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.audit import AuditLog, actor_of
from quarterdeck_scripts.kube.client import list_all, path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools


@pytest.fixture
def kubeconfig(api_server: Path) -> Iterator[Path]:
    """Make the namespace `quarterdeck`; leave its ConfigMaps as they were."""
    cluster = connect(api_server)
    if not any(found["metadata"]["name"] == "quarterdeck" for found in list_all(cluster, path("Namespace"))):
        cluster.request("POST", path("Namespace"), body={"metadata": {"name": "quarterdeck"}})
    yield api_server
    cluster.request("DELETE", path("ConfigMap", "quarterdeck"))


def test_writers_on_several_machines_make_one_chain(kubeconfig: Path, tmp_path: Path) -> None:
    """Four at once, five changes each: forty entries, none lost, none twice."""

    def write(number: int) -> None:
        log = AuditLog(connect(kubeconfig), tmp_path / str(number), f"writer {number}")
        for turn in range(5):
            with log.change(action="scale", subject=f"{number}", before=turn, why="") as change:
                change.after = turn + 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    found = AuditLog(connect(kubeconfig), tmp_path / "0", "reader").verify()
    assert found.broken is None
    assert found.unfinished == ()
    assert len(found.entries) == 40
    for number in range(4):
        own = [(entry.phase, entry.before) for entry in found.entries if entry.subject == str(number)]
        assert own == [(phase, turn) for turn in range(5) for phase in ("before", "after")]


def test_segments_stay_within_what_the_server_takes(kubeconfig: Path, tmp_path: Path) -> None:
    """Two megabytes of entries are three sealed or growing ConfigMaps, each below the server's limit."""
    log = AuditLog(connect(kubeconfig), tmp_path, "writer")

    for _ in range(10):
        with log.change(action="apply", subject="x", before="x" * 100_000, why=""):
            pass

    segments = connect(kubeconfig).request("GET", path("ConfigMap", "quarterdeck"))["items"]
    assert [found.get("immutable", False) for found in segments] == [True, True, False]
    found = log.verify()
    assert (len(found.entries), found.broken) == (20, None)


def test_the_actor_is_the_user_the_server_sees(kubeconfig: Path) -> None:
    """The name is the one the credentials have, whatever the machine's user is called."""
    assert actor_of(connect(kubeconfig)).endswith(" as administrator")
