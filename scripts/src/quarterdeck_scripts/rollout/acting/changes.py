"""The changes that a rollout makes in a cluster.

Each holds the lock, reads first, makes only the difference, and is audited: it may be repeated after a timeout, a
kill or a conflict. Nothing here waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts.kube import in_place, traffic, workloads
from quarterdeck_scripts.kube.pods import is_ready, is_terminating
from quarterdeck_scripts.rollout.acting.lens import TRACKS
from quarterdeck_scripts.rollout.acting.writer import Writer
from quarterdeck_scripts.rollout.steps.actions import Side
from quarterdeck_scripts.rollout.steps.asks import Wish, read_ask
from quarterdeck_scripts.rollout.steps.state import Direction

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.steps.asks import Ask
    from quarterdeck_scripts.rollout.steps.state import State


class Changes(Writer):
    """Changes one service's workloads, Services and routes."""

    def note(self, state: State | None, why: str) -> Ask | None:
        """Write *state*, or take it away; return what was asked that stands in its way, if anything was.

        What was asked for goes with the decision: a pause that comes between is seen, for it makes a new version. So
        is whoever takes the lock over and writes once it was found to be held.

        Raises:
            RefusedError: the state is not the one last seen, and this one does not go back.
        """
        stable = self._view.stable()
        self._lock.holds()
        ask = read_ask(stable, state.id) if state else None
        if state and state.direction is Direction.FORWARD and ask and ask.wish is not Wish.PROMOTE:
            return ask
        present = stable["metadata"].get("annotations") or {}
        text = state.to_annotation() if state else None
        wanted: dict[str, str | None] = {ROLLOUT_STATE: text}
        if ROLLOUT_ASK in present and not (state and state.direction is Direction.UNDECIDED):
            wanted[ROLLOUT_ASK] = None
        if all(present.get(name) == value for name, value in wanted.items()):
            self._view.noted = text
            return None
        if state and state.direction is not Direction.BACK and present.get(ROLLOUT_STATE) != self._view.noted:
            raise self._is_another(present.get(ROLLOUT_STATE))
        with self._change("note", stable, present.get(ROLLOUT_STATE), why) as change:
            self._patch(stable, {"metadata": {"annotations": wanted}})
            change.after = text
        self._view.noted = text
        return None

    def create(self, side: Side, image: str, replicas: int) -> None:
        """Run *replicas* pods of *image* beside the stable ones, as their own Deployment."""
        self._lock.holds()
        service = self._record.service
        present = self._view.deployment(side)
        if present is not None:
            if workloads.serving_image(present) != image:
                raise RefusedError(
                    f"no other {side} of {service}",
                    f"one of {workloads.serving_image(present)}",
                    f"run `quarterdeck rollout abort {service}` first",
                )
            return
        wanted = workloads.canary_of(self._view.stable(), image, replicas, TRACKS[side])
        with self._change(f"create {side}", wanted, None, f"judge {self._record.image}") as change:
            made = self._create(wanted)
            change.after = {"image": image, "replicas": replicas}
        self._confirm(made)

    def delete(self, side: Side) -> None:
        """Delete a Deployment beside the stable one."""
        found = self._view.deployment(side)
        if found is None:
            return
        self._lock.holds()
        before = {"image": workloads.serving_image(found), "replicas": found["spec"].get("replicas", 1)}
        why = self._record.reason or f"the {side} has served"
        with self._change(f"delete {side}", found, before, why):
            self._delete(found, propagationPolicy="Background")

    def promote(self, image: str) -> None:
        """Make *image* the stable version; an update to it that is held is let go."""
        stable = self._view.stable()
        self._lock.holds()
        before = workloads.serving_image(stable)
        if before == image and not in_place.is_held(stable):
            return
        self._check_unchanged(stable)
        with self._change("promote", stable, {"image": before}, self._record.reason or f"promote {image}") as change:
            self._patch(stable, workloads.promote_patch(stable, image))
            change.after = {"image": image}

    def restore(self, image: str) -> None:
        """Bring the template before *image* back, if the stable version has it; a held update ends in any case."""
        stable = self._view.stable()
        self._lock.holds()
        previous = self._view.previous(stable, image)
        if previous is None:
            self._let_go(stable)
            return
        why = self._record.reason or "put everything back"
        with self._change("restore", stable, {"image": image}, why) as change:
            self._patch(stable, workloads.undo_patch(stable, previous, self._view.replica_sets()))
            change.after = {"images": previous.images, "revision": previous.number}

    def _let_go(self, stable: Json) -> None:
        """End the hold of an update over which somebody else has deployed: theirs would wait for ever."""
        if in_place.is_held(stable):
            image = workloads.serving_image(stable)
            with self._change(
                "let go", stable, {"held for": in_place.held_for(stable)}, f"{image} is not ours"
            ) as change:
                self._patch(stable, [*workloads.is_still(stable), *in_place.release(stable)])
                change.after = {"image": image}

    def free(self) -> None:
        """Delete a restored StatefulSet's pods that are of another version and broken: its controller waits for them.

        Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback.
        """
        stable = self._view.stable()
        if stable["kind"] != "StatefulSet":
            return
        image = workloads.serving_image(stable)
        for pod in self._view.pods_listed():
            if not (is_ready(pod) or is_terminating(pod)) and image not in _images(pod):
                self._delete_pod(pod, "it is broken, and its StatefulSet would wait for it")

    def hold(self, image: str, pods: int) -> None:
        """Begin the stable workload's own update to *image*, or find it begun, and hold it at its first *pods*."""
        stable = self._view.stable()
        self._lock.holds()
        before = workloads.serving_image(stable)
        if before != image or not in_place.is_held(stable):
            self._check_unchanged(stable)
            with self._change("begin update", stable, {"image": before}, f"judge {image}") as change:
                self._patch(stable, workloads.hold_patch(stable, image, pods))
                change.after = {"image": image, "held at": pods}
            stable = self._view.stable()
        self._view.remember(stable)
        if stable["kind"] == "DaemonSet":
            self._renew(stable, pods)

    def freeze(self) -> None:
        """Keep a held update as it is, whatever becomes available."""
        stable = self._view.stable()
        if in_place.is_steady(stable):
            return
        self._lock.holds()
        with self._change("hold update", stable, {"paused": False}, self._record.reason or "judge it") as change:
            self._patch(stable, [*workloads.is_still(stable), *in_place.freeze(stable)])
            change.after = {"paused": True}

    def fence(self) -> None:
        """Let the Service lead to the stable pods alone, if it leads to all."""
        service = self._view.service()
        if traffic.track_of(service) is None:
            self._lead(service, TRACKS[Side.STABLE])

    def direct(self, side: Side | None) -> None:
        """Let the Service lead to the pods of *side* alone, or to all (None): one that leads to all stays like that."""
        service = self._view.service()
        before, track = traffic.track_of(service), None if side is None else TRACKS[side]
        if before is not None and before != track:
            self._lead(service, track)

    def weigh(self, percent: int, *, unless_more: bool) -> int:
        """Let the canary have *percent* of what routes send to the service (0: as it was); return what it has then."""
        routes = self._view.routes()
        name, canary = self._record.service, workloads.canary_name(self._record.service)
        if not routes and percent:
            raise RefusedError(f"an HTTPRoute that leads to {name}", "none", "make one, or leave the weights out")
        present = traffic.weight_of(routes, name, canary)
        if unless_more and present > percent:
            return present
        if percent:
            self._make_service(canary)
        for route in routes:
            patch = traffic.weigh_patch(route, name, canary, percent)
            if patch:
                self._lock.holds()
                before = traffic.weight_of([route], name, canary)
                why = self._record.reason or f"judge {self._record.image}"
                with self._change("weigh", route, {"percent": before}, why) as change:
                    made = {**route, **self._patch(route, patch)}
                    change.after = {"percent": percent}
                self._confirm(made, traffic.weigh_patch(made, name, canary, 0))
        if not percent:
            self._delete_service(canary)
        return percent

    def _make_service(self, name: str) -> None:
        if self._view.canary_service() is not None:
            return
        self._lock.holds()
        wanted = traffic.service_of(self._view.service(), name, TRACKS[Side.CANARY])
        with self._change("create service", wanted, None, f"judge {self._record.image}"):
            made = self._create(wanted)
        self._confirm({**wanted, **made})

    def _delete_service(self, name: str) -> None:
        found = self._view.canary_service()
        if found is None:
            return
        self._lock.holds()
        with self._change("delete service", found, {"name": name}, self._record.reason or "the canary has served"):
            self._delete(found)

    def _lead(self, service: Json, track: str | None) -> None:
        self._lock.holds()
        why = self._record.reason or f"judge {self._record.image}"
        with self._change("direct", service, {"track": traffic.track_of(service)}, why) as change:
            made = self._patch(service, traffic.direct_patch(service, track))
            change.after = {"track": track}
        self._confirm(made, traffic.direct_patch(made, traffic.track_of(service)))

    def _renew(self, daemon_set: Json, pods: int) -> None:
        """Delete pods of a held DaemonSet, the first nodes' first, until *pods* are renewed or being so."""
        image = workloads.serving_image(daemon_set)
        old = [pod for pod in self._view.pods_listed() if not is_terminating(pod) and image not in _images(pod)]
        renewed = daemon_set.get("status", {}).get("desiredNumberScheduled", 0) - len(old)
        for pod in sorted(old, key=_node)[: max(0, pods - renewed)]:
            self._delete_pod(pod, f"judge {image}")

    def _delete_pod(self, pod: Json, why: str) -> None:
        self._lock.holds()
        found = {**pod, "kind": "Pod"}
        with self._change("delete pod", found, {"images": _images(pod)}, why):
            self._delete(found)

    def _is_another(self, text: str | None) -> RefusedError:
        service = self._record.service
        return RefusedError(
            f"the rollout's state on {service} to be as this run last saw it",
            "none: somebody took it away" if text is None else f"one that somebody else wrote: {text[:120]!r}",
            f"see `quarterdeck rollout status {service}`; `quarterdeck rollout abort {service}` puts everything back",
        )

    def _check_unchanged(self, stable: Json) -> None:
        changed = self._view.changed(stable)
        if changed:
            raise RefusedError(
                f"the stable version of {self._record.service} to be the one the canary was compared with",
                f"somebody else changed {changed}",
                f"run `quarterdeck rollout abort {self._record.service}`, then start again",
            )


def _images(pod: Json) -> list[str]:
    return [container["image"] for container in pod["spec"]["containers"]]


def _node(pod: Json) -> str:
    return str(pod["spec"].get("nodeName", ""))
