"""A change is written down before it is made and after, or it is not made."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.audit import AuditLog, actor_of
from quarterdeck_scripts.audit.segments import Segments
from quarterdeck_scripts.kube.client import ApiError, UnreachableError, path
from quarterdeck_scripts.kube.fake import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json

FIRST = path("ConfigMap", "quarterdeck", "quarterdeck-audit-000001")


def _nothing(method: str, path: str) -> None:
    """Meddle with nothing."""


class Meddled(FakeCluster):
    """A cluster in memory that *meddle* is told of each request, before it is carried out and after."""

    def __init__(self) -> None:
        super().__init__([{"kind": "Namespace", "metadata": {"name": "quarterdeck"}}])
        self.before: Callable[[str, str], None] = _nothing
        self.after: Callable[[str, str], None] = _nothing

    def request(self, method: str, path: str, **arguments: Any) -> Json:
        """Answer one request."""
        self.before(method, path)
        answer = super().request(method, path, **arguments)
        self.after(method, path)
        return answer


@pytest.fixture
def cluster() -> Meddled:
    """Return a cluster with the namespace `quarterdeck`."""
    return Meddled()


@pytest.fixture
def log(cluster: Meddled, tmp_path: Path) -> AuditLog:
    """Return the log of that cluster, with its copy in a folder of its own."""
    return AuditLog(cluster, tmp_path / "audit", "alice@laptop")


def make_change(log: AuditLog, replicas: int = 4) -> None:
    """Make a change under *log*."""
    with log.change(action="scale", subject="Deployment shop/checkout", before={"replicas": 3}, why="load") as change:
        change.after = {"replicas": replicas}


def entries(cluster: FakeCluster) -> list[Json]:
    """Return the cluster's entries, decoded."""
    return [json.loads(line) for _, line in Segments(cluster).read()]


def copied(folder: Path) -> list[Json]:
    """Return the entries of the one copy on disk, decoded."""
    (file,) = (folder / "audit").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


class TestWhatIsWritten:
    def test_both_sides_of_a_change(self, cluster: Meddled, log: AuditLog) -> None:
        """Who, what, to what, why, the state before and after, and how it ended."""
        make_change(log)

        before, after = entries(cluster)
        told = {
            "actor": "alice@laptop",
            "action": "scale",
            "subject": "Deployment shop/checkout",
            "why": "load",
            "before": {"replicas": 3},
        }
        assert told.items() <= before.items()
        assert told.items() <= after.items()
        assert (before["sequence"], before["phase"], before["after"], before["outcome"]) == (1, "before", None, "")
        assert (after["sequence"], after["phase"], after["after"], after["outcome"]) == (
            2,
            "after",
            {"replicas": 4},
            "done",
        )
        assert before["change"] == after["change"]
        assert after["previous"] == before["hash"]

    def test_the_entry_before_is_there_while_the_change_is_made(
        self, cluster: Meddled, log: AuditLog, tmp_path: Path
    ) -> None:
        """In the cluster and on disk; a run that dies now leaves it unfinished, for all to see."""
        with log.change(action="restart", subject="x", before=None, why=""):
            assert [entry["phase"] for entry in entries(cluster)] == ["before"]
            assert copied(tmp_path) == entries(cluster)
            assert [entry.action for entry in log.verify().unfinished] == ["restart"]

        assert log.verify().unfinished == ()

    def test_a_change_that_fails_says_how(self, cluster: Meddled, log: AuditLog) -> None:
        """The error passes through, and the log has its reason."""

        def fail() -> None:
            with log.change(action="restart", subject="x", before=None, why=""):
                raise QuarterdeckError("pods Ready", "none Ready after 60 s", "look")

        with pytest.raises(QuarterdeckError, match="none Ready"):
            fail()

        assert entries(cluster)[-1]["outcome"] == "failed: none Ready after 60 s"

    def test_no_secret_is_kept(self, cluster: Meddled, log: AuditLog, tmp_path: Path) -> None:
        """Neither a Secret's data, nor what an environment variable's name gives away, nor a URL's password."""
        planted = "c4nary"
        before = {
            "secret": {"kind": "Secret", "data": {"k": planted}, "stringData": {"l": planted}},
            "env": [{"name": "DB_PASSWORD", "value": planted}, {"name": "URL", "value": f"amqp://u:{planted}@h/"}],
            "token": planted,
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": planted}},
        }

        with log.change(action="apply", subject="x", before=before, why="") as change:
            change.after = before

        assert planted not in json.dumps(entries(cluster))
        assert planted not in json.dumps(copied(tmp_path))
        assert entries(cluster)[0]["before"]["secret"]["data"] == {"k": "(not shown)"}
        assert entries(cluster)[0]["before"]["env"][1]["value"] == "amqp://u:(not shown)@h/"

    def test_the_actor_is_who_the_cluster_says(self, cluster: Meddled) -> None:
        """The name on the machine alone could be anybody's."""
        assert actor_of(cluster).endswith(" as somebody")


