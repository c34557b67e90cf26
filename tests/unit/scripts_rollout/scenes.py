"""What is typed in the kill matrix: every command that changes something, with every strategy that it meets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests import rollouts
from tests.rollouts import Killed
from tests.unit.scripts_rollout.mortal import Scene, end_state

from quarterdeck_contract.kubernetes import (
    ENVIRONMENT_CONFIGMAP,
    ROLLOUT_ASK,
    ROLLOUT_STATE,
    STOP_THE_LINE,
    SYSTEM_NAMESPACE,
)
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, path
from quarterdeck_scripts.kube.in_place import is_held
from quarterdeck_scripts.kube.workloads import promote_patch
from quarterdeck_scripts.notices.kubernetes_events import KubernetesEvents
from quarterdeck_scripts.notices.silences import LeaseSettings, Quiet, SilenceLease
from quarterdeck_scripts.rollout.steps.asks import read_ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.unit.scripts_rollout.mortal import Change

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

WAYS: dict[str, dict[str, Any]] = {
    "canary": {},
    "configuration": {},
    **rollouts.WAYS,
    "blue-green": {"strategy": "blue-green", "history": 600.0},
}
"""How a version is let in, to what the world is made with."""

KINDS = {"rolling": "Deployment", "partition": "StatefulSet", "daemons": "DaemonSet"}

TRAIN = ("ledger", "payments", "checkout")
"""Services in the order in which they are rolled out: each is called by the next."""

START = ["rollout", "start", "checkout", "--image", V2, "--yes"]
TOGETHER = [
    *["rollout", "start", "--yes", *TRAIN],
    *(part for service in TRAIN for part in ("--image", f"{service}=localhost/{service}:v2")),
]


def on(command: str, *more: str) -> list[str]:
    """Return a command line on `checkout`."""
    return ["rollout", command, "checkout", "--yes", *more]


def is_noted(world: Any) -> bool:
    """Return whether a rollout of any service is under way."""
    every = [each for kind in KINDS.values() for each in world._items(kind)]
    return any(ROLLOUT_STATE in (each["metadata"].get("annotations") or {}) for each in every)


def again(world: Any, typed: Sequence[str], instead: Sequence[str], made: list[Change]) -> None:
    """Type a command again that begins something; *instead* where it is under way, nothing where it is over."""
    if is_noted(world):
        cli.run(instead)
    elif all("/configmaps" in where for _, where in made):
        cli.run(typed)


def scene(world: Any, typed: Sequence[str], go_on: Callable[[list[Change]], object] | None = None) -> Scene:
    """Return the scene in which *typed* is typed, and typed again, unless somebody goes on differently."""
    return Scene(world, partial(cli.run, typed), go_on or (lambda _: cli.run(typed)), partial(end_state, world))


def begun(world: Any, typed: Sequence[str] = START, instead: Sequence[str] = ()) -> Scene:
    """Return the scene in which a rollout is begun by *typed*, and gone on with by that or by *instead*."""
    return scene(world, typed, partial(again, world, typed, instead or typed))


def left_half_way(world: Any, image: str = V2, typed: Sequence[str] = START) -> None:
    """Have a rollout die when *image* runs beside the old version and is about to be judged."""
    answer = world.prometheus._answer

    def die(*asked: Any) -> Any:
        if image in world.images():
            raise Killed
        return answer(*asked)

    world.prometheus._answer = die
    try:
        cli.run(typed)
    except Killed:
        world.prometheus._answer = answer
        world.pass_time(31)
        return
    raise AssertionError("it was not left half-way")


def left_promoting(world: Any) -> None:
    """Have a rollout die when the new version is the stable one, and everything else is still there."""
    real = world.cluster

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def request(self, method: str, where: str, **options: Any) -> Any:
            if method == "DELETE" or (method == "PATCH" and "/services/" in where and world.images().count(V2) > 3):
                raise Killed
            return real.request(method, where, **options)

    world.cluster = Dying()
    try:
        cli.run(START)
    except Killed:
        world.cluster = real
        world.pass_time(31)
        return
    raise AssertionError("it was not left half-way")


def start(world: Any, failing: float) -> Scene:
    """A rollout alone."""
    world.behave(V2, failing=failing)
    return begun(world)


def abort(world: Any) -> Scene:
    """An abort of a rollout that is judged."""
    left_half_way(world)
    return scene(world, on("abort"))


def abort_late(world: Any) -> Scene:
    """An abort of a rollout that is promoted already, but for what it leaves."""
    left_promoting(world)
    return scene(world, on("abort"))


def undo(world: Any) -> Scene:
    """An undo of what was promoted."""
    assert cli.run(START) == 0
    world.pass_time(60)
    return scene(world, on("undo"))


def undo_broken(world: Any) -> Scene:
    """An undo of what somebody else deployed, and what never gets Ready."""
    world.controllers.faults[V2] = "CrashLoopBackOff"
    deployed(world)
    world.pass_time(10)
    return scene(world, on("undo"))


def deployed(world: Any) -> None:
    """Have somebody else deploy v2."""
    body = promote_patch(world.deployment(), V2)
    world.cluster.request("PATCH", path(world.kind, "shop", "checkout"), body=body, content_type=JSON_PATCH)


def guard(world: Any, failing: float) -> Scene:
    """A guard of an update that somebody else began; its pods get Ready when it is held."""
    world.behave(V2, failing=failing)
    world.controllers.faults[V2] = "ContainerCreating"
    deployed(world)
    passing, real = world.clock.sleep, world.cluster

    def sleep(seconds: float) -> None:
        if world.controllers.faults and is_held(world.deployment()):
            world.controllers.faults.clear()
            world.controllers.settle(real)
        passing(seconds)

    world.clock.sleep = sleep
    return begun(world, on("guard"))


def pause(world: Any) -> Scene:
    """A pause of a rollout that nobody runs."""
    left_half_way(world)

    def asked() -> object:
        stable = world.deployment()
        text = stable["metadata"]["annotations"].get(ROLLOUT_ASK, "{}")
        ask = read_ask(stable, world.session().view().inspect().state.id)
        return end_state(world), ask and (ask.wish, ask.by, ask.why), bool(text)

    return replace(scene(world, on("pause", "--why", "lunch")), observed=asked)


def resume(world: Any) -> Scene:
    """A resume of a rollout that is paused, and that nobody runs."""
    left_half_way(world)
    assert cli.run(on("pause")) == 0
    return begun(world, on("resume"))


def promote(world: Any) -> Scene:
    """A promotion without a verdict of a rollout that nobody runs."""
    left_half_way(world)
    typed = on("promote", "--why", "now")

    def go_on(made: list[Change]) -> None:
        """Ask again where nothing was asked; else go on, as the refusal of a second question says."""
        if is_noted(world):
            cli.run(on("resume") if any("/apis/apps/" in where for _, where in made) else typed)

    return scene(world, typed, go_on)


def retry(world: Any) -> Scene:
    """A retry of what failed the first time."""
    world.behave(V2, failing=0.05)
    assert cli.run(START) == 1
    world.behave(V2, failing=0.0)
    world.pass_time(60)
    return begun(world, on("retry"), on("resume"))


def stopped(world: Any) -> object:
    """Return what is stopped, and why."""
    facts = world.cluster.request("GET", path("ConfigMap", SYSTEM_NAMESPACE, ENVIRONMENT_CONFIGMAP))
    text = (facts["metadata"].get("annotations") or {}).get(STOP_THE_LINE)
    return text is not None and "a fire" in text


def freeze(world: Any) -> Scene:
    """The line is stopped."""
    with_facts(world)
    typed = ["rollout", "freeze", "--why", "a fire", "--yes"]
    return replace(scene(world, typed), observed=partial(stopped, world))


def thaw(world: Any) -> Scene:
    """The line runs again."""
    with_facts(world)
    assert cli.run(["rollout", "freeze", "--why", "a fire", "--yes"]) == 0
    typed = ["rollout", "thaw", "--why", "it is out", "--yes"]
    return replace(scene(world, typed), observed=partial(stopped, world))


def overridden(world: Any) -> Scene:
    """A rollout while the line is stopped."""
    with_facts(world)
    assert cli.run(["rollout", "freeze", "--why", "a fire", "--yes"]) == 0
    return begun(world, [*START, "--override", "the extinguisher"])


def with_facts(world: Any) -> None:
    """Have the environment's facts in the cluster."""
    body = {"metadata": {"name": ENVIRONMENT_CONFIGMAP}, "data": {"environment": "local"}}
    world.cluster.request("POST", path("ConfigMap", SYSTEM_NAMESPACE), body=body)


