"""Where a service's rollout stands, read off the cluster."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.kube import in_place, workloads
from quarterdeck_scripts.rollout.acting.lock import holder_of
from quarterdeck_scripts.rollout.acting.view import ServiceView
from quarterdeck_scripts.rollout.steps.actions import Side
from quarterdeck_scripts.rollout.steps.asks import read_ask
from quarterdeck_scripts.rollout.steps.state import State, read_state

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json


@dataclass(frozen=True, slots=True)
class SideStatus:
    """The stable version, or the one that is let in."""

    image: str
    desired: int
    ready: int
    done: bool
    problems: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.image}, {self.ready} of {self.desired} pods Ready"
        return "; ".join([text, *self.problems])


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """One service."""

    service: str
    stable: SideStatus | None
    canary: SideStatus | None
    state: State | None
    holder: str
    """Who runs a command on it now; empty when nobody does."""
    progress: str = ""
    """Where that stands, by its own account."""
    renewed: str = ""
    """When the holder last gave a sign of life, by its own clock."""
    ask: str = ""
    """What somebody asks of the rollout."""
    note: str = ""
    """What is wrong with its state, if it cannot be read."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.service}"]
        lines.append(f"  stable   {self.stable or 'no Deployment'}")
        if self.canary:
            lines.append(f"  canary   {self.canary}")
        if self.state:
            lines.append(
                f"  rollout  {self.state.direction} to {self.state.image} ({self.state.strategy}), {self.state.by}, "
                f"{self.state.began}"
            )
            if self.state.reason:
                lines.append(f"           {self.state.reason}")
            if not self.holder:
                lines.append("           nobody is running it: start it again to go on, or abort it")
        elif self.canary:
            lines.append("  rollout  none: the canary was left behind; abort removes it")
        if self.ask:
            lines.append(f"  asked    {self.ask}")
        if self.holder:
            lines.append(f"  lock     {self.holder}")
        if self.progress:
            lines.append(f"  now      {self.progress}")
        if self.note:
            lines.append(f"  note     {self.note}")
        return "\n".join(lines)


def of(cluster: Cluster, cluster_uid: str, namespace: str, service: str) -> RolloutStatus:
    """Return where *service* stands."""
    view = ServiceView(cluster, namespace, service, cluster_uid)
    stable, canary = view.deployment(Side.STABLE), view.deployment(Side.CANARY)
    state, note, ask = None, "", None
    if stable is not None:
        try:
            state = read_state(stable, cluster_uid)
            ask = read_ask(stable, state.id) if state else None
        except RefusedError as error:
            note = error.found
    holder = holder_of(cluster, namespace, service)
    return RolloutStatus(
        service=service,
        stable=None if stable is None else _side(stable, workloads.status_of(stable, view.each_pod(Side.STABLE))),
        canary=_let_in(view, stable, canary),
        state=state,
        holder=holder.name,
        progress=holder.progress,
        renewed=holder.renewed,
        ask=str(ask or ""),
        note=note,
    )


def _let_in(view: ServiceView, stable: Json | None, canary: Json | None) -> SideStatus | None:
    """Return how the new version is: a canary's, or the first pods of an update that is held."""
    if canary is not None:
        return _side(canary, workloads.status_of(canary, view.each_pod(Side.CANARY)))
    if stable is not None and in_place.is_held(stable):
        found = _side(stable, workloads.held_status(stable, view.each_pod()))
        return replace(found, image=in_place.held_for(stable))
    return None


def _side(deployment: Json, status: workloads.WorkloadStatus) -> SideStatus:
    return SideStatus(
        image=workloads.serving_image(deployment),
        desired=status.desired,
        ready=status.ready,
        done=status.done,
        problems=tuple(map(str, status.problems)),
    )
