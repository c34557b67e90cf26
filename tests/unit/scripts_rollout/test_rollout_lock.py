"""One rollout of a service at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.lock import PROCESS, LeaseLock, holder_of

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

LEASE = path("Lease", "shop", "quarterdeck-rollout-checkout")


@pytest.fixture
def cluster() -> FakeCluster:
    """Return a cluster with the namespace `shop`."""
    return FakeCluster([{"kind": "Namespace", "metadata": {"name": "shop"}}])


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that both operators share."""
    return FakeClock()


def lock(cluster: FakeCluster, clock: FakeClock, holder: str = "anna@bridge") -> LeaseLock:
    """Return *holder*'s lock, not yet taken."""
    return LeaseLock(cluster, "shop", "checkout", holder=holder, clock=clock)


def lease(cluster: FakeCluster) -> Json:
    """Return the Lease as it is."""
    return cluster.request("GET", LEASE)


def test_a_free_lock_is_taken_and_given_back(cluster: FakeCluster, clock: FakeClock) -> None:
    """The Lease names the holder while it is held, and nobody afterwards."""
    mine = lock(cluster, clock)
    mine.acquire()
    assert holder_of(cluster, "shop", "checkout").name == "anna@bridge"

    mine.release()
    assert holder_of(cluster, "shop", "checkout").name == ""
    lock(cluster, clock, "ben@bridge").acquire()
    assert lease(cluster)["spec"]["leaseTransitions"] == 1


def test_others_read_where_the_holder_stands(cluster: FakeCluster, clock: FakeClock) -> None:
    """It goes with the next renewal, whose time is a sign of life."""
    mine = lock(cluster, clock)
    mine.acquire()
    before = holder_of(cluster, "shop", "checkout")
    mine.tell("Judge the canary: 2 more minutes")
    clock.sleep(5)
    mine.keep()

    after = holder_of(cluster, "shop", "checkout")
    assert (before.progress, after.progress) == ("", "Judge the canary: 2 more minutes")
    assert before.renewed != after.renewed


def test_a_service_never_rolled_out_has_no_holder(cluster: FakeCluster) -> None:
    """No Lease is no holder."""
    assert holder_of(cluster, "shop", "checkout").name == ""


def test_a_second_operator_is_refused_at_once_with_the_holders_name(cluster: FakeCluster, clock: FakeClock) -> None:
    """No time passes: the Lease was renewed a moment ago."""
    lock(cluster, clock).acquire()
    before = clock.monotonic()

    with pytest.raises(RefusedError, match=r"held by anna@bridge, last renewed 0 s ago"):
        lock(cluster, clock, "ben@bridge").acquire()

    assert clock.monotonic() == before


def test_a_dead_holder_is_taken_over(cluster: FakeCluster, clock: FakeClock) -> None:
    """30 s after its last renewal, and 12 s of watching: within 45 s of its death."""
    lock(cluster, clock).acquire()
    died = clock.monotonic()
    clock.sleep(30)

    lock(cluster, clock, "ben@bridge").acquire()

    assert holder_of(cluster, "shop", "checkout").name == "ben@bridge"
    assert clock.monotonic() - died <= 45


def test_a_holder_whose_clock_is_behind_is_not_taken_over(cluster: FakeCluster) -> None:
    """Its renewals, seen with our own clock, count more than the times it writes."""
    theirs = lock(cluster, FakeClock(1_700_000_000.0 - 3600))
    theirs.acquire()
    behind = theirs._clock
    clock = FakeClock(on_sleep=lambda _: (behind.sleep(1), theirs.keep())[1])

    with pytest.raises(RefusedError, match="held by anna@bridge"):
        lock(cluster, clock, "ben@bridge").acquire()


def test_a_dead_holder_whose_clock_was_ahead_is_taken_over(cluster: FakeCluster, clock: FakeClock) -> None:
    """A time in the future says nothing of when it was: nobody renews it before our eyes, so it is taken."""
    lock(cluster, FakeClock(clock.now() + 3600)).acquire()
    before = clock.monotonic()

    lock(cluster, clock, "ben@bridge").acquire()

    assert holder_of(cluster, "shop", "checkout").name == "ben@bridge"
    assert clock.monotonic() - before <= 45


