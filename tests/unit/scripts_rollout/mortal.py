"""Commands that are killed before, during or after any request that changes something.

A command is typed on a cluster in memory, dies at one change, and whoever comes next types what a person would. What
it comes to, and which changes are made in all, are to be those of the same command when nobody dies.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.rollouts import Killed

from quarterdeck_contract.kubernetes import HELD, ROLLOUT_ASK, ROLLOUT_STATE

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENTS = ("before", "during", "after")
"""Of a request: it never arrives; it is stored and no controller has reacted yet; all of them have."""

OURS = (
    "/shop/configmaps",
    "/configmaps/quarterdeck-environment",
    "/deployments",
    "/statefulsets",
    "/daemonsets",
    "/services",
    "/httproutes",
    "/pods",
)
"""What a service's objects, and what stops its line, have in their paths."""

Change = tuple[str, str]
"""Method and path."""


class Mortal:
    """A cluster on whose change number *number* its user dies; it notes the changes that were made."""

    def __init__(self, world: Any, number: int = -1, moment: str = "", *, whole: bool) -> None:
        """Changes count from 0: with *whole* all of them, locks and the audit log too, else those of OURS."""
        self._cluster = world.cluster
        self._controllers = world.controllers
        self._number, self._moment, self._whole = number, moment, whole
        self.counted = 0
        self.made: list[Change] = []
        self.died = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or die."""

        def call() -> Any:
            return self._cluster.request(method, where, **options)

        rehearsed = (options.get("query") or {}).get("dryRun") or "/selfsubject" in where
        return call() if method == "GET" or rehearsed else self.change(method, where, call)

    def change(self, method: str, where: str, call: Callable[[], Any]) -> Any:
        """Make a change, wherever it is made, or die."""
        own = any(part in where for part in OURS)
        if not (own or self._whole):
            return call()
        strikes, self.counted = self.counted == self._number, self.counted + 1
        self.died = self.died or strikes
        if strikes and self._moment == "before":
            raise Killed
        self._controllers.asleep = strikes and self._moment == "during"
        answer = call()
        if own:
            # A pod's name is another one each time.
            self.made.append((method, where.rpartition("/")[0] if "/pods/" in where else where))
        if strikes:
            raise Killed
        return answer


class Overtaken:
    """A cluster at whose change number *number*, of OURS, somebody else is faster."""

    def __init__(self, world: Any, number: int, meanwhile: Callable[[], None]) -> None:
        """*meanwhile* is what they do before that change arrives."""
        self.behind = world.cluster
        self._left, self._meanwhile = number, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, sooner or later."""
        if method != "GET" and any(part in where for part in OURS):
            self._left -= 1
            if self._left == -1:
                self._meanwhile()
        return self.behind.request(method, where, **options)


def end_state(world: Any) -> dict[str, Any]:
    """Return what must not depend on how often a command died."""
    workloads = [each for kind in ("Deployment", "StatefulSet", "DaemonSet") for each in world._items(kind)]
    notes = {HELD, ROLLOUT_STATE, ROLLOUT_ASK}
    return {
        "images": world.images(),
        "workloads": {each["metadata"]["name"]: each["spec"] for each in workloads},
        "notes": [sorted(notes & set(each["metadata"].get("annotations") or {})) for each in workloads],
        "ways in": [each["spec"] for kind in ("Service", "HTTPRoute") for each in world._items(kind)],
        "configuration": {each["metadata"]["name"]: each["data"] for each in world._items("ConfigMap")},
    }


@dataclass(frozen=True)
class Scene:
    """A command about to be typed, in a world of its own."""

    world: Any
    act: Callable[[], object]
    """Types it."""
    go_on: Callable[[list[Change]], object]
    """Types what a person would who comes next; takes what was changed, which they see."""
    observed: Callable[[], object]
    """Returns what the world came to."""
    whole: bool = False
    """Whether every change counts, in a sample too: see `Mortal`."""


@dataclass(frozen=True)
class End:
    """What a scene came to."""

    observed: object
    made: Counter[Change]
    """Every change, of the killed command and the next."""
    counted: int
    """Changes at which the command could die."""
    died: bool


def play(scene: Scene, number: int = -1, moment: str = "", *, whole: bool) -> End:
    """Play *scene*, its command killed at change *number*, or at none."""
    world, whole = scene.world, whole or scene.whole
    real = world.cluster
    world.cluster = first = Mortal(world, number, moment, whole=whole)
    with suppress(Killed):
        scene.act()
    world.cluster, world.controllers.asleep = real, False
    made = first.made
    if first.died:
        world.controllers.settle(real)
        world.pass_time(31)  # its lock lapses
        world.cluster = second = Mortal(world, whole=whole)
        scene.go_on(first.made)
        world.cluster = real
        made = [*made, *second.made]
    # Killed before it is noted, a rollout is begun anew: copies made for the first one are then the second one's.
    once = Counter(each for each in made if each[0] != "PATCH" or "-kept-" not in each[1])
    return End(scene.observed(), once, first.counted, first.died)
