"""One rollout of a service at a time: a Lease, judged by what this machine sees of it.

A holder renews every few seconds. Whoever comes second is refused at once when the Lease looks alive, naming
the holder. When it looks lapsed, its renewals are watched for with this machine's own clock before it is taken
over. Times in it are by the API server's clock, as far as that is known. A holder of this very machine whose
process is gone is known to be dead.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import DOMAIN
from quarterdeck_scripts.kube.client import ApiError, Json, path
from quarterdeck_scripts.kube.retries import TRIES, Backoff, may_pass
from quarterdeck_scripts.rollout.acting.processes import has_ended, mark

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.ports import Clock

PROCESS = f"{DOMAIN}/holder-process"
"""On the Lease, JSON: machine, process id and its start, by which the same machine can see that a holder died."""

ROLLOUT, NODE = "rollout", "node"
"""What a lock is of: a service's one is called after rollouts, which it was made for. Part of the Lease's name."""

PROGRESS = f"{DOMAIN}/progress"
"""On the Lease: where its holder stands, in a sentence. It goes with the renewals, so it costs no request."""

_LONGEST = 1000
"""Characters of it that are kept: it is read on one screen."""

_CLOCKS_DIFFER = 5.0
"""Seconds by which a renewal may lie in the future: what the server's clock is known to, and a slow request."""

_NOT_FOUND, _CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class LockSettings:
    """Seconds, all of them. A dead holder is taken over after at most `lapse + observe` = 42 s of it."""

    lapse: float = 30.0
    """After this long without a renewal a holder looks dead: as long as the longest call to the API server."""
    renew: float = 5.0
    """Between renewals: six chances before it lapses, one request in five seconds."""
    observe: float = 12.0
    """How long a lapsed Lease is watched before it is taken: two renewals of a holder whose clock is off."""