def together(world: Any) -> None:
    """Have two more services, each called by the next."""
    head, _, service = world.catalogue.partition("  - name: checkout\n")
    world.catalogue = head
    for name, called in zip(TRAIN, (None, *TRAIN), strict=False):
        calls = f"    dependencies: [{{name: {called}}}]\n" if called else ""
        world.catalogue += f"  - name: {name}\n{calls}{service.replace('checkout', name)}"
        if name != "checkout":
            world.deploy(name, f"localhost/{name}:v1")
    world.pass_time(30)


def train(world: Any, bad: str = "") -> Scene:
    """Three services together, of which the one called *bad* fails."""
    together(world)
    if bad:
        world.behave(f"localhost/{bad}:v2", failing=0.05)
    return begun(world, TOGETHER)


def abort_train(world: Any) -> Scene:
    """An abort of three services together, while the middle one is judged."""
    together(world)
    left_half_way(world, "localhost/payments:v2", TOGETHER)
    return scene(world, ["rollout", "abort", "payments", "--yes"])


def undo_train(world: Any) -> Scene:
    """An undo of three services together."""
    together(world)
    assert cli.run(TOGETHER) == 0
    world.pass_time(60)
    return scene(world, ["rollout", "undo", "--yes", *TRAIN])


class Silences:
    """Whoever can be asked to keep quiet, in memory; to do so may be the last thing that a command does."""

    name = "the pager"

    def __init__(self, world: Any) -> None:
        self._world = world
        self.until = 0.0

    def hold(self, quiet: Quiet, seconds: float) -> None:
        """Keep quiet, or for longer."""
        self._hush("PUT", quiet, seconds)

    def release(self, quiet: Quiet) -> None:
        """Be loud again."""
        self._hush("DELETE", quiet, 0)

    def _hush(self, method: str, quiet: Quiet, seconds: float) -> None:
        def call() -> None:
            self.until = self._world.clock.now() + seconds

        mortal = self._world.cluster
        mortal.change(method, f"/silences/{quiet.service}", call) if hasattr(mortal, "change") else call()


