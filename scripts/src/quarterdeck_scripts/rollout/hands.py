"""Carries out a flow's actions on a cluster.

Each reads first and makes only the difference, so it may be repeated after a timeout, a kill or a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE, TRACK, TRACK_CANARY
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, ApiError, Json, UnreachableError, path
from quarterdeck_scripts.kube.pods import is_terminating, problems_of
from quarterdeck_scripts.kube.retries import Backoff, may_pass
from quarterdeck_scripts.rollout import actions as do
from quarterdeck_scripts.rollout.asks import Wish, read_ask
from quarterdeck_scripts.rollout.explain import number_of
from quarterdeck_scripts.rollout.measure import Measurer
from quarterdeck_scripts.rollout.sightings import Patience, Sightings
from quarterdeck_scripts.rollout.state import Direction
from quarterdeck_scripts.rollout.view import ServiceView, created, label, pod_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.rollout.asks import Ask
    from quarterdeck_scripts.rollout.lock import LeaseLock
    from quarterdeck_scripts.rollout.ports import Clock, Prometheus
    from quarterdeck_scripts.rollout.record import RolloutRecord
    from quarterdeck_scripts.rollout.state import State
    from quarterdeck_scripts.rollout.stop import StopRequest

T = TypeVar("T")

FIELD_MANAGER = "quarterdeck-rollout"
"""Who, in `managedFields`, changed what a rollout changed."""

_AS_US = {"fieldManager": FIELD_MANAGER}

_NOT_FOUND = 404

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
        take_over: bool = False,
        patience: Patience = Patience(),  # noqa: B008 -- frozen
    ) -> None:
        """*record* says which service; *take_over* takes the lock from a holder that is alive."""
        self._cluster = cluster
        self._prometheus = prometheus
        self._audit = audit
        self._lock = lock
        self._clock = clock
        self._stop = stop
        self._record = record
        self._take_over = take_over
        self._patience = patience
        self._canary_name = workloads.canary_name(record.service)
        self._view = ServiceView(cluster, record.namespace, record.service, record.cluster)
        self._measurer: Measurer | None = None
        self._sightings = Sightings(patience)
        self._judging_since: float | None = None
        self.tell: Callable[[str], None] = lambda _: None
        """Called with where the current step stands."""

    def carry_out(self, action: do.Action) -> Any:  # noqa: C901, PLR0911 -- a table, a line an action
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
            case do.SaveState(state):
                return self._patiently(lambda: self._annotate(state, f"{state.direction}: {state.reason}"))
            case do.ClearState():
                return self._patiently(lambda: self._annotate(None, "the rollout is over"))
            case do.CreateCanary(image, replicas):
                return self._patiently(lambda: self._create_canary(image, replicas))
            case do.WaitReady(side, within):
                return self._wait_ready(side, within)
            case do.Measure():
                return self._patiently(self._measure)
            case do.Pause(seconds):
                return self._sleep(seconds)
            case do.Promote(image):
                return self._patiently(lambda: self._promote(image))
            case do.DeleteCanary():
                return self._delete_canary()
            case do.RestoreStable(image):
                return self._patiently(lambda: self._restore(image))

    # Changing

    def _annotate(self, state: State | None, why: str) -> Ask | None:
        """Write *state*, or take it away; return the pause that stands in its way, if one does.

        What was asked for goes with the decision: a pause that comes between is seen, for it makes a new version.
        """
        self._lock.holds()
        stable = self._view.stable()
        ask = read_ask(stable, state.id) if state else None
        if state and state.direction is Direction.FORWARD and ask and ask.wish is Wish.PAUSE:
            return ask
        present = stable["metadata"].get("annotations") or {}
        text = state.to_annotation() if state else None
        wanted: dict[str, str | None] = {ROLLOUT_STATE: text}
        if ROLLOUT_ASK in present and not (state and state.direction is Direction.UNDECIDED):
            wanted[ROLLOUT_ASK] = None
        if all(present.get(name) == value for name, value in wanted.items()):
            return None
        patch = {"metadata": {"resourceVersion": stable["metadata"]["resourceVersion"], "annotations": wanted}}
        with self._change("note", present.get(ROLLOUT_STATE), why) as change:
            self._cluster.request(
                "PATCH", self._path(self._record.service), query=_AS_US, body=patch, content_type=MERGE_PATCH
            )
            change.after = text
        return None

    def _create_canary(self, image: str, replicas: int) -> None:
        self._lock.holds()
        present = self._view.deployment(do.Side.CANARY)
        if present is not None:
            if workloads.serving_image(present) != image:
                raise RefusedError(
                    f"no other canary of {self._record.service}",
                    f"one of {workloads.serving_image(present)}",
                    f"run `quarterdeck rollout abort {self._record.service}` first",
                )
            return
        wanted = workloads.canary_of(self._view.stable(), image, replicas)
        with self._change("create canary", None, f"judge {image}", self._canary_name) as change:
            self._cluster.request("POST", path("Deployment", self._record.namespace), query=_AS_US, body=wanted)
            change.after = {"image": image, "replicas": replicas}

    def _promote(self, image: str) -> None:
        self._lock.holds()
        stable = self._view.stable()
        before = workloads.serving_image(stable)
        if before == image:
            return
        changed = self._view.changed(stable)
        if changed:
            raise RefusedError(
                f"the stable version of {self._record.service} to be the one the canary was compared with",
                f"somebody else changed {changed}",
                f"run `quarterdeck rollout abort {self._record.service}`, then start again",
            )
        with self._change("promote", {"image": before}, self._record.reason or f"promote {image}") as change:
            self._patch_template(workloads.promote_patch(stable, image))
            change.after = {"image": image}

    def _restore(self, image: str) -> None:
        self._lock.holds()
        stable = self._view.stable()
        if workloads.serving_image(stable) != image:
            return
        replica_sets = self._view.replica_sets()
        if workloads.rolled_back(stable, replica_sets):
            return  # by us, and only the answer was lost
        previous = workloads.previous_revision(stable, replica_sets)
        if previous is None:
            raise RefusedError(
                f"an earlier revision of {self._record.service} to go back to",
                "none is kept by the cluster (revisionHistoryLimit)",
                "deploy the wanted version by hand",
            )
        with self._change("restore", {"image": image}, self._record.reason or "put everything back") as change:
            self._patch_template(workloads.undo_patch(stable, previous))
            change.after = {"images": previous.images, "revision": previous.number}

    def _delete_canary(self) -> None:
        self._patiently(self._delete_canary_deployment)
        deadline = self._clock.monotonic() + self._patience.unanswered
        while self._clock.monotonic() < deadline:
            pods = self._patiently(lambda: self._view.pods(do.Side.CANARY))
            left = [pod for pod in pods if not is_terminating(pod)]
            self.tell(f"{number_of(len(left), 'pod')} left" if left else "")
            if not left:
                return
            self._sleep(self._patience.poll)
        raise QuarterdeckError(
            f"the canary's pods to go within {self._patience.unanswered:.0f} s",
            f"still there: {', '.join(pod['metadata']['name'] for pod in left)}",
            "see that the controller manager runs; then run `quarterdeck rollout abort` again",
        )

    def _delete_canary_deployment(self) -> None:
        self._lock.holds()
        canary = self._view.deployment(do.Side.CANARY)
        if canary is None:
            return
        before = {"image": workloads.serving_image(canary), "replicas": canary["spec"].get("replicas", 1)}
        with self._change("delete canary", before, self._record.reason or "the canary has served", self._canary_name):
            try:
                self._cluster.request("DELETE", self._path(self._canary_name), body={"propagationPolicy": "Background"})
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise

    def _patch_template(self, patch: list[Json]) -> None:
        self._cluster.request(
            "PATCH", self._path(self._record.service), query=_AS_US, body=patch, content_type=JSON_PATCH
        )

    def _change(self, action: str, before: object, why: str, name: str | None = None) -> Any:
        subject = f"Deployment {self._record.namespace}/{name or self._record.service}"
        return self._audit.change(action=f"rollout: {action}", subject=subject, before=before, why=why)

    def _path(self, name: str) -> str:
        return path("Deployment", self._record.namespace, name)

    # Waiting and measuring

    def _wait_ready(self, side: do.Side, within: float) -> do.Waited:
        sightings = Sightings(self._patience)
        deadline = self._clock.monotonic() + within
        while True:
            status = self._patiently(lambda: self._view.status(side))
            if status is None:
                return do.Waited(ready=False, reason=f"the {side} Deployment is gone")
            self.tell("; ".join([str(status), *map(str, status.problems[:1])]))
            if status.done:
                return do.Waited(ready=True)
            failure = sightings.see(status.problems, self._clock.monotonic())
            if failure:
                return do.Waited(ready=False, reason=failure)
            if self._clock.monotonic() >= deadline:
                why = "; ".join(map(str, status.problems[:3])) or str(status)
                return do.Waited(ready=False, reason=f"not within {within:.0f} s: {why}")
            self._sleep(self._patience.poll)

    def _measure(self) -> do.Look:
        measurer = self._measurer or self._begin_measuring()
        now = self._clock.monotonic()
        if self._judging_since is None:
            self._judging_since = now
        pods = self._view.pods()
        assessment = measurer.look(pod_facts(pods, self._record.since))
        self.tell(assessment.explanation)
        canaries = [pod for pod in pods if label(pod, TRACK) == TRACK_CANARY]
        trouble = self._sightings.see([problem for pod in canaries for problem in problems_of(pod)], now)
        stable = self._view.stable()
        ask = read_ask(stable, self._record.id)
        if ask:
            self.tell(f"{ask}. {assessment.explanation}")
            self._record.forced = f"{ask}" if ask.wish is Wish.PROMOTE else ""
        return do.Look(assessment, now - self._judging_since, trouble, self._view.changed(stable), ask)

    def _begin_measuring(self) -> Measurer:
        canary = self._view.deployment(do.Side.CANARY)
        if canary is None:
            raise QuarterdeckError("a canary to measure", "none: somebody deleted it", "start the rollout again")
        self._record.since = created(canary)
        version = workloads.version_of(workloads.serving_image(canary))
        self._measurer = Measurer(self._prometheus, self._record, version=version)
        return self._measurer

    def _sleep(self, seconds: float) -> None:
        """Wait, keeping the lock, leaving when somebody asks to stop."""
        deadline = self._clock.monotonic() + seconds
        while (left := deadline - self._clock.monotonic()) > 0:
            self._stop.check()
            self._keep_lock()
            self._clock.sleep(min(left, _SLICE))
        self._stop.check()

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
            self._sleep(pause)
