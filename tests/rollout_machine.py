"""Any order of commands, deaths and other people's doings around one service, and what has to hold after each.

Hypothesis chooses the orders. The commands are typed as people type them, in a world that a test opens: a cluster in
memory, or a real API server behind the same interface. The model knows which version has to serve, what may promote
another one, and what somebody else did to it; how a rollout walks is none of its business.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, integers, lists, sampled_from, tuples
from tests.rollouts import LAPSED, YOUNG, Killed

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_REFUSED
from quarterdeck_contract.kubernetes import (
    APP_VERSION,
    ENVIRONMENT_CONFIGMAP,
    HELD,
    ROLLED_BACK,
    ROLLOUT_ASK,
    ROLLOUT_STATE,
    SYSTEM_NAMESPACE,
)
from quarterdeck_scripts import cli
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, path
from quarterdeck_scripts.kube.pods import is_ready, is_terminating
from quarterdeck_scripts.kube.selectors import selects
from quarterdeck_scripts.kube.workloads import serving_image
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.acting.lock import Holder, LeaseLock, holder_of
from quarterdeck_scripts.rollout.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from quarterdeck_scripts.kube.client import Json

HEALTHY, FAILING, SILENT = "healthy", "failing", "silent"
"""How a version serves: as the old one; one request in five not; nobody calls it."""

BEHAVIOUR = {HEALTHY: {}, FAILING: {"failing": 0.2}, SILENT: {"rate": 0.0}}

CODES = {HEALTHY: EXIT_DONE, FAILING: EXIT_FAILED, SILENT: EXIT_INCONCLUSIVE}

OURS = ("/shop/configmaps", "/deployments", "/statefulsets", "/daemonsets", "/services", "/httproutes", "/pods")
"""What a service's objects have in their paths."""

OPERATORS = ("anna@bridge", "ben@shore")

HOW = sampled_from([HEALTHY, HEALTHY, FAILING, SILENT])
WHO = sampled_from(OPERATORS)
MEANWHILE = sampled_from(["pause", "resume", "promote", "freeze", "thaw", "edit", "scale", "delete", "renew"])
DEATH = tuples(integers(0, 13), booleans())
"""Before which change of the service's objects, or after it, a run dies; some have fewer, and live."""