def told(world: Any, failing: float) -> Scene:
    """A rollout of which the cluster's Events tell, and for which alerts are silenced: that lapses by itself."""
    pager, plain = Silences(world), world.session
    quiet = Quiet("local", "shop", "checkout", ("PodNotReady",))

    def session(name: str = "checkout") -> Any:
        opened = plain(name)
        lease = SilenceLease(pager, quiet, lambda **change: opened.audit().change(**change))
        return replace(opened, listeners=(KubernetesEvents(opened.environment.cluster), lease))

    def observed() -> object:
        return end_state(world), pager.until <= world.clock.now() + LeaseSettings().lapse

    world.session = session
    return replace(start(world, failing), observed=observed, whole=True)


def edited(world: Any) -> None:
    """Have the service read a ConfigMap that somebody edits as soon as two versions run."""
    real, passing = world.cluster, world.clock.sleep
    where = path("ConfigMap", "shop", "settings")
    real.request("POST", path("ConfigMap", "shop"), body={"metadata": {"name": "settings"}, "data": {"a": "1"}})
    deployment = world.deployment()
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    real.request("PUT", path("Deployment", "shop", "checkout"), body=deployment)

    def sleep(seconds: float) -> None:
        passing(seconds)
        if {*world.images()} == {V1, V2}:
            world.clock.sleep = passing  # once
            real.request("PATCH", where, body={"data": {"a": "2"}}, content_type=MERGE_PATCH)

    world.pass_time(10)
    world.clock.sleep = sleep


SCENES: dict[str, tuple[str, Callable[[Any], Scene]]] = {
    **{
        f"start, {way}, {'bad' if bad else 'good'}": (way, partial(start, failing=bad))
        for way in WAYS
        for bad in (0.0, 0.05)
    },
    **{f"abort, {way}": (way, abort) for way in WAYS},
    **{f"abort while promoting, {way}": (way, abort_late) for way in ("canary", "weights", "blue-green")},
    **{f"undo, {way}": (way, undo) for way in WAYS},
    **{f"undo what is broken, {way}": (way, undo_broken) for way in KINDS},
    **{
        f"guard, {way}, {'bad' if bad else 'good'}": (way, partial(guard, failing=bad))
        for way in KINDS
        for bad in (0.0, 0.05)
    },
    **{
        f"{act.__name__}, {way}": (way, act)
        for act in (pause, resume, promote, retry)
        for way in ("canary", "weights", "blue-green", "partition")
    },
    **{act.__name__: ("canary", act) for act in (freeze, thaw, overridden)},
    **{f"together, {bad or 'none'} bad": ("canary", partial(train, bad=bad)) for bad in ("", "payments", "checkout")},
    "abort together": ("canary", abort_train),
    "undo together": ("canary", undo_train),
    **{f"told, {'bad' if bad else 'good'}": ("canary", partial(told, failing=bad)) for bad in (0.0, 0.05)},
}
"""Each by its name: how a version is let in, and what makes the scene of such a world."""
