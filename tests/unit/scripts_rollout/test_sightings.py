"""A pod's failure is believed when it lasts and over all new pods, not by one glance; but always within 30 s."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck_scripts.kube.pods import PodProblem
from quarterdeck_scripts.rollout.acting.sightings import Patience, Sightings

CRASHING = PodProblem("p", "CrashLoopBackOff", "", "checkout")
PULLING = PodProblem("p", "ErrImagePull", "", "checkout")
STARTING = PodProblem("p", "ContainerCreating", "", "checkout")
NO_QUOTA = PodProblem("", "QuotaExceeded", "pods: used 10, limited 10")


def sightings() -> Sightings:
    """Return a memory that believes after 5, 15 or 20 s and forgets after 10 s."""
    return Sightings(Patience())


def test_a_failure_that_lasts_is_believed() -> None:
    """Seen for five seconds, it is named."""
    seen = sightings()

    assert seen.see([CRASHING], 0) == ""
    assert seen.see([CRASHING], 4) == ""
    assert seen.see([CRASHING], 5) == "pod p, container checkout: CrashLoopBackOff"


def test_what_the_cluster_tries_again_is_given_a_second_try() -> None:
    """A registry that answers after ten seconds is no failure; reasons that alternate are one."""
    seen = sightings()
    seen.see([PULLING], 0)

    assert seen.see([replace(PULLING, reason="ImagePullBackOff")], 8) == ""
    assert seen.see([PULLING], 14) == ""
    assert seen.see([replace(PULLING, reason="ImagePullBackOff")], 15) != ""


def test_a_failure_of_all_new_pods_is_believed_at_once_and_counted() -> None:
    """Three of three crash."""
    seen = sightings()
    crashing = [replace(CRASHING, pod=name) for name in "abc"]
    seen.see(crashing, 0, of=3)

    assert seen.see(crashing, 5, of=3) == (
        "pod a, container checkout: CrashLoopBackOff; likewise 2 of the other 2 new pods"
    )


def test_one_failing_pod_among_others_may_be_its_nodes_fault() -> None:
    """It is given longer, and named within half a minute all the same."""
    seen = sightings()
    seen.see([CRASHING], 0, of=3)

    assert [seen.see([CRASHING], now, of=3) for now in (5, 10, 19)] == ["", "", ""]
    assert seen.see([CRASHING], 20, of=3).startswith("pod p, container checkout: CrashLoopBackOff")


def test_what_keeps_a_workload_from_having_pods_is_no_single_pods_fault() -> None:
    """However many pods there are already."""
    seen = sightings()
    seen.see([NO_QUOTA], 0, of=3)
    seen.see([NO_QUOTA], 8, of=3)

    assert seen.see([NO_QUOTA], 15, of=3) == "no pod: QuotaExceeded (pods: used 10, limited 10)"


def test_pods_that_are_being_replaced_are_no_fault_of_the_new_version() -> None:
    """An old pod that crashes is one more reason to go on."""
    seen = sightings()
    old = replace(CRASHING, stale=True)

    assert [seen.see([old], now, of=2) for now in (0, 30, 600)] == ["", "", ""]


def test_a_moment_of_looking_well_does_not_help() -> None:
    """Between two crashes a process runs for a moment."""
    seen = sightings()
    seen.see([CRASHING], 0)
    seen.see([], 3)

    assert seen.see([CRASHING], 6) != ""


def test_a_failure_that_is_over_is_forgotten() -> None:
    """After ten seconds and two looks without it, or when it turned out to be none, it begins anew."""
    seen = sightings()
    seen.see([CRASHING], 0)
    seen.see([], 5)
    seen.see([], 11)

    assert seen.see([CRASHING], 12) == ""
    seen.forget("p")
    assert seen.see([CRASHING], 17) == ""


def test_a_crash_is_believed_however_rarely_anybody_looks() -> None:
    """With ten thousand pods a look comes every twenty seconds; one that sees none is a moment between two crashes."""
    seen = sightings()

    assert seen.see([CRASHING], 0, of=2) == ""
    assert seen.see([], 21, of=2) == ""
    assert seen.see([CRASHING], 42, of=2) == "pod p, container checkout: CrashLoopBackOff"
    assert [seen.see(problems, now) for problems, now in (([], 63), ([], 84), ([CRASHING], 105))] == ["", "", ""]


def test_starting_up_is_no_failure() -> None:
    """However long it takes: that is what the deadline is for."""
    seen = sightings()

    assert [seen.see([STARTING], now) for now in (0, 60, 600)] == ["", "", ""]