class TestRefusal:
    def test_an_unreachable_cluster_refuses_the_change(self, cluster: Meddled, log: AuditLog) -> None:
        """Exit code 4, and the body is not run."""

        def down(method: str, path: str) -> None:
            raise UnreachableError("an answer", "connection refused", "wait")

        cluster.before = down
        ran = []

        def change() -> None:
            with log.change(action="restart", subject="x", before=None, why=""):
                ran.append(True)

        with pytest.raises(RefusedError, match="connection refused") as caught:
            change()

        assert (ran, caught.value.exit_code) == ([], 4)
        cluster.before = _nothing
        assert entries(cluster) == []

    def test_no_permission_refuses_the_change(self, cluster: Meddled, log: AuditLog) -> None:
        """Also a missing namespace: any answer but yes."""
        cluster.request("DELETE", path("Namespace", name="quarterdeck"))

        with pytest.raises(RefusedError, match='404 NotFound: namespaces "quarterdeck" not found'):
            make_change(log)

    def test_a_full_disk_refuses_the_change(self, cluster: Meddled, log: AuditLog, tmp_path: Path) -> None:
        """The cluster's log says that the change was not made; with room again, nothing is left to mend."""
        ran = []

        def change() -> None:
            with log.change(action="restart", subject="x", before=None, why=""):
                ran.append(True)

        with no_file_grows_beyond(100), pytest.raises(RefusedError, match="File too large"):
            change()
        assert ran == []
        assert [entry["outcome"] for entry in entries(cluster)] == ["", "refused: [Errno 27] File too large"]

        change()
        assert copied(tmp_path) == entries(cluster)

    def test_what_was_begun_goes_on_without_a_copy(self, cluster: Meddled, log: AuditLog, tmp_path: Path) -> None:
        """The cluster's log has every entry once; with room again, the copy gets what it lacks."""
        make_change(log)
        log.go_on_without_copy()
        with no_file_grows_beyond(100):
            make_change(log)
        assert "File too large" in log.uncopied
        assert [entry["phase"] for entry in entries(cluster)] == ["before", "after"] * 2
        assert log.verify().broken is None

        make_change(log)
        assert log.uncopied == ""
        assert copied(tmp_path) == entries(cluster)

    def test_an_unwritable_folder_refuses_the_change(self, cluster: Meddled, tmp_path: Path) -> None:
        """A file where the folder should be; the cluster was not even asked."""
        (tmp_path / "audit").write_text("")

        with pytest.raises(RefusedError, match="File exists"):
            make_change(AuditLog(cluster, tmp_path / "audit", "alice"))

    def test_a_result_that_cannot_be_written_is_an_error(self, cluster: Meddled, log: AuditLog) -> None:
        """The change was made; not saying so in the log is not success."""

        def change() -> None:
            with log.change(action="restart", subject="x", before=None, why=""):
                cluster.before = _refuse_writing

        with pytest.raises(QuarterdeckError, match="the change itself was made"):
            change()
        assert [entry.action for entry in log.verify().unfinished] == ["restart"]


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """Let the kernel refuse every byte of a file beyond *size*, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _refuse_writing(method: str, path: str) -> None:
    if method in {"PATCH", "POST"}:
        raise ApiError(403, "Forbidden", "no")


class TestSeveralWriters:
    def test_a_writer_that_is_late_reads_again(self, cluster: Meddled, log: AuditLog, tmp_path: Path) -> None:
        """Somebody else's entry comes in between reading and writing: both are in the chain."""
        make_change(log)
        other = AuditLog(cluster, tmp_path / "other", "bob@desk")

        def meddle(method: str, path: str) -> None:
            if method == "PATCH":
                cluster.before = _nothing
                make_change(other)

        cluster.before = meddle
        make_change(log)

        actors = [(entry["actor"], entry["phase"]) for entry in entries(cluster)]
        assert actors == [
            ("alice@laptop", "before"),
            ("alice@laptop", "after"),
            ("bob@desk", "before"),
            ("bob@desk", "after"),
            ("alice@laptop", "before"),
            ("alice@laptop", "after"),
        ]
        assert log.verify().broken is None
        assert copied(tmp_path) == entries(cluster)

    @pytest.mark.parametrize(
        "failure",
        [UnreachableError("an answer", "timed out", "wait"), ApiError(500, "InternalError", "etcd")],
        ids=["no answer", "500"],
    )
    @pytest.mark.parametrize("stored", [False, True])
    def test_a_lost_answer_makes_no_second_entry(
        self, cluster: Meddled, log: AuditLog, failure: Exception, *, stored: bool
    ) -> None:
        """Whether the entry was stored is read back. A 500 after it, found through a proxy, used to end a rollout."""
        make_change(log)

        def lose(method: str, path: str) -> None:
            if method == "PATCH":
                cluster.after = cluster.before = _nothing
                raise failure

        if stored:
            cluster.after = lose
        else:
            cluster.before = lose
        make_change(log)

        assert [entry["sequence"] for entry in entries(cluster)] == [1, 2, 3, 4]
        assert log.verify().broken is None

    def test_a_torn_line_is_mended(self, cluster: Meddled, log: AuditLog, tmp_path: Path) -> None:
        """A run killed while it wrote its copy leaves half a line; the next one completes it."""
        make_change(log)
        (file,) = (tmp_path / "audit").iterdir()
        file.write_text(file.read_text()[:-20])

        make_change(log)

        assert copied(tmp_path) == entries(cluster)


