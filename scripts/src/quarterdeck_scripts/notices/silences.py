"""Keeping quiet what a run itself sets off, as a lease: prolonged while the run lives, lapsing when it dies.

Only alerts that the catalogue names are kept quiet, only of the one service, and never those that page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from quarterdeck_scripts.audit.log import Change
    from quarterdeck_scripts.notices.notice import Notice


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Seconds, both."""

    lapse: float = 300.0
    """After this long without a run that prolongs it everybody is told again: shorter than any on-call response."""
    every: float = 60.0
    """Between two prolongations: four may fail before it lapses, one call a minute."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is kept quiet: at most one such for each service of an environment."""

    environment: str
    namespace: str
    service: str
    alerts: tuple[str, ...]
    """Names of alerts, at least one."""

    def __str__(self) -> str:
        return f"{', '.join(self.alerts)} of {self.namespace}/{self.service} in {self.environment}"


class Silencer(Protocol):
    """Somebody who tells people of alerts, and can be asked not to."""

    @property
    def name(self) -> str:
        """What a person calls it: `Alertmanager`."""
        ...

    def hold(self, quiet: Quiet, seconds: float) -> None:
        """See that *quiet* is kept for *seconds* from now, and no second time: what is there is prolonged.

        Raises:
            QuarterdeckError: it is not, or nobody knows.
        """
        ...

    def release(self, quiet: Quiet) -> None:
        """End it now; that it is over, or never was, is no error.

        Raises:
            QuarterdeckError: it may be kept until it lapses.
        """
        ...


class SilenceLease:
    """Holds a silence for as long as a run lives; see `notices.ports.Lease`."""

    def __init__(
        self,
        silencer: Silencer,
        quiet: Quiet,
        change: Callable[..., AbstractContextManager[Change]],
        settings: LeaseSettings = LeaseSettings(),
    ) -> None:
        """*change* writes a change into the audit log around it: `AuditLog.change`."""
        self.name = f"{silencer.name} (silences)"
        self.every = settings.every
        self._silencer = silencer
        self._quiet = quiet
        self._change = change
        self._lapse = settings.lapse
        self._held = False
        self._run = ""
        """The run that it is held for; empty while none lives."""

    def hear(self, notice: Notice) -> None:
        """Hold it from the first notice on; with the last one end it, and what an earlier process held."""
        if notice.occasion.is_last:
            self._run, self._held = "", False
            with self._audited("end silence", "kept quiet", notice.title):
                self._silencer.release(self._quiet)
        elif not self._held:
            self._run = notice.run
            self._take()

    def keep(self) -> None:
        """Prolong it, or take it if that has not been possible before."""
        if self._held:
            self._silencer.hold(self._quiet, self._lapse)
        elif self._run:
            self._take()

    def _take(self) -> None:
        with self._audited("silence", None, f"rollout {self._run}") as change:
            self._silencer.hold(self._quiet, self._lapse)
            change.after = f"for {self._lapse:.0f} s, prolonged while the rollout lives"
        self._held = True

    def _audited(self, action: str, before: str | None, why: str) -> AbstractContextManager[Change]:
        subject = f"{self._silencer.name}: {self._quiet}"
        return self._change(action=f"rollout: {action}", subject=subject, before=before, why=why)
