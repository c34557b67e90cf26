"""A silence is held from a run's first notice to its last, written down, and prolonged in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.notices.notice import Occasion
from quarterdeck_scripts.notices.ports import Lease
from quarterdeck_scripts.notices.silences import Quiet, SilenceLease

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.fake import FakeCluster
    from quarterdeck_scripts.notices.notice import Notice

QUIET = Quiet("prod", "shop", "checkout", ("PodNotReady",))


@dataclass
class FakeSilencer:
    """Notes what it is asked for."""

    name: str = "Alertmanager"
    asked: list[str] = field(default_factory=list)
    failing: bool = False

    def hold(self, quiet: Quiet, seconds: float) -> None:
        """Note it."""
        self._note(f"hold {quiet} for {seconds:.0f} s")

    def release(self, quiet: Quiet) -> None:
        """Note it."""
        self._note(f"release {quiet}")

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.failing:
            raise QuarterdeckError("it", "no answer", "wait")


@pytest.fixture
def audit(cluster: FakeCluster, tmp_path: Path) -> AuditLog:
    """Return the audit log of a cluster in memory."""
    return AuditLog(cluster, tmp_path / "audit", "tester")


def test_it_is_held_for_as_long_as_the_run_lives(audit: AuditLog, began: Notice, ended: Notice) -> None:
    """Five minutes at a time: whoever dies silences nothing for longer."""
    silencer = FakeSilencer()
    lease = SilenceLease(silencer, QUIET, audit.change)

    lease.keep()
    lease.hear(began)
    lease.hear(replace(began, occasion=Occasion.PROMOTING))
    lease.keep()
    lease.hear(ended)
    lease.keep()

    what = "PodNotReady of shop/checkout in prod"
    assert silencer.asked == [f"hold {what} for 300 s", f"hold {what} for 300 s", f"release {what}"]
    assert isinstance(lease, Lease)
    assert lease.every < 300 / 4


def test_beginning_and_end_are_in_the_audit_log(audit: AuditLog, began: Notice, ended: Notice) -> None:
    """Who silenced what, and why; prolonging it is no change."""
    lease = SilenceLease(FakeSilencer(), QUIET, audit.change)

    lease.hear(began)
    lease.keep()
    lease.hear(ended)

    entries = audit.verify().entries
    assert [(each.action, each.phase, each.outcome) for each in entries] == [
        ("rollout: silence", "before", ""),
        ("rollout: silence", "after", "done"),
        ("rollout: end silence", "before", ""),
        ("rollout: end silence", "after", "done"),
    ]
    assert entries[0].subject == "Alertmanager: PodNotReady of shop/checkout in prod"
    assert entries[0].why == "rollout checkout-v2-20270115T080000Z"


def test_one_that_was_not_taken_is_tried_again_when_it_would_be_prolonged(audit: AuditLog, began: Notice) -> None:
    """The run goes on without it meanwhile, and may say nothing for a long time."""
    silencer = FakeSilencer(failing=True)
    lease = SilenceLease(silencer, QUIET, audit.change)
    with pytest.raises(QuarterdeckError):
        lease.hear(began)

    silencer.failing = False
    lease.keep()

    outcomes = [each.outcome for each in audit.verify().entries if each.phase == "after"]
    assert (len(silencer.asked), outcomes) == (2, ["failed: no answer", "done"])


def test_nothing_is_silenced_that_cannot_be_written_down(audit: AuditLog, began: Notice, tmp_path: Path) -> None:
    """The audit log comes first, as for every change."""
    (tmp_path / "audit").write_text("in the way")
    silencer = FakeSilencer()

    with pytest.raises(RefusedError):
        SilenceLease(silencer, QUIET, audit.change).hear(began)
    assert silencer.asked == []


def test_what_a_run_that_died_held_is_ended_by_whoever_ends_the_run(audit: AuditLog, ended: Notice) -> None:
    """An abort never held it itself."""
    silencer = FakeSilencer()

    SilenceLease(silencer, QUIET, audit.change).hear(ended)

    assert silencer.asked == ["release PodNotReady of shop/checkout in prod"]