class TestSegments:
    def test_a_full_segment_is_sealed_and_another_begun(self, cluster: Meddled, tmp_path: Path) -> None:
        """The chain goes on across ConfigMaps, each below its limit and immutable once it is full."""
        log = AuditLog(cluster, tmp_path / "audit", "alice")
        log._segments = Segments(cluster, full=2000)

        for replicas in range(6):
            make_change(log, replicas)

        configmaps = cluster.request("GET", path("ConfigMap", "quarterdeck"))["items"]
        assert len(configmaps) > 2
        assert [found.get("immutable", False) for found in configmaps] == [True] * (len(configmaps) - 1) + [False]
        assert all(len("".join(found["data"].values())) <= 2000 for found in configmaps)
        assert [entry["sequence"] for entry in entries(cluster)] == list(range(1, 13))
        assert log.verify().broken is None
        assert copied(tmp_path) == entries(cluster)

    def test_a_writer_killed_after_sealing_wedges_nobody(self, cluster: Meddled, tmp_path: Path) -> None:
        """The next writer finds a sealed segment without a successor, and makes it."""
        log = AuditLog(cluster, tmp_path / "audit", "alice")
        make_change(log)
        cluster.request("PATCH", FIRST, body={"immutable": True}, content_type="application/merge-patch+json")

        make_change(log)

        assert [entry["segment"] for entry in entries(cluster)] == [1, 1, 2, 2]