class Mortal:
    """A cluster that kills its client before or after one change of the service's objects."""

    def __init__(self, cluster: Any, number: int, *, before: bool, ours: tuple[str, ...] = OURS) -> None:
        """*ours*: what the objects have in their paths whose changes are counted."""
        self._cluster, self._left, self._before, self._ours = cluster, number, before, ours

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or die."""
        if method == "GET" or not any(part in where for part in self._ours):
            return self._cluster.request(method, where, **options)
        strikes, self._left = self._left == 0, self._left - 1
        if strikes and self._before:
            raise Killed
        answer = self._cluster.request(method, where, **options)
        if strikes:
            raise Killed
        return answer


@dataclass
class Left:
    """A rollout that is under way, and nobody runs it."""

    image: str
    how: str
    promoted_by_hand: bool = False
    """Whether somebody asked for that."""
    meddled: bool = False
    """Whether somebody else changed, or took away, what it is about: then it need not come to the end it would have."""


@dataclass
class Watch:
    """What was seen of the pods that serve since a command began."""

    promised: int
    """Pods that have to serve at any time."""
    fewest: int = field(default=1_000_000)


class Rollouts(RuleBasedStateMachine):
    """One service's rollouts, as people make them and as the model has them."""

    opening: ClassVar[Callable[[str], AbstractContextManager[Any]]]
    """Opens a world for the name of a way."""
    ways: ClassVar[tuple[str, ...]]
    rate: ClassVar[float]
    """Requests a second and pod."""
    played: ClassVar[set[str]]
    """What happened in all orders together."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world: Any = None
        self.says: list[str] = []
        """What was typed and done, for whoever reads of a failure."""

    @initialize(number=integers(0, 1_000))
    def open(self, number: int) -> None:
        """A service runs at v1, and has been scraped for a while."""
        self.way = self.ways[number % len(self.ways)]
        self.world = self._stack.enter_context(type(self).opening(self.way))
        self._stack.enter_context(self._typed())
        self.stable = "localhost/checkout:v1"
        self.versions = 1
        self.replicas = 3
        self.frozen = False
        self.left: Left | None = None
        self.lapsing = Holder()
        """The lock that the last run that died has left: it is there until somebody takes it."""
        self.mortal: tuple[int, bool] | None = None
        self.who = OPERATORS[0]
        self.watch = Watch(0)
        self._watch_serving()
        if not self._get("ConfigMap", ENVIRONMENT_CONFIGMAP, SYSTEM_NAMESPACE):
            facts = {"metadata": {"name": ENVIRONMENT_CONFIGMAP}}
            self.world.cluster.request("POST", path("ConfigMap", SYSTEM_NAMESPACE), body=facts)
        self.rest = self._rest()
        self.says.append(self.way)
        self._played(self.way)

    def teardown(self) -> None:
        """Check the audit log once, and close the world."""
        with self._stack:
            note("\n".join(self.says))
            if self.world is not None:
                assert self.world.session().audit().verify().broken is None

    # Commands

    @precondition(lambda self: not self.left)
    @rule(how=HOW, who=WHO)
    def start(self, how: str, who: str) -> None:
        """A version is rolled out, and ends as it serves; not in a freeze."""
        image = self._fresh(how)
        if self.frozen:
            before = self.world.deployment()
            assert self._type(who, "start", "--image", image) == EXIT_REFUSED
            assert self._plain(self.world.deployment()) == self._plain(before)
            self._played("refused in a freeze")
            return
        code = self._type(who, "start", "--image", image)
        assert code in self._codes(how), (code, how)
        self._look(Left(image, how))
        assert self.left is None
        assert (self.stable == image) == (code == EXIT_DONE)
        self._played(how)

    @precondition(lambda self: not (self.left or self.frozen))
    @rule(how=HOW, death=DEATH)
    def start_and_die(self, how: str, death: tuple[int, bool]) -> None:
        """The run of a rollout dies before or after one of its changes."""
        image = self._fresh(how)
        self._dying(death, Left(image, how), "start", "--image", image)

    @precondition(lambda self: not (self.left or self.frozen))
    @rule(how=HOW, meanwhile=lists(tuples(integers(0, 30), MEANWHILE), min_size=1, max_size=3))
    def start_and_meanwhile(self, how: str, meanwhile: list[tuple[int, str]]) -> None:
        """While it runs, others ask things of it, and do what they like to its service."""
        image = self._fresh(how)
        self.left = left = Left(image, how)
        for number, (seconds, what) in enumerate(sorted(meanwhile)):
            at = self.world.clock.now() - self.world.begin + seconds + number / 1000
            self.world.at_time[at] = lambda what=what: self._meanwhile(what, left)
        # Whatever is held has an end: somebody lets it go.
        over = self.world.clock.now() - self.world.begin + 45
        self.world.at_time[over] = lambda: self._meanwhile("thaw", left)
        self.world.at_time[over + 1] = lambda: self._meanwhile("resume", left)
        code = self._type("anna@bridge", "start", "--image", image)
        self.world.at_time.clear()
        if self.frozen:
            self._type("anna@bridge", "thaw")
            self.frozen = False
        self._look(left)
        if self.left:
            assert left.meddled, code
            assert code != EXIT_DONE
        elif code == EXIT_DONE:
            assert self.stable == left.image or left.meddled
        self._played("meanwhile")

    @precondition(lambda self: self.left)
    @rule(who=WHO, resume=booleans())
    def go_on(self, who: str, *, resume: bool) -> None:
        """Whoever goes on comes to the end that it would have had, or is told what is in the way."""
        left = self.left
        assert left is not None
        self._type(who, "thaw")
        self.frozen = False
        code = self._type(who, "resume") if resume else self._type(who, "start", "--image", left.image)
        self._look(left)
        if not left.meddled:
            assert self.left is None, code
            if not left.promoted_by_hand:
                assert code in (self._codes(left.how) | ({EXIT_REFUSED} if resume else set())), code
        self._played("gone on with")

    @precondition(lambda self: self.left)
    @rule(death=DEATH)
    def go_on_and_die(self, death: tuple[int, bool]) -> None:
        """Whoever goes on may die too."""
        left = self.left
        assert left is not None
        if not self.frozen:
            self._dying(death, left, "start", "--image", left.image)

    @rule(who=WHO)
    def abort(self, who: str) -> None:
        """Everything is put back, whatever was left of it and whoever did what to it."""
        left = self.left
        code = self._type(who, "abort")
        self._look(left)
        if left and left.meddled and code == EXIT_REFUSED:
            self._played("no version to go back to")  # somebody made the workload anew: nobody knows an earlier one
            return
        assert code == EXIT_DONE
        assert self.left is None
        self._played("aborted" if left else "nothing to abort")

    @precondition(lambda self: self.left)
    @rule(death=DEATH)
    def abort_and_die(self, death: tuple[int, bool]) -> None:
        """An abort may die too."""
        assert self.left is not None
        self._dying(death, self.left, "abort")

    @precondition(lambda self: self.left and not self.frozen)
    @rule(who=WHO)
    def promote(self, who: str) -> None:
        """What nobody runs is promoted by whoever says so, unless it was decided before or fails at that look."""
        left = self.left
        assert left is not None
        left.promoted_by_hand = True
        code = self._type(who, "promote", "--why", "seen by hand")
        self._look(left)
        assert self.left is None or left.meddled or code == EXIT_REFUSED, code
        self._played("promoted")

    @precondition(lambda self: self.left)
    @rule(who=WHO)
    def pause_and_resume(self, who: str) -> None:
        """What is paused is gone on with, once it is resumed."""
        left = self.left
        assert left is not None
        self._type(who, "pause", "--why", "lunch")
        if not self.frozen:
            self._type(who, "resume")
        self._look(left)
        self._played("paused and resumed")

    @precondition(lambda self: self.left)
    @rule(who=WHO, what=sampled_from(["undo", "retry", "another"]))
    def ask_for_something_else(self, who: str, what: str) -> None:
        """While one is under way, nothing else begins."""
        left = self.left
        assert left is not None
        words = ["start", "--image", "localhost/checkout:v0"] if what == "another" else [what]
        before = self._plain(self.world.deployment())
        code = self._type(who, *words)
        assert code == EXIT_REFUSED, (words, code)
        assert self._plain(self.world.deployment()) == before
        self._played("refused")

    @precondition(lambda self: not self.left)
    @rule(who=WHO)
    def undo(self, who: str) -> None:
        """The version before comes back; where one did already, or none is kept, nothing does."""
        workload = self.world.deployment()
        marked = ROLLED_BACK in (workload["metadata"].get("annotations") or {})
        code = self._type(who, "undo")
        self._settle()
        image = serving_image(self.world.deployment())
        if code == EXIT_REFUSED:
            assert image == self.stable
        else:
            assert code == EXIT_DONE
            assert (image != self.stable) or marked
        self.stable = image
        self._played("undone")

    @precondition(lambda self: not (self.left or self.frozen))
    @rule(who=WHO)
    def retry(self, who: str) -> None:
        """What was not promoted the last time is rolled out again; else it is refused."""
        last = self.last if hasattr(self, "last") else None
        code = self._type(who, "retry")
        left = Left(last.image, last.how, meddled=True) if last else Left("", HEALTHY, meddled=True)
        if code == EXIT_REFUSED:
            self._look(None)
        else:
            self._look(left)
        assert self.left is None
        self._played("retried" if code != EXIT_REFUSED else "nothing to retry")

    @precondition(lambda self: not self.left)
    @rule(who=WHO, command=sampled_from(["pause", "resume", "promote"]))
    def steer_nothing(self, who: str, command: str) -> None:
        """Without a rollout there is nothing to steer."""
        more = ["--why", "now"] if command == "promote" else []
        assert self._type(who, command, *more) == EXIT_REFUSED

    @rule(who=WHO)
    def freeze_or_thaw(self, who: str) -> None:
        """The line is stopped, or let run again."""
        command = ["thaw"] if self.frozen else ["freeze", "--why", "a sale"]
        assert self._type(who, *command) == EXIT_DONE
        self.frozen = not self.frozen

    @rule()
    def begin_while_another_is_at_it(self) -> None:
        """It is refused, and nothing is changed."""
        session = self.world.session()
        other = LeaseLock(session.environment.cluster, "shop", "checkout", holder="cleo@helm", clock=self.world.clock)
        other.acquire()
        before = self._plain(self.world.deployment())
        try:
            image = self.left.image if self.left else f"localhost/checkout:v{self.versions + 1}"
            assert self._type("ben@shore", "start", "--image", image) == EXIT_REFUSED
        finally:
            other.release()
        assert self._plain(self.world.deployment()) == before
        self._played("rivalled")

    # Other people

    @rule(what=sampled_from(["edit", "scale", "delete", "renew", "renew with its notes"]))
    def meddle(self, what: str) -> None:
        """Somebody changes the service by hand."""
        self._meddle(what, self.left)
        self._settle()
        self._played(what)

    # What always holds

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        """One version serves and nothing is beside it, or what a rollout that is under way has there."""
        if self.world is None:
            return
        assert cli.run(["rollout", "status", "checkout"]) == EXIT_DONE
        assert self.watch.fewest >= self.watch.promised, self.says
        if self.left:
            return
        self._settle()
        assert self._rest() == self.rest
        workload = self.world.deployment()
        notes = workload["metadata"].get("annotations") or {}
        assert not {ROLLOUT_STATE, ROLLOUT_ASK, HELD} & set(notes)
        assert serving_image(workload) == self.stable
        assert self.world.images() == [self.stable] * self.replicas
        assert self._lock() in {Holder(), self.lapsing}

    # How

    def _dying(self, death: tuple[int, bool], left: Left, *words: str) -> None:
        self.mortal = death
        code = self._type("anna@bridge", *words)
        self.mortal = None
        self._look(left)
        if code is None:
            self.lapsing = self._lock()
            FakeClock.sleep(self.world.clock, LAPSED)
            self._played("died")

    def _type(self, who: str, command: str, *words: str) -> int | None:
        """Type a command; return its exit code, None when it was killed."""
        self.says.append(f"{who}: {command} {' '.join(words)}" + (f" †{self.mortal}" if self.mortal else ""))
        self.who, before = who, self.who
        if command not in {"thaw", "freeze", "status"}:
            words = ("checkout", *words)
        began = self.watch
        self.watch = Watch(min(self._promise(), began.promised if self.left else 1_000))
        try:
            code = cli.run(["rollout", command, *words, "--yes"])
        except Killed:
            code = None
        finally:
            self.who = before
        self.says[-1] += f" = {code}"
        return code

    def _promise(self) -> int:
        return self.replicas if self.world.kind == "Deployment" else self.replicas - 1

    def _meanwhile(self, what: str, left: Left) -> None:
        """Do something while the run of a rollout waits."""
        mortal, self.mortal = self.mortal, None
        try:
            match what:
                case "pause" | "resume":
                    self._nested(what)
                case "promote":
                    left.promoted_by_hand = True
                    self._nested("promote", "--why", "seen by hand")
                case "freeze":
                    self._nested("freeze", "--why", "a sale")
                    self.frozen = True
                case "thaw":
                    if self.frozen:
                        self._nested("thaw")
                    self.frozen = False
                case _:
                    self._meddle(what, left)
        finally:
            self.mortal = mortal

    def _nested(self, command: str, *words: str) -> None:
        watch = self.watch
        self._type("ben@shore", command, *words)
        self.watch = watch

    def _meddle(self, what: str, left: Left | None) -> None:
        cluster, where = self.world.cluster, path(self.world.kind, "shop", "checkout")
        self.says.append(f"somebody: {what}")
        match what:
            case "edit":
                image = self._fresh(HEALTHY)
                version = {APP_VERSION: image.rpartition(":")[2]}
                container = self.world.deployment()["spec"]["template"]["spec"]["containers"][0] | {"image": image}
                template = {"metadata": {"labels": version}, "spec": {"containers": [container]}}
                body = {"metadata": {"labels": version}, "spec": {"template": template}}
                cluster.request("PATCH", where, body=body, content_type=MERGE_PATCH)
                self.stable = image
            case "scale" if self.world.kind != "DaemonSet":
                self.replicas = 4 if self.replicas == 3 else 3
                cluster.request("PATCH", where, body={"spec": {"replicas": self.replicas}}, content_type=MERGE_PATCH)
                self.watch.promised = min(self.watch.promised, 2)
                self.rest = {**self.rest, "replicas": self.replicas}
                return
            case "delete":
                if not self._get("Deployment", "checkout-canary"):
                    return
                body = {"propagationPolicy": "Background"}
                cluster.request("DELETE", path("Deployment", "shop", "checkout-canary"), body=body)
            case "renew" | "renew with its notes":
                self._renew(notes="notes" in what)
            case _:
                return
        self.watch.promised = 0
        if left:
            left.meddled = True

    def _renew(self, *, notes: bool) -> None:
        """Delete the workload, and make it again as it was."""
        cluster, kind = self.world.cluster, self.world.kind
        found = self.world.deployment()
        cluster.request("DELETE", path(kind, "shop", "checkout"), body={"propagationPolicy": "Background"})
        metadata = {key: found["metadata"][key] for key in ("name", "namespace", "labels")}
        if notes:
            metadata["annotations"] = found["metadata"].get("annotations") or {}
            spec = found["spec"]
        else:
            spec = {**found["spec"], **self.rest["spec"]}
            for key in set(spec) - set(self.rest["spec"]) - {"template", "replicas"}:
                del spec[key]
            self.stable = serving_image(found)
        self._settle_gone()
        body = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
        cluster.request("POST", path(kind, "shop"), body=body)

    def _settle_gone(self) -> None:
        """Wait until nothing of a deleted workload is left."""
        getattr(self.world, "settle_gone", lambda: None)()

    def _settle(self) -> None:
        """Wait for the controllers."""
        getattr(self.world, "settle", lambda: None)()

    def _fresh(self, how: str) -> str:
        self.versions += 1
        image = f"localhost/checkout:v{self.versions}"
        self.world.behave(image, **{"rate": self.rate, **BEHAVIOUR[how]})
        return image

    def _codes(self, how: str) -> set[int]:
        """Return how a version may end that serves like that."""
        return {CODES[how], EXIT_INCONCLUSIVE} if self.way == YOUNG else {CODES[how]}

    def _look(self, left: Left | None) -> None:
        """Take note of what a command left: a rollout under way, or the version that serves."""
        self._settle()
        workload = self.world.deployment()
        image = serving_image(workload)
        state = (workload["metadata"].get("annotations") or {}).get(ROLLOUT_STATE)
        if state or self._rest() != self.rest:
            assert left is not None, (state, self._rest(), self.rest)
            self.left = left
            self.last = left
            return
        self.left = None
        if left is not None:
            self.last = left
            if image == left.image:
                assert left.how == HEALTHY or left.promoted_by_hand or left.meddled, self.says
                self.stable = image
        assert image == self.stable, (image, self.stable, self.says)

    def _rest(self) -> Json:
        """Return all that no rollout may leave otherwise than it was."""
        workload = self.world.deployment()
        return {
            "spec": {key: each for key, each in workload["spec"].items() if key not in {"template", "replicas"}},
            "replicas": workload["spec"].get("replicas", 3),
            "held": HELD in (workload["metadata"].get("annotations") or {}),
            "deployments": self.world.deployments(),
            "services": {each["metadata"]["name"]: each["spec"] for each in self.world._items("Service")},
            "routes": [each["spec"] for each in self.world._items("HTTPRoute")],
        }

    @staticmethod
    def _plain(workload: Json) -> Json:
        metadata = workload["metadata"]
        return {"spec": workload["spec"], "notes": metadata.get("annotations"), "labels": metadata.get("labels")}

    def _lock(self) -> Holder:
        return holder_of(self.world.cluster, "shop", "checkout")

    def _get(self, kind: str, name: str, namespace: str = "shop") -> Json | None:
        try:
            found: Json = self.world.cluster.request("GET", path(kind, namespace, name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        return found

    def _watch_serving(self) -> None:
        """Count the pods that serve at each scrape."""
        scrape = self.world._scrape

        def counted(now: float) -> None:
            service = self._get("Service", "checkout")
            pods = [pod for pod in self.world.pods() if is_ready(pod) and not is_terminating(pod)]
            led = [
                pod for pod in pods if selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
            ]
            self.watch.fewest = min(self.watch.fewest, len(led))
            scrape(now)

        self.world._scrape = counted

    def _typed(self) -> AbstractContextManager[Any]:
        """Have the commands speak to the world."""
        patches = pytest.MonkeyPatch()

        def session(service: str = "checkout") -> Session:
            opened: Session = self.world.session(service)
            if self.mortal is None:
                return replace(opened, actor=self.who)
            if not isinstance(self._mortal_cluster, Mortal) or self._mortal_of is not self.mortal:
                number, before = self.mortal
                self._mortal_cluster = Mortal(opened.environment.cluster, number, before=before)
                self._mortal_of = self.mortal
            environment = replace(opened.environment, cluster=self._mortal_cluster)
            return replace(opened, actor=self.who, environment=environment)

        self._mortal_cluster: Any = None
        self._mortal_of: Any = None
        patches.setattr(Session, "open", lambda _, service: session(service))
        patches.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: session().environment)
        stack = ExitStack()
        stack.callback(patches.undo)
        return stack

    def _played(self, what: str) -> None:
        self.played.add(what)


def play(
    opening: Callable[[str], AbstractContextManager[Any]],
    ways: Iterable[str],
    *,
    orders: int,
    steps: int,
    rate: float,
    seeded: int = 0,
) -> set[str]:
    """Play so many *orders* of so many *steps*, the same in every run by their seed; return what happened in them.

    *rate* is as `Rollouts` has it. Hypothesis begins with the shortest order, of little worth.
    """

    class Here(Rollouts):
        pass

    Here.opening, Here.ways, Here.played = staticmethod(opening), tuple(ways), set()
    Here.rate = rate
    run_state_machine_as_test(
        seed(seeded)(Here),
        settings=settings(
            max_examples=orders,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Here.played