class Elsewhere:
    """A cluster whose clock is an hour ahead of this machine's."""

    skew = 3600.0

    def __init__(self, cluster: FakeCluster) -> None:
        self.request = cluster.request


def test_times_are_by_the_servers_clock(cluster: FakeCluster, clock: FakeClock) -> None:
    """Of two machines, one of whose clocks is an hour behind, the second is refused at once by the other."""
    theirs = FakeClock(clock.now() - 3600)
    LeaseLock(Elsewhere(cluster), "shop", "checkout", holder="anna@bridge", clock=theirs).acquire()  # type: ignore[arg-type]
    before = clock.monotonic()

    with pytest.raises(RefusedError, match=r"held by anna@bridge, last renewed 0 s ago"):
        lock(cluster, clock, "ben@bridge").acquire()

    assert clock.monotonic() == before


def lossy(cluster: FakeCluster, method: str, *, carried_out: bool) -> Any:
    """Return a cluster that leaves the first *method* without an answer."""

    class Lossy:
        skew = 0.0
        lost = False

        def request(self, sent: str, where: str, **options: Any) -> Json:
            if sent != method or self.lost:
                return cluster.request(sent, where, **options)
            self.lost = True
            if carried_out:
                cluster.request(sent, where, **options)
            raise UnreachableError("an answer", "silence", "read back")

    return Lossy()


def test_a_lock_whose_answer_was_lost_is_ours(cluster: FakeCluster, clock: FakeClock) -> None:
    """Found by a proxy before a real API server: whoever asked again was refused by themselves."""
    mine = LeaseLock(lossy(cluster, "POST", carried_out=True), "shop", "checkout", holder="anna@bridge", clock=clock)
    with pytest.raises(UnreachableError):
        mine.acquire()
    before = clock.monotonic()

    mine.acquire()

    assert clock.monotonic() == before
    mine.holds()
    assert lease(cluster)["spec"]["leaseTransitions"] == 0


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_lock_is_given_back_though_an_answer_is_lost(
    cluster: FakeCluster, clock: FakeClock, *, carried_out: bool
) -> None:
    """It is read back, and given back once."""
    mine = LeaseLock(
        lossy(cluster, "PUT", carried_out=carried_out), "shop", "checkout", holder="anna@bridge", clock=clock
    )
    mine.acquire()

    mine.release()

    assert holder_of(cluster, "shop", "checkout").name == ""
    assert [method for method, where in cluster.requests if where == LEASE].count("PUT") == 1


def test_a_lock_that_another_took_is_not_given_back(cluster: FakeCluster, clock: FakeClock) -> None:
    """It is theirs."""
    mine, theirs = lock(cluster, clock), lock(cluster, clock, "ben@bridge")
    mine.acquire()
    theirs.acquire(take_over=True)

    mine.release()

    assert holder_of(cluster, "shop", "checkout").name == "ben@bridge"


def test_a_holder_of_this_machine_that_died_is_taken_over_at_once(cluster: FakeCluster, clock: FakeClock) -> None:
    """Nothing has to be waited for when its process is known to be gone."""
    lock(cluster, clock).acquire()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    mark = json.loads(lease(cluster)["metadata"]["annotations"][PROCESS])
    mark["pid"] = child.pid
    patch = {"metadata": {"annotations": {PROCESS: json.dumps(mark)}}}
    cluster.request("PATCH", LEASE, body=patch, content_type=MERGE_PATCH)
    before = clock.monotonic()

    lock(cluster, clock, "ben@bridge").acquire()

    assert clock.monotonic() == before


