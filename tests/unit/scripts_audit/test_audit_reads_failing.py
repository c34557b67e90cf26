"""A change's result is written although the API server answers no reads for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.kube.client import ApiError
from quarterdeck_scripts.kube.fake import FakeCluster

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json


class Moody(FakeCluster):
    """A cluster in memory whose next reads fail."""

    def __init__(self) -> None:
        super().__init__([{"kind": "Namespace", "metadata": {"name": "quarterdeck"}}])
        self.failing = 0

    def request(self, method: str, path: str, **arguments: Any) -> Json:
        """Answer one request, or fail."""
        if method == "GET" and self.failing:
            self.failing -= 1
            raise ApiError(500, "InternalError", "not now")
        return super().request(method, path, **arguments)


def test_a_result_is_written_although_reads_fail_for_a_moment(tmp_path: Path) -> None:
    """It ended a rollout whose change was made already: what a run reads before an entry may fail like the entry."""
    cluster = Moody()
    log = AuditLog(cluster, tmp_path, "alice@laptop")

    with log.change(action="scale", subject="Deployment shop/checkout", before=3, why="load") as change:
        cluster.failing = 2
        change.after = 4

    assert cluster.failing == 0
    assert [(entry.phase, entry.outcome) for entry in log.verify().entries] == [("before", ""), ("after", "done")]