class TestTampering:
    @pytest.fixture(autouse=True)
    def three_changes(self, log: AuditLog) -> None:
        """Write six entries."""
        for replicas in (1, 2, 3):
            make_change(log, replicas)

    def rewrite(self, cluster: Meddled, change: Callable[[dict[str, str]], None]) -> None:
        """Change the entries of the first segment as somebody with access to it would."""
        segment = cluster.request("GET", FIRST)
        change(segment["data"])
        cluster.request("PUT", FIRST, body=segment)

    def test_an_intact_log_is_intact(self, log: AuditLog) -> None:
        """Six entries, none broken."""
        found = log.verify()

        assert (len(found.entries), found.broken, found.unfinished) == (6, None, ())

    def test_an_altered_entry_is_named(self, cluster: Meddled, log: AuditLog) -> None:
        """Altered, its hash is another than it states."""

        def alter(data: dict[str, str]) -> None:
            data["00000003"] = data["00000003"].replace("alice", "mallory")

        self.rewrite(cluster, alter)

        broken = log.verify().broken
        assert broken
        assert broken.where == "entry 3 of ConfigMap quarterdeck/quarterdeck-audit-000001"
        assert broken.reason.startswith("it was altered")

    def test_an_entry_altered_with_its_hash_is_named_by_the_next(self, cluster: Meddled, log: AuditLog) -> None:
        """Whoever recomputes one hash breaks the link that follows."""

        def alter(data: dict[str, str]) -> None:
            from dataclasses import replace  # noqa: PLC0415 -- used here alone

            from quarterdeck_scripts.audit.chain import read_line  # noqa: PLC0415 -- likewise

            data["00000003"] = replace(read_line(data["00000003"])[0], actor="mallory").to_line()

        self.rewrite(cluster, alter)

        broken = log.verify().broken
        assert broken
        assert broken.where.startswith("entry 4 ")
        assert broken.reason.startswith("it follows")

    def test_a_removed_entry_is_named(self, cluster: Meddled, log: AuditLog) -> None:
        """The count has a gap."""
        self.rewrite(cluster, lambda data: data.pop("00000002") and None)

        assert str(log.verify().broken) == (
            "entry 3 of ConfigMap quarterdeck/quarterdeck-audit-000001: entry 2 is expected here, it is entry 3"
        )

    def test_what_is_no_entry_is_named(self, cluster: Meddled, log: AuditLog) -> None:
        """Anything else in its place."""
        self.rewrite(cluster, lambda data: data.update({"00000001": "{}"}))

        broken = log.verify().broken
        assert broken
        assert broken.reason.startswith("it is no entry")

    def test_newest_entries_cut_off_are_seen_by_the_copy(self, cluster: Meddled, log: AuditLog) -> None:
        """The cluster's chain is whole, but this machine remembers more."""

        def cut(data: dict[str, str]) -> None:
            del data["00000005"], data["00000006"]

        self.rewrite(cluster, cut)

        broken = log.verify().broken
        assert broken
        assert broken.where.startswith("line 5 of ")

    def test_a_log_that_was_cut_off_is_not_continued(self, cluster: Meddled, log: AuditLog) -> None:
        """The next change is refused, before anything is written."""
        self.rewrite(cluster, lambda data: data.pop("00000006") and None)

        with pytest.raises(RefusedError, match="cut off, altered or deleted"):
            make_change(log)
        assert len(entries(cluster)) == 5

    def test_a_log_that_was_emptied_is_not_continued(self, cluster: Meddled, log: AuditLog) -> None:
        """Deleted altogether, or left without entries."""
        self.rewrite(cluster, lambda data: data.clear())
        with pytest.raises(RefusedError, match="somebody emptied it"):
            make_change(log)

        cluster.request("DELETE", FIRST)
        with pytest.raises(RefusedError, match="cut off, altered or deleted"):
            make_change(log)

    def test_another_machine_has_the_whole_log(self, cluster: Meddled, log: AuditLog, tmp_path: Path) -> None:
        """A lost laptop takes nothing with it: the next machine's copy begins with all that was."""
        make_change(AuditLog(cluster, tmp_path / "new" / "audit", "bob"))

        assert copied(tmp_path / "new") == entries(cluster)
        assert len(entries(cluster)) == 8