@pytest.mark.parametrize("mark", ["", "{", "[]", "{}", '{"machine": "elsewhere", "pid": 1, "started": "1"}'])
def test_a_holder_that_cannot_be_known_to_be_dead_is_believed(
    cluster: FakeCluster, clock: FakeClock, mark: str
) -> None:
    """Another machine's process, or a mark that cannot be read, is alive until its Lease lapses."""
    lock(cluster, clock).acquire()
    patch = {"metadata": {"annotations": {PROCESS: mark}}}
    cluster.request("PATCH", LEASE, body=patch, content_type=MERGE_PATCH)

    with pytest.raises(RefusedError):
        lock(cluster, clock, "ben@bridge").acquire()


def test_whoever_is_taken_over_makes_no_further_change(cluster: FakeCluster, clock: FakeClock) -> None:
    """The old holder finds out before its next change, by name, though it renewed the lock a second ago."""
    mine, theirs = lock(cluster, clock), lock(cluster, clock, "ben@bridge")
    mine.acquire()
    clock.sleep(1)
    theirs.acquire(take_over=True)

    with pytest.raises(RefusedError, match="ben@bridge took it over"):
        mine.holds()
    with pytest.raises(RefusedError, match="it is not held"):
        mine.holds()
    mine.release()
    theirs.holds()


def test_a_lease_that_was_deleted_is_written_anew(cluster: FakeCluster, clock: FakeClock) -> None:
    """Nobody took it, so it is still ours."""
    mine = lock(cluster, clock)
    mine.acquire()
    cluster.request("DELETE", LEASE)
    clock.sleep(6)

    mine.keep()

    assert holder_of(cluster, "shop", "checkout").name == "anna@bridge"


def test_it_is_renewed_every_five_seconds(cluster: FakeCluster, clock: FakeClock) -> None:
    """Asked ten times a second for 20 s, it writes four times."""
    mine = lock(cluster, clock)
    mine.acquire()
    for _ in range(200):
        clock.sleep(0.1)
        mine.keep()

    assert [method for method, where in cluster.requests if where == LEASE].count("PUT") in {3, 4}


def test_somebody_elses_annotation_on_the_lease_does_not_lose_it(cluster: FakeCluster, clock: FakeClock) -> None:
    """A conflict is read back: ours is still ours."""
    mine = lock(cluster, clock)
    mine.acquire()
    patch = {"metadata": {"annotations": {"note": "hello"}}}
    cluster.request("PATCH", LEASE, body=patch, content_type=MERGE_PATCH)
    clock.sleep(6)

    mine.keep()

    assert lease(cluster)["metadata"]["annotations"]["note"] == "hello"


def test_of_two_that_come_together_one_gets_it(cluster: FakeCluster, clock: FakeClock) -> None:
    """Whoever writes second looks again, and is refused."""
    mine, theirs = lock(cluster, clock), lock(cluster, clock, "ben@bridge")
    look = theirs._read

    def look_before_the_other_writes() -> Json | None:
        found = look()
        mine.acquire()
        return found

    theirs._read = look_before_the_other_writes  # type: ignore[method-assign]

    with pytest.raises(RefusedError, match="held by anna@bridge"):
        theirs.acquire()


def test_what_prevents_giving_it_back_is_no_failure(cluster: FakeCluster, clock: FakeClock) -> None:
    """It lapses by itself."""
    mine = lock(cluster, clock)
    mine.acquire()
    mine._cluster = Silent()  # type: ignore[assignment]

    mine.release()


class Silent:
    """A cluster that does not answer."""

    skew = 0.0

    def request(self, *_: object, **__: object) -> Json:
        """Say nothing."""
        raise UnreachableError("an answer", "silence", "wait")


class Forbidding(Silent):
    """A cluster that forbids everything."""

    def request(self, *_: object, **__: object) -> Json:
        """Forbid."""
        raise ApiError(403, "Forbidden", "no")


def test_other_refusals_pass_through(clock: FakeClock) -> None:
    """A right that lacks is told as the server tells it."""
    forbidden = LeaseLock(Forbidding(), "shop", "checkout", holder="anna", clock=clock)  # type: ignore[arg-type]

    with pytest.raises(ApiError, match="403"):
        forbidden.acquire()
    with pytest.raises(ApiError, match="403"):
        holder_of(Forbidding(), "shop", "checkout")  # type: ignore[arg-type]
