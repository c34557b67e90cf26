"""A pod's failure is believed when it lasts, not at one glance."""

from __future__ import annotations

from quarterdeck_scripts.kube.pods import PodProblem
from quarterdeck_scripts.rollout.sightings import Patience, Sightings

CRASHING = PodProblem("p", "CrashLoopBackOff", "", "checkout")
PULLING = PodProblem("p", "ErrImagePull", "", "checkout")
STARTING = PodProblem("p", "ContainerCreating", "", "checkout")


def sightings() -> Sightings:
    """Return a memory that believes after 5 s and forgets after 10 s."""
    return Sightings(Patience())


def test_a_failure_that_lasts_is_believed() -> None:
    """Seen for five seconds, it is named."""
    seen = sightings()

    assert seen.see([CRASHING], 0) == ""
    assert seen.see([CRASHING], 4) == ""
    assert seen.see([CRASHING], 5) == "pod p, container checkout: CrashLoopBackOff"


def test_reasons_that_alternate_are_one_failure() -> None:
    """A pull that fails and backs off in turn does not begin anew each time."""
    seen = sightings()
    seen.see([PULLING], 0)

    assert seen.see([PodProblem("p", "ImagePullBackOff", "", "checkout")], 6) != ""


def test_a_moment_of_looking_well_does_not_help() -> None:
    """Between two crashes a process runs for a moment."""
    seen = sightings()
    seen.see([CRASHING], 0)
    seen.see([], 3)

    assert seen.see([CRASHING], 6) != ""


def test_a_failure_that_is_over_is_forgotten() -> None:
    """After ten seconds without it, it begins anew."""
    seen = sightings()
    seen.see([CRASHING], 0)
    seen.see([], 11)

    assert seen.see([CRASHING], 12) == ""


def test_starting_up_is_no_failure() -> None:
    """However long it takes: that is what the deadline is for."""
    seen = sightings()

    assert [seen.see([STARTING], now) for now in (0, 60, 600)] == ["", "", ""]
