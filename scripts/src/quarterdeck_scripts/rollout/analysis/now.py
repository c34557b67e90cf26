"""An analysis of one service, asked now: of the rollout that is under way, or of a window of the past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_scripts.rollout.analysis import window as window_
from quarterdeck_scripts.rollout.analysis.window import Window
from quarterdeck_scripts.rollout.judge.explain import duration
from quarterdeck_scripts.rollout.judge.measure import clock_of
from quarterdeck_scripts.rollout.judge.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quarterdeck_scripts.rollout.acting.lens import Lens
    from quarterdeck_scripts.rollout.judge.evidence import PodFact
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.session import Session

ANALYSED = "analysed"
"""Stands as the ending in the record of an analysis: no rollout ended there."""


class Analysis:
    """Judges one service's two versions. Reads only."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tape = Tape()

    def live(self) -> RolloutRecord:
        """Return the record of the version that is being let in, from its beginning until now.

        Raises:
            RefusedError: none is.
            QuarterdeckError: Prometheus or the cluster gives no answer.
        """
        session, view = self._session, self._session.view()
        situation = view.inspect(any_state=True)
        image = situation.canary_image
        if image is None:
            raise RefusedError(
                f"a version of {session.service.name} that is being let in",
                f"only {situation.stable_image}",
                "name a window of the past with --since, such as 2h",
            )
        record = session.record(session.plan(image, situation))
        lens = view.lens(session.prometheus, session.clock.now(), record.max_wait)
        window = Window(lens.since, max(clock_of(session.prometheus), lens.since))
        return self._judge(record, lens, window, lens.facts(view.pods()))

    def past(self, since: str, until: str | None, version: str) -> RolloutRecord:
        """Return the record of a window in which two versions ran.

        Args:
            since: RFC 3339, or how long ago, such as 2h.
            until: likewise; None: now.
            version: the new one's; empty: that of the canary there was.

        Raises:
            UsageError: that is no window, or there are not two versions in it.
            QuarterdeckError: Prometheus or the cluster gives no answer.
        """
        session = self._session
        now = clock_of(session.prometheus)
        window = Window(window_.moment_of(since, now), window_.moment_of(until, now) if until else now)
        if window.until - window.since < session.interval:
            raise UsageError(
                f"a window of at least one scrape ({duration(session.interval)})",
                f"one of {duration(window.until - window.since)}",
                "give an earlier --since, or a later --until",
            )
        record = session.record(session.plan("", session.view().inspect(any_state=True)))
        lens, olds = window_.lens_of(session.prometheus, record, window, version)
        record.image, record.origin = lens.version, ", ".join(sorted(olds))
        return self._judge(record, lens, Window(lens.since, window.until), None)

    def _judge(
        self, record: RolloutRecord, lens: Lens, window: Window, last: Sequence[PodFact] | None
    ) -> RolloutRecord:
        at = datetime.fromtimestamp(window.since, UTC)
        record.id = f"{record.service}-{lens.version}-{ANALYSED}-{at:%Y%m%dT%H%M%SZ}"
        record.by = self._session.actor
        record.began, record.ended = window.since, window.until
        window_.look_through(lens, record, window, tape=self._tape, last=last)
        assessment = record.replay()
        record.ending, record.reason = ANALYSED, assessment.explanation if assessment else ""
        self._record = record
        return record

    def keep(self, folder: Path) -> str:
        """Keep what was judged, and what the cluster has now, as a bundle; return what became of it, for a person.

        Raises:
            UsageError: there is something in *folder* already.
        """
        if folder.exists() and any(folder.iterdir()):
            raise UsageError("a folder for a new bundle", f"files in {folder}", "name another")
        folder.parent.mkdir(parents=True, exist_ok=True)
        return self._session.keeper(self._record, folder=folder, tape=self._tape).keep(ANALYSED)
