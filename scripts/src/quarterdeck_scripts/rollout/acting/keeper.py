"""Has the evidence kept before it is gone: decides when, and writes it down.

Nothing here stops a rollout. What could not be kept is said, and the rollout goes on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_dashboards.slo import sli
from quarterdeck_scripts.ports import Traces
from quarterdeck_scripts.rollout.acting import traces
from quarterdeck_scripts.rollout.acting.bundle import ANSWERS, LATER, RECORD, REPORT, Bundle
from quarterdeck_scripts.rollout.judge import queries
from quarterdeck_scripts.rollout.judge.explain import number_of
from quarterdeck_scripts.rollout.judge.tape import Tape
from quarterdeck_scripts.rollout.report import render
from quarterdeck_scripts.rollout.steps import actions as do

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.ports import Clock, Prometheus
    from quarterdeck_scripts.rollout.acting.scene import Scene, Witness
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord

_TAKES_PODS_AWAY: dict[type[do.Action], str] = {
    do.Hold: "update",
    do.Promote: "promote",
    do.DeleteCanary: "remove",
    do.RestoreStable: "restore",
}
"""Actions before which the evidence is kept, to the moment's name in a bundle."""


def keeping(flow: do.Flow) -> do.Flow:
    """Return *flow*, with the evidence kept before each action that takes pods away."""
    step: Callable[[Any], do.Action] = flow.send
    given: Any = None
    while True:
        try:
            action = step(given)
        except StopIteration as stop:
            outcome: do.Outcome = stop.value
            return outcome
        try:
            if type(action) in _TAKES_PODS_AWAY:
                yield do.KeepEvidence(_TAKES_PODS_AWAY[type(action)])
            given, step = (yield action), flow.send
        except Exception as error:  # noqa: BLE001 -- the flow decides what any failure means
            given, step = error, flow.throw


class Keeper:
    """Keeps one rollout's evidence in its bundle."""

    def __init__(
        self,
        *,
        folder: Path,
        record: RolloutRecord,
        witness: Witness,
        prometheus: Prometheus,
        clock: Clock,
        tape: Tape | None = None,
    ) -> None:
        """*folder* is the bundle's; *prometheus* may know traces, too; *tape* is the measurer's, where it has one."""
        self.tape = Tape() if tape is None else tape
        """What the measurer is told."""
        self._bundle = Bundle(folder)
        self._record = record
        self._witness = witness
        self._prometheus = prometheus
        self._clock = clock
        self._pods: bytes | None = None

    def keep(self, moment: str) -> str:
        """Keep what there is at *moment*, a word or two; return what became of it, for a person."""
        try:
            return self._keep(moment)
        except Exception as error:  # noqa: BLE001 -- a rollback does not wait for its evidence
            return f"not kept: {_said(error)}"

    def close(self) -> str:
        """Write the record as it is now, the answers and the report; return what could not be, for a person."""
        try:
            return self._write_record()
        except Exception as error:  # noqa: BLE001 -- the rollout is over, and how it ended is what counts
            return f"The evidence was not kept: {_said(error)}"

    def _keep(self, moment: str) -> str:
        scene = self._witness.look(self._record.origin, self._record.image)
        self._add_traces(scene)
        if scene.files["pods.txt"] == self._pods:
            return f"as before, in {self._bundle.folder}"
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="seconds")
        about = {"moment": moment, "at": at, "rollout": self._record.id, "by": self._record.by}
        added = self._bundle.add(moment, scene, about)
        self._pods = scene.files["pods.txt"]
        said = [f"{number_of(len(scene.files), 'file')} in {added}" if added else f"no room in {self._bundle.folder}"]
        said += [f"{number_of(len(scene.missing), 'thing')} missing, see its about.json"] if scene.missing else []
        return "; ".join([*said, *filter(None, [self._write_record()])])

    def _write_record(self) -> str:
        """Write what the verdict was made of; return what had no room."""
        record = self._record
        answers = self.tape.packed() if self.tape.looks and not self.tape.full else b""
        left_out = [] if answers or not self.tape.looks else [ANSWERS]
        if not self.tape.looks and self._bundle.is_judged:
            files = [(LATER, record.to_json().encode())]
        else:
            files = [(RECORD, record.to_json().encode()), (ANSWERS, answers), (REPORT, render([record]).encode())]
        for name, content in files:
            if content and not self._bundle.put(name, content):
                left_out.append(name)
        return f"{' and '.join(left_out)} had no room in {self._bundle.folder}" if left_out else ""

    def _add_traces(self, scene: Scene) -> None:
        record, prometheus = self._record, self._prometheus
        if not self.tape.version:
            return
        if not isinstance(prometheus, Traces):
            scene.missing.append("traces.txt: the metrics' server knows none")
            return
        selector = queries.served(
            record.namespace, record.service, self.tape.version, sli.RPC if record.rpc else sli.HTTP
        )
        try:
            now = max(self._clock.now(), *(reading.at for reading in record.readings), record.since)
            found = prometheus.exemplars(selector, record.since, now)
        except QuarterdeckError as error:
            scene.missing.append(f"traces.txt: {error.found}")
            return
        if found:
            scene.files["traces.txt"] = "".join(f"{line}\n" for line in traces.lines(found)).encode()
        else:
            scene.missing.append("traces.txt: no request that was counted names a trace")


def _said(error: Exception) -> str:
    return error.found if isinstance(error, QuarterdeckError) else f"{type(error).__name__}: {error}"