class LeaseLock:
    """The lock of a service or a node, for one rollout or runbook action. Not safe to use from several threads."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        service: str,
        *,
        holder: str,
        clock: Clock,
        kind: str = ROLLOUT,
        settings: LockSettings = LockSettings(),
    ) -> None:
        """*holder* is what others are told: a person and a machine. *kind* is ROLLOUT, or NODE for a node's name."""
        self._cluster = cluster
        self._what = f"the {kind} lock of {service}"
        self._namespace = namespace
        self._name = _name_of(service, kind)
        self._holder = holder
        self._clock = clock
        self._settings = settings
        self._lease: Json | None = None
        self._attempt: Json = {}
        """The specification last written to take the lock, by which it is known when the answer was lost."""
        self._renewed = 0.0
        self._progress = ""

    def acquire(self, *, take_over: bool = False) -> None:
        """Take the lock.

        Args:
            take_over: even from a holder that is alive; its next change is then refused.

        Raises:
            RefusedError: somebody else holds it.
        """
        watched: Json | None = None
        until = 0.0
        while self._lease is None:
            lease = self._read()
            if lease is not None and self._is_own(lease):
                self._lease = lease
            elif lease is None or not _holder(lease) or take_over or _is_gone(lease):
                self._take(lease)
            elif watched is not None and _version(lease) != _version(watched):
                raise self._held(lease)  # it was renewed before our eyes
            elif watched is None and self._looks_alive(lease):
                raise self._held(lease)
            elif watched is None:
                watched, until = lease, self._clock.monotonic() + self._settings.observe
            elif self._clock.monotonic() >= until:
                self._take(lease)
            else:
                self._clock.sleep(1)

    def refuse_if_held(self) -> None:
        """Say at once that somebody else is at it, before anything else is looked into.

        Raises:
            RefusedError: somebody else holds the lock, by the look of it.
        """
        lease = self._read()
        if lease is not None and _holder(lease) and not _is_gone(lease) and self._looks_alive(lease):
            raise self._held(lease)

    def tell(self, progress: str) -> None:
        """Say where the holder stands; others read it after the next renewal."""
        self._progress = progress[:_LONGEST]

    def keep(self) -> None:
        """Renew the lock when it is time; call this often.

        Raises:
            RefusedError: somebody else has it now.
        """
        if self._clock.monotonic() - self._renewed >= self._settings.renew:
            self._renew()

    def holds(self) -> None:
        """Make sure the lock is ours, by asking the server, right before something is changed.

        Raises:
            RefusedError: somebody else has it now, or it was never taken.
        """
        if self._lease is None:
            raise RefusedError(self._what, "it is not held", "start the command again")
        # However young it is: whoever takes over from the living waits for nothing.
        present = self._read()
        if present is not None and not self._is_own(present):
            self._lease = None
            raise self._lost(present)
        if present is None or self._clock.monotonic() - self._renewed >= self._settings.lapse / 2:
            self._renew()

    def release(self) -> None:
        """Give the lock back, if it is ours. What prevents that is no failure: it lapses."""
        lease, self._lease = self._lease, None
        backoff = Backoff()
        for _ in range(TRIES):
            if lease is None or not self._is_own(lease):
                return
            lease["spec"]["holderIdentity"] = ""
            try:
                self._put(lease)
            except QuarterdeckError as error:
                if not may_pass(error):
                    return
                self._clock.sleep(backoff.pause(error))
                with contextlib.suppress(QuarterdeckError):
                    lease = self._read()
            else:
                return

    def _renew(self) -> None:
        if self._lease is None:
            return
        lease = self._lease
        for _ in range(2):
            began = self._clock.monotonic()
            lease["spec"]["renewTime"] = self._time()
            lease["metadata"].setdefault("annotations", {})[PROGRESS] = self._progress
            try:
                self._lease = self._put(lease)
            except ApiError as error:
                if error.status not in {_CONFLICT, _NOT_FOUND}:
                    raise
                # Somebody wrote it: ours still, when only an annotation changed; else we are replaced.
                present = self._read()
                if present is None or not self._is_own(present):
                    self._lease = None
                    raise self._lost(present) from None  # the conflict is explained, and will not pass
                lease = present
            else:
                self._renewed = began
                return

    def _take(self, lease: Json | None) -> None:
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": round(self._settings.lapse),
            "acquireTime": self._time(),
            "renewTime": self._time(),
            "leaseTransitions": (lease or {}).get("spec", {}).get("leaseTransitions", 0) + (lease is not None),
        }
        metadata = {"name": self._name, "namespace": self._namespace, "annotations": {PROCESS: mark()}}
        if lease is not None:
            metadata["resourceVersion"] = _version(lease)
        wanted = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self._attempt = spec
        # From now on, however long the answer takes.
        self._renewed = self._clock.monotonic()
        try:
            if lease is None:
                self._lease = self._cluster.request("POST", path("Lease", self._namespace), body=wanted)
            else:
                self._lease = self._put(wanted)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            # Somebody was faster: look again.

    def _is_own(self, lease: Json) -> bool:
        """Return whether this very lock wrote it: its time is exact to the microsecond."""
        own = ("holderIdentity", "acquireTime")
        return bool(self._attempt) and all(lease["spec"].get(key) == self._attempt[key] for key in own)

    def _read(self) -> Json | None:
        try:
            return self._cluster.request("GET", path("Lease", self._namespace, self._name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _put(self, lease: Json) -> Json:
        # A deadline below half the lock's life: a renewal that hangs must not outlive the lock.
        return self._cluster.request("PUT", path("Lease", self._namespace, self._name), body=lease, timeout=10)

    def _now(self) -> float:
        """Return the time by the API server's clock, which all who want the lock share. Unix seconds."""
        return self._clock.now() + self._cluster.skew

    def _time(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def _age(self, lease: Json) -> float:
        renewed = lease["spec"].get("renewTime")
        return self._now() - datetime.fromisoformat(renewed).timestamp() if renewed else self._settings.lapse

    def _looks_alive(self, lease: Json) -> bool:
        """A time in the future says nothing: whoever wrote it has another clock, so its renewals are watched for."""
        return -_CLOCKS_DIFFER < self._age(lease) < self._settings.lapse

    def _held(self, lease: Json) -> RefusedError:
        age = max(0.0, self._age(lease))
        left = max(1.0, self._settings.lapse - age)
        return RefusedError(
            f"{self._what} to be free",
            f"it is held by {_holder(lease)}, last renewed {age:.0f} s ago",
            f"wait until that run has ended; if it is dead, run this again in {left:.0f} s",
        )

    def _lost(self, lease: Json | None) -> RefusedError:
        taker = _holder(lease) if lease else ""
        return RefusedError(
            f"{self._what} to be still held",
            f"{taker or 'somebody'} took it over",
            "leave it to them; `quarterdeck rollout status` shows where a rollout stands",
        )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, as the Lease says: it may be dead, and its time is by its own clock."""

    name: str = ""
    """A person and a machine; empty when nobody holds it."""
    renewed: str = ""
    """When it was last renewed, as written there: another text the next time is a sign of life."""
    progress: str = ""
    """Where it stands, by its own account; at most a renewal old."""


def holder_of(cluster: Cluster, namespace: str, service: str) -> Holder:
    """Return who holds *service*'s rollout lock. One known to be dead, a process of this machine, is nobody."""
    try:
        lease = cluster.request("GET", path("Lease", namespace, _name_of(service)))
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return Holder()
        raise
    if not _holder(lease) or _is_gone(lease):
        return Holder()
    progress = (lease["metadata"].get("annotations") or {}).get(PROGRESS, "")
    return Holder(_holder(lease), lease["spec"].get("renewTime") or "", progress)


def _name_of(service: str, kind: str = ROLLOUT) -> str:
    return f"quarterdeck-{kind}-{service}"


def _holder(lease: Json) -> str:
    return str(lease["spec"].get("holderIdentity") or "")


def _version(lease: Json) -> str:
    return str(lease["metadata"]["resourceVersion"])


def _is_gone(lease: Json) -> bool:
    """Return whether the holder was a process of this machine that has ended."""
    return has_ended((lease["metadata"].get("annotations") or {}).get(PROCESS, ""))
