"""Writes what is asked of a rollout, onto exactly the rollout that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts.kube.client import JSON_PATCH, ApiError, Json, path
from quarterdeck_scripts.kube.differences import differences
from quarterdeck_scripts.kube.patches import pointer
from quarterdeck_scripts.kube.retries import TRIES, Backoff, may_pass
from quarterdeck_scripts.rollout.acting.writer import FIELD_MANAGER
from quarterdeck_scripts.rollout.steps.asks import Ask, Wish, read_ask
from quarterdeck_scripts.rollout.steps.state import Direction, State, read_state

if TYPE_CHECKING:
    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.ports import Clock
    from quarterdeck_scripts.rollout.acting.view import ServiceView

_MOVED = 422
"""The server's status for a patch whose test does not hold."""

_WAYS = {Direction.FORWARD: "it is being promoted", Direction.BACK: "it is being put back"}


@dataclass(frozen=True)
class Asker:
    """Asks things of one service's rollout."""

    cluster: Cluster
    cluster_uid: str
    view: ServiceView
    clock: Clock
    actor: str

    def under_way(self) -> tuple[Json, State, Ask | None]:
        """Return the workload, its rollout under way, and what is asked of that already.

        Raises:
            RefusedError: there is none.
        """
        stable = self.view.stable()
        name = stable["metadata"]["name"]
        state = read_state(stable, self.cluster_uid)
        if state is None:
            raise RefusedError(
                f"a rollout of {name} under way", "none", f"see `quarterdeck rollout history {name}` for past ones"
            )
        return stable, state, read_ask(stable, state.id)

    def rollout(self) -> tuple[Json, State, Ask | None]:
        """Return the same of a rollout that takes something to be asked of how it is decided.

        Raises:
            RefusedError: there is none, or it is decided already.
        """
        stable, state, ask = self.under_way()
        if state.direction is not Direction.UNDECIDED:
            name = stable["metadata"]["name"]
            raise RefusedError(
                f"a rollout of {name} that is not decided yet",
                f"{_WAYS[state.direction]}: {state.reason}",
                f"see `quarterdeck rollout status {name}`; `quarterdeck rollout resume {name}` goes on with it where "
                "nobody runs it",
            )
        return stable, state, ask

    def wished(self, wish: Wish | None, why: str, state: State) -> Ask | None:
        """Return *wish* as it is written now; None stays None."""
        now = datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="seconds")
        return None if wish is None else Ask(wish, state.id, self.actor, now, why)

    def rehearse(self, stable: Json, ask: Ask | None) -> tuple[str, ...]:
        """Return what the server would change, by its own account. Nothing is stored.

        Raises:
            ApiError: it would refuse.
        """
        return differences(stable, self._send(stable, ask, dryRun="All"))

    def write(self, stable: Json, ask: Ask | None, why: str, audit: AuditLog) -> None:
        """Write *ask*, or take away what was asked (None). A server that fails for a moment is asked again.

        Raises:
            RefusedError: the rollout moved since *stable* was read; nothing was asked.
        """
        metadata = stable["metadata"]
        before = _text(stable)
        if before == (ask.to_annotation() if ask else None):
            return
        action = f"rollout: {ask.wish if ask else 'resume'}"
        subject = f"{stable['kind']} {metadata['namespace']}/{metadata['name']}"
        with audit.change(action=action, subject=subject, before=before, why=why) as change:
            self._insist(stable, ask)
            change.after = ask.to_annotation() if ask else None

    def _insist(self, stable: Json, ask: Ask | None) -> None:
        """Send *ask* until it is written: before it is sent again, it is looked whether it was, unheard."""
        wanted, tries, backoff = ask.to_annotation() if ask else None, 0, Backoff()
        while True:
            try:
                if not tries or _text(self.view.stable()) != wanted:
                    self._send(stable, ask)
            except QuarterdeckError as error:
                if isinstance(error, ApiError) and error.status == _MOVED:
                    name = stable["metadata"]["name"]
                    raise RefusedError(
                        f"the rollout of {name} to be as it was a moment ago",
                        "it has moved on, or somebody else asked something of it",
                        f"look at `quarterdeck rollout status {name}` and ask again",
                    ) from error
                tries += 1
                if tries == TRIES or not may_pass(error):
                    raise
                self.clock.sleep(backoff.pause(error))
            else:
                return

    def _send(self, stable: Json, ask: Ask | None, **query: str) -> Json:
        metadata = stable["metadata"]
        there = pointer("metadata", "annotations", ROLLOUT_ASK)
        state = pointer("metadata", "annotations", ROLLOUT_STATE)
        patch: list[Json] = [
            {"op": "test", "path": pointer("metadata", "uid"), "value": metadata["uid"]},
            {"op": "test", "path": state, "value": metadata["annotations"][ROLLOUT_STATE]},
        ]
        if ask:
            patch.append({"op": "add", "path": there, "value": ask.to_annotation()})
        else:
            patch += [{"op": "test", "path": there, "value": _text(stable)}, {"op": "remove", "path": there}]
        return self.cluster.request(
            "PATCH",
            path(stable["kind"], metadata["namespace"], metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, **query},
            body=patch,
            content_type=JSON_PATCH,
        )


def _text(stable: Json) -> str | None:
    text: str | None = (stable["metadata"].get("annotations") or {}).get(ROLLOUT_ASK)
    return text
