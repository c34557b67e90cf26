"""Stops an environment's line, and lets it run again: one annotation beside its facts, each change of it audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP, STOP_THE_LINE, SYSTEM_NAMESPACE
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.rollout.line.freezes import ALL, Stop, findings, read_stops, written
from quarterdeck_scripts.rollout.steps.asks import FREEZE, Ask, Wish

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.ports import Clock
    from quarterdeck_scripts.rollout.checks.finding import Finding

_FACTS = path("ConfigMap", SYSTEM_NAMESPACE, ENVIRONMENT_CONFIGMAP)
_NOT_FOUND, _CONFLICT = 404, 409
_TURNS = 5
"""How often it is tried when others write the facts at the same moment."""


@dataclass(frozen=True)
class Line:
    """What may be rolled out in one environment, now."""

    environment: Environment
    clock: Clock

    def findings(self, service: str) -> tuple[Finding, ...]:
        """Return what holds every rollout of *service* now.

        Raises:
            RefusedError: what was written cannot be read.
        """
        return self.held([service])[service]

    def held(self, services: Iterable[str]) -> dict[str, tuple[Finding, ...]]:
        """Return what holds every rollout of each of *services* now; empty where nothing does.

        Raises:
            RefusedError: what was written cannot be read.
        """
        stops, freezes, now = read_stops(self._facts()), self.environment.catalogue.freezes, self._now()
        return {service: tuple(findings(service, freezes, stops, now)) for service in services}

    def told(self, services: Iterable[str]) -> list[str]:
        """Return a line for each thing that holds one of *services* now, or that says why nobody knows."""
        try:
            return [f"{service}: {each.found}" for service, held in self.held(services).items() for each in held]
        except RefusedError as error:
            return [f"Expected {error.expected}. Found {error.found}."]

    def pause(self, service: str, rollout: str, passed: Collection[str]) -> Ask | None:
        """Return what holds *service*'s rollout with the id *rollout*, as if somebody had asked it to pause.

        None when nothing does but what was *passed* by, in the findings' own words. What cannot be read counts as a
        pause: waiting loses nothing.
        """
        try:
            held = "; ".join(finding.found for finding in self.findings(service) if finding.found not in passed)
        except RefusedError as error:
            held = error.found
        return Ask(Wish.PAUSE, rollout, FREEZE, self._now().isoformat(timespec="seconds"), held) if held else None

    def stops(self) -> dict[str, Stop]:
        """Return the stops that hold now, by service, or ALL."""
        return {scope: stop for scope, stop in read_stops(self._facts()).items() if stop.holds(self._now())}

    def stop(
        self, services: Iterable[str], *, by: str, why: str, lasting: timedelta | None, audit: AuditLog
    ) -> dict[str, Stop]:
        """Stop the line of *services*, or all of it without any; return the stops there are then.

        Args:
            services: of the environment's catalogue.
            by: who: a person and a machine.
            why: the reason, which whoever is refused reads.
            lasting: until it runs again by itself; None: until `run`.
            audit: where it is written down, before and after.
        """
        now = self._now()
        until = (now + lasting).isoformat(timespec="seconds") if lasting else ""
        stop = Stop(by, now.isoformat(timespec="seconds"), why, until)
        added = dict.fromkeys(tuple(services) or (ALL,), stop)
        return self._change("rollout: freeze", why, audit, removed=(), added=added)

    def run(self, services: Iterable[str], *, why: str, audit: AuditLog) -> dict[str, Stop]:
        """Let the line of *services* run again, or all of it without any; return the stops that are left."""
        return self._change("rollout: thaw", why, audit, removed=tuple(services), added={})

    def _change(
        self, action: str, why: str, audit: AuditLog, *, removed: tuple[str, ...], added: Mapping[str, Stop]
    ) -> dict[str, Stop]:
        before = read_stops(self._facts())
        subject = f"environment {self.environment.name}"
        with audit.change(action=action, subject=subject, before=written(before), why=why) as change:
            for _ in range(_TURNS):
                facts = self._facts()
                held = {scope: stop for scope, stop in read_stops(facts).items() if stop.holds(self._now())}
                wanted = _wanted(held, removed, added)
                if self._write(facts, written(wanted)):
                    change.after = written(wanted)
                    return wanted
            raise RefusedError(
                f"the ConfigMap {SYSTEM_NAMESPACE}/{ENVIRONMENT_CONFIGMAP} to stand still for a moment",
                f"{_TURNS} changes by others",
                "run the command again",
            )

    def _write(self, facts: Json, text: str | None) -> bool:
        """Write the annotation; return False when the facts are others by now. A lost answer is read back."""
        if (facts["metadata"].get("annotations") or {}).get(STOP_THE_LINE) == text:
            return True
        version = facts["metadata"].get("resourceVersion")
        body = {"metadata": {"resourceVersion": version, "annotations": {STOP_THE_LINE: text}}}
        try:
            self.environment.cluster.request("PATCH", _FACTS, body=body, content_type=MERGE_PATCH)
        except UnreachableError:
            return False
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            return False
        return True

    def _facts(self) -> Json:
        try:
            return self.environment.cluster.request("GET", _FACTS)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return {"metadata": {}}

    def _now(self) -> datetime:
        """Return the time by the API server's clock, as the lock has it: whoever holds it may be on any machine."""
        return datetime.fromtimestamp(self.clock.now() + self.environment.cluster.skew, UTC)


def _wanted(held: Mapping[str, Stop], removed: tuple[str, ...], added: Mapping[str, Stop]) -> dict[str, Stop]:
    """Return the stops after a change: to let run without naming services is to let everything run."""
    if added:
        return {**held, **added}
    return {scope: stop for scope, stop in held.items() if removed and scope not in removed}
