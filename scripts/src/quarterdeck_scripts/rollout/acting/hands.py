"""Carries out a flow's actions on a cluster.

Each reads first and makes only the difference, so it may be repeated after a timeout, a kill or a conflict.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.kube.client import ApiError, UnreachableError
from quarterdeck_scripts.kube.pods import is_terminating
from quarterdeck_scripts.kube.retries import Backoff, may_pass
from quarterdeck_scripts.rollout.acting.changes import Changes
from quarterdeck_scripts.rollout.acting.keeping import Keeping
from quarterdeck_scripts.rollout.acting.lookout import Lookout
from quarterdeck_scripts.rollout.acting.sightings import Patience
from quarterdeck_scripts.rollout.acting.view import ServiceView
from quarterdeck_scripts.rollout.judge.explain import number_of
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.steps import actions as do
from quarterdeck_scripts.rollout.steps.asks import Ask, Wish, read_ask
from quarterdeck_scripts.rollout.steps.state import Direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.ports import Clock, Prometheus
    from quarterdeck_scripts.rollout.acting.keeper import Keeper
    from quarterdeck_scripts.rollout.acting.lens import Lens
    from quarterdeck_scripts.rollout.acting.lock import LeaseLock
    from quarterdeck_scripts.rollout.acting.stop import StopRequest
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.steps.state import State

T = TypeVar("T")

_SLICE = 0.25
"""Seconds of waiting between two looks at whether somebody asked to stop."""


class Hands:
    """Carries out the actions of one rollout."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        prometheus: Prometheus,
        audit: AuditLog,
        lock: LeaseLock,
        clock: Clock,
        stop: StopRequest,
        record: RolloutRecord,
        keeper: Keeper,
        take_over: bool = False,
        held: Callable[[], Ask | None] = lambda: None,
        foreseen: Callable[[int], str] = lambda _: "",
        rest: Callable[[], float] = lambda: 0.0,
        patience: Patience = Patience(),  # noqa: B008 -- frozen
    ) -> None:
        """*record* says which service; *take_over* takes the lock from a holder that is alive.

        *held* says what holds every rollout of the service now, before whatever somebody asks of this one; *foreseen*
        why the error budget would not bear a complete failure at that percent of the requests; *rest* how many seconds
        a wait has to last at least, so that the API server is not asked too often.
        """
        self._cluster = cluster
        self._prometheus = prometheus
        self._lock = lock
        self._clock = clock
        self._stop = stop
        self._record = record
        self._keeper = keeper
        self._take_over = take_over
        self._held = held
        self._foreseen = foreseen
        self._rest = rest
        self._patience = patience
        self._view = ServiceView(cluster, record.namespace, record.service, record.cluster, remembers=True)
        self._changes = Changes(cluster, audit, lock, self._view, record)
        self._keeping = Keeping(cluster, audit, lock, self._view, record)
        self._measuring: tuple[Measurer, Lens] | None = None
        self._lookout = self._look_out()
        self._judging_since: float | None = None
        self._weighed = 0.0
        """Unix seconds: when the canary was last given another share, after it was looked at."""
        self.tell: Callable[[str], None] = lambda _: None
        """Called with where the current step stands."""

    def carry_out(self, action: do.Action) -> Any:  # noqa: C901, PLR0911, PLR0912 -- a table, a line an action
        """Do what *action* says and return its answer.

        Raises:
            QuarterdeckError: it cannot be done.
            Interrupted: somebody asked to stop, and this action may be left.
        """
        match action:
            case do.AcquireLock():
                return self._patiently(lambda: self._lock.acquire(take_over=self._take_over))
            case do.ReleaseLock():
                return self._lock.release()
            case do.Inspect(any_state):
                return self._patiently(lambda: self._view.inspect(any_state=any_state))
            case do.KeepConfiguration():
                return self._patiently(self._keeping.keep)
            case do.SaveState(state):
                return self._patiently(lambda: self._save(state))
            case do.ClearState():
                return self._patiently(lambda: self._changes.note(None, "the rollout is over"))
            case do.CreateCanary(image, replicas, side):
                return self._patiently(lambda: self._changes.create(side, image, replicas))
            case do.Fence():
                return self._patiently(self._changes.fence)
            case do.Direct(led_to):
                return self._patiently(lambda: self._changes.direct(led_to))
            case do.Weigh(percent, unless_more):
                return self._weigh(percent, unless_more=unless_more)
            case do.Hold(image, pods):
                return self._patiently(lambda: self._changes.hold(image, pods))
            case do.Freeze():
                return self._patiently(self._changes.freeze)
            case do.WaitReady(side, within):
                return self._wait_ready(side, within)
            case do.Measure():
                return self._patiently(self._measure)
            case do.Foresee(percent):
                return self._foresee(percent)
            case do.Pause(seconds):
                return self._pause(seconds)
            case do.Promote(image):
                return self._patiently(lambda: self._changes.promote(image))
            case do.KeepEvidence(moment):
                return self.tell(self._keeper.keep(moment))
            case do.DeleteCanary():
                return self._delete_canary()
            case do.RestoreStable(image):
                return self._restore(image)

    def _save(self, state: State) -> Ask | None:
        """Write *state*; return the pause or the freeze that stands in its way, if one does."""
        held = self._held() if state.direction is Direction.FORWARD else None
        return held or self._heed(self._changes.note(state, f"{state.direction}: {state.reason}"))

    def _heed(self, ask: Ask | None) -> Ask | None:
        """Return what somebody asks; who asks for an abort asks to stop."""
        if ask and ask.wish is Wish.ABORT:
            self._stop.ask_to_abort(str(ask))
            self._stop.check()
        return ask

    def _asked(self, stable: Json) -> Ask | None:
        return self._heed(read_ask(stable, self._record.id))

    def _delete_canary(self) -> None:
        sides = (do.Side.CANARY, do.Side.BASELINE)
        for side in sides:
            self._patiently(partial(self._changes.delete, side))
        deadline = self._clock.monotonic() + self._patience.unanswered
        while self._clock.monotonic() < deadline:
            pods = self._patiently(lambda: [pod for side in sides for pod in self._view.pods(side)])
            left = [pod for pod in pods if not is_terminating(pod)]
            self.tell(f"{number_of(len(left), 'pod')} left" if left else "")
            if not left:
                return
            deadline += self._sleep(self._patience.poll)
        raise QuarterdeckError(
            f"the canary's pods to go within {self._patience.unanswered:.0f} s",
            f"still there: {', '.join(pod['metadata']['name'] for pod in left)}",
            "see that the controller manager runs; then run `quarterdeck rollout abort` again",
        )

    def _restore(self, image: str) -> str:
        """Put ConfigMaps back before the pods that read them; return what cannot be."""
        lost = self._patiently(lambda: self._keeping.put_back(image))
        self._patiently(lambda: self._changes.restore(image))
        self._patiently(self._changes.free)
        self._patiently(lambda: self._keeping.forget(image))
        return lost

    # Waiting and measuring

    def _wait_ready(self, side: do.Side, within: float) -> do.Waited:
        lookout = self._look_out()
        heard = self._clock.monotonic() - Lookout.EVERY
        deadline = self._clock.monotonic() + within
        while True:
            if not self._stop.is_shielded and self._clock.monotonic() - heard >= Lookout.EVERY:
                heard = self._clock.monotonic()
                self._patiently(lambda: self._asked(self._view.stable()))
            status = self._patiently(lambda: self._view.status(side))
            if status is None:
                return do.Waited(ready=False, reason=f"the {side} Deployment is gone")
            self.tell("; ".join([str(status), *map(str, status.problems[:1])]))
            if status.done:
                return do.Waited(ready=True)
            failure = self._patiently(partial(lookout.waiting, status, self._clock.monotonic()))
            if failure:
                return do.Waited(ready=False, reason=failure)
            if self._clock.monotonic() >= deadline:
                why = "; ".join(map(str, status.problems[:3])) or str(status)
                return do.Waited(ready=False, reason=f"not within {within:.0f} s: {why}")
            self._sleep(self._patience.poll)

    def _measure(self) -> do.Look:
        measurer, lens = self._measuring or self._begin_measuring()
        now = self._clock.monotonic()
        if self._judging_since is None:
            self._judging_since = now
        pods = self._view.pods()
        assessment = measurer.look(lens.facts(pods))
        self.tell(assessment.explanation)
        canaries = [pod for pod in pods if lens.side_of(pod) is do.Side.CANARY]
        trouble = self._lookout.judging(canaries, now)
        stable = self._view.stable()
        asked = self._asked(stable)
        ask = self._held() or asked
        if ask:
            self.tell(f"{ask}. {assessment.explanation}")
            self._record.forced = f"{ask}" if ask.wish is Wish.PROMOTE else ""
        changed = self._view.changed(stable)
        changed = f"the stable version: {changed}" if changed else self._view.renewed(canaries)
        return do.Look(assessment, now - self._judging_since, trouble, changed, ask)

    def _weigh(self, percent: int, *, unless_more: bool) -> int:
        """Give the canary its share; what it does with another one is judged anew."""
        share = self._patiently(lambda: self._changes.weigh(percent, unless_more=unless_more))
        if self._measuring is not None:
            self._measuring, self._judging_since, self._weighed = None, None, self._clock.now()
        return share

    def _foresee(self, percent: int) -> str:
        """Return why the next step is held; where nobody knows what is left, that is said, and it is not held."""
        try:
            short = self._foreseen(percent)
        except QuarterdeckError as error:
            self.tell(
                f"{percent} % is not held for the error budget, of which nobody knows what is left: {error.found}"
            )
            return ""
        if short:
            way_on = f"`quarterdeck rollout promote {self._record.service}` goes on, `abort` puts everything back"
            self.tell(f"held before {percent} %: {short}; {way_on}")
        return short

    def _begin_measuring(self) -> tuple[Measurer, Lens]:
        lens = self._view.lens(self._prometheus, self._clock.now(), self._record.max_wait)
        lens = replace(lens, since=max(lens.since, self._weighed))
        self._record.since = lens.since
        self._measuring = Measurer(lens, self._record, version=lens.version, tape=self._keeper.tape), lens
        return self._measuring

    def _look_out(self) -> Lookout:
        return Lookout(self._cluster, self._record.namespace, self._view, self._patience)

    def _pause(self, seconds: float) -> None:
        """Let *seconds* pass, or fewer if the new pods turn out not to serve: what is measured next says so."""
        began = self._clock.monotonic()
        deadline, looked = began + seconds, began
        while (left := deadline - self._clock.monotonic()) > 0:
            self._sleep(min(left, max(0.0, looked + Lookout.EVERY - self._clock.monotonic())))
            looked = self._clock.monotonic()
            if self._measuring and left > Lookout.EVERY and self._patiently(self._look):
                return

    def _look(self) -> str:
        """Return why the new version's pods cannot serve, seen long enough to be believed; nothing while they can."""
        version = self._measuring[1].version if self._measuring else ""
        return self._lookout.judging(self._view.of_version(version), self._clock.monotonic())

    def _sleep(self, seconds: float) -> float:
        """Wait, keeping the lock, leaving when somebody asks to stop.

        Returns:
            How many seconds longer it was than asked for, to spare the API server: whoever waits for it has asked it
            no more often meanwhile, so these are not counted against it.
        """
        spared = max(0.0, self._rest() - seconds)
        deadline = self._clock.monotonic() + seconds + spared
        while (left := deadline - self._clock.monotonic()) > 0:
            self._stop.check()
            self._keep_lock()
            self._clock.sleep(min(left, _SLICE))
        self._stop.check()
        return spared

    def _keep_lock(self) -> None:
        try:
            self._lock.keep()
        except (ApiError, UnreachableError) as error:
            # Before the next change the lock has to be renewed for certain; while waiting it need not be.
            self.tell(f"the lock could not be renewed ({error.found})")

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeat *call*, which reads before it changes, while the API server is silent, busy or ahead of us."""
        deadline = self._clock.monotonic() + self._patience.unanswered
        backoff = Backoff(self._patience.poll)
        while True:
            try:
                return call()
            except QuarterdeckError as error:
                # A refusal is what the audit log makes of silence.
                reason = error.__cause__ if isinstance(error, RefusedError) else error
                pause = backoff.pause(reason)
                if not may_pass(reason) or self._clock.monotonic() + pause >= deadline:
                    raise
                self.tell(f"asking again: {error.found}")
            deadline += self._sleep(pause)
