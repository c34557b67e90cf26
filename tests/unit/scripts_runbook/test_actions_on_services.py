"""Restart, scale and roll back: planned, carried out once, seen to hold, written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError, UsageError
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, UnreachableError, path
from quarterdeck_scripts.kube.workloads import promote_patch, restart_patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripts_runbook.conftest import Bench

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.kube.fake import FakeCluster
    from quarterdeck_scripts.kube.fake_controllers import Controllers

CHECKOUT = path("Deployment", "shop", "checkout")
V2 = "localhost/checkout:v2"
BAD = "localhost/checkout:bad"


def deploy(cluster: FakeCluster, image: str) -> None:
    """Deploy *image*."""
    deployment = cluster.request("GET", CHECKOUT)
    cluster.request("PATCH", CHECKOUT, body=promote_patch(deployment, image), content_type=JSON_PATCH)


def change(cluster: FakeCluster, **spec: Any) -> None:
    """Change the Deployment's specification, as somebody else would."""
    cluster.request("PATCH", CHECKOUT, body={"spec": spec}, content_type=MERGE_PATCH)


def pods(cluster: FakeCluster) -> set[str]:
    """Return the names of all pods."""
    return {pod["metadata"]["name"] for pod in cluster.request("GET", path("Pod", "shop"))["items"]}


def changes(cluster: FakeCluster) -> list[tuple[str, str]]:
    """Return the requests that changed the Deployment, dry runs left out, the controllers' too."""
    return [(method, where) for method, where in cluster.requests if method == "PATCH" and where == CHECKOUT]


pytestmark = pytest.mark.usefixtures("checkout")


class TestRestart:
    def test_every_pod_is_replaced(self, bench: Bench, cluster: FakeCluster) -> None:
        """Three new ones, Ready; the log has both sides and the reason."""
        old = pods(cluster)

        progress = bench.run("restart", "checkout", why="leaks")

        assert len(pods(cluster)) == 3
        assert not pods(cluster) & old
        assert progress.now["pods"] == "3 of 3 pods Ready, 3 of the newest template, 3 in all"
        before, after = bench.audit.verify().entries
        assert (before.action, before.subject, before.why) == ("restart", "Deployment shop/checkout", "leaks")
        assert (before.before, after.outcome) == ({"restartedAt": None}, "done")
        assert after.after["restartedAt"] == "2023-11-14T22:13:20+00:00"

    def test_a_restart_under_way_is_waited_for(
        self, bench: Bench, cluster: FakeCluster, controllers: Controllers, at_each_look: list[Callable[[], None]]
    ) -> None:
        """After a run that died: the same restart, no second one."""
        controllers.faults["localhost/checkout:v1"] = "ContainerCreating"
        cluster.request("PATCH", CHECKOUT, body=restart_patch(bench.options().now), content_type=MERGE_PATCH)
        bench.clock.sleep(30)
        plan = bench.plan("restart", "checkout")
        assert plan.summary == (
            "go on with the restart of the Deployment shop/checkout begun at 2023-11-14T22:13:20+00:00"
        )
        assert plan.requests == ()

        controllers.faults.clear()
        at_each_look.append(lambda: controllers.settle(cluster))
        progress = bench.run("restart", "checkout")

        assert progress.now["restartedAt"] == "2023-11-14T22:13:20+00:00"

    def test_a_restart_that_is_done_may_be_followed_by_another(self, bench: Bench) -> None:
        """Restarting twice is two restarts."""
        bench.run("restart", "checkout")
        bench.clock.sleep(60)

        assert bench.run("restart", "checkout").now["restartedAt"] == "2023-11-14T22:14:20+00:00"

    def test_pods_that_crash_end_it_early(self, bench: Bench, controllers: Controllers) -> None:
        """With their name and reason, well before the deadline; the log says that it failed."""
        controllers.faults["localhost/checkout:v1"] = "CrashLoopBackOff"

        with pytest.raises(QuarterdeckError, match=r"pod checkout-.*: CrashLoopBackOff, which waiting does not mend"):
            bench.run("restart", "checkout", within=600)

        assert bench.clock.now() - 1_700_000_000 == 12
        ((_, _, before), (_, _, after)) = bench.outcomes()
        assert (before, after[:7]) == ("", "failed:")

    def test_a_pod_that_is_late_is_waited_for_to_the_deadline(self, bench: Bench, controllers: Controllers) -> None:
        """A container that is still being made is no failure; at the deadline it is named."""
        controllers.faults["localhost/checkout:v1"] = "ContainerCreating"

        with pytest.raises(QuarterdeckError, match=r"(?s)not done within 60 s.*pod checkout-.*: ContainerCreating"):
            bench.run("restart", "checkout", within=60)

        assert bench.clock.now() - 1_700_000_000 == 60

    @pytest.mark.parametrize(
        ("spec", "reason"), [({"replicas": 0}, "it is scaled to 0"), ({"paused": True}, "it is paused")]
    )
    def test_what_would_have_no_effect_is_refused(
        self, bench: Bench, cluster: FakeCluster, spec: Json, reason: str
    ) -> None:
        """Nothing is changed, and nothing needs to be in the log."""
        change(cluster, **spec)

        with pytest.raises(RefusedError, match=reason):
            bench.run("restart", "checkout")
        assert bench.outcomes() == []

    def test_ctrl_c_leaves_a_word_in_the_log(
        self, bench: Bench, controllers: Controllers, at_each_look: list[Callable[[], None]]
    ) -> None:
        """The cluster goes on with what was asked of it; the log says that nobody waited for its end."""
        controllers.faults["localhost/checkout:v1"] = "ContainerCreating"

        def interrupt() -> None:
            raise KeyboardInterrupt

        at_each_look.append(interrupt)

        with pytest.raises(KeyboardInterrupt):
            bench.run("restart", "checkout")
        assert bench.outcomes()[-1] == ("restart", "after", "failed: KeyboardInterrupt")

    def test_an_outage_is_announced(self, bench: Bench, cluster: FakeCluster) -> None:
        """With the strategy Recreate all pods go first."""
        change(cluster, strategy={"type": "Recreate"})

        assert bench.plan("restart", "checkout").details == (
            "strategy Recreate: ALL pods end before the first new one starts, so it is down meanwhile",
        )

    def test_a_deployment_in_between_is_not_taken_for_the_restart(
        self, bench: Bench, cluster: FakeCluster, controllers: Controllers, at_each_look: list[Callable[[], None]]
    ) -> None:
        """Somebody deploys another version meanwhile: that its pods are Ready proves nothing of the restart."""
        controllers.faults["localhost/checkout:v1"] = "ContainerCreating"
        at_each_look.append(lambda: deploy(cluster, V2))

        with pytest.raises(QuarterdeckError, match="another template was deployed meanwhile"):
            bench.run("restart", "checkout")


class TestScale:
    @pytest.mark.parametrize("count", [5, 1])
    def test_the_number_is_reached(self, bench: Bench, cluster: FakeCluster, count: int) -> None:
        """Up and down."""
        progress = bench.run("scale", "checkout", replicas=count)

        assert len(pods(cluster)) == count
        assert progress.now["replicas"] == count
        assert bench.audit.verify().entries[0].before == {"replicas": 3}

    def test_a_number_that_is_set_already_is_only_seen_to_hold(self, bench: Bench, cluster: FakeCluster) -> None:
        """No request changes anything."""
        before = changes(cluster)

        assert bench.run("scale", "checkout", replicas=3).missing == ()
        assert changes(cluster) == before

    def test_without_a_number_nothing_is_tried(self, bench: Bench) -> None:
        """It is asked for, with the present one."""
        with pytest.raises(UsageError, match="it has 3 now"):
            bench.plan("scale", "checkout")

    def test_none_at_all_has_to_be_forced(self, bench: Bench, cluster: FakeCluster) -> None:
        """0 pods are an outage."""
        with pytest.raises(RefusedError, match="--force"):
            bench.run("scale", "checkout", replicas=0)

        bench.run("scale", "checkout", replicas=0, force=True)
        assert pods(cluster) == set()

    def test_an_autoscaler_is_not_fought(self, bench: Bench, cluster: FakeCluster) -> None:
        """It is named with its bounds; an autoscaler of something else does not matter."""
        for name in ("payment", "checkout"):
            autoscaler = {
                "metadata": {"name": f"{name}-hpa"},
                "spec": {"maxReplicas": 8, "scaleTargetRef": {"kind": "Deployment", "name": name}},
            }
            cluster.request("POST", path("HorizontalPodAutoscaler", "shop"), body=autoscaler)

        with pytest.raises(RefusedError, match=r"HorizontalPodAutoscaler checkout-hpa does \(1 to 8 pods\)"):
            bench.run("scale", "checkout", replicas=5)

        cluster.request("DELETE", path("HorizontalPodAutoscaler", "shop", "checkout-hpa"))
        assert bench.run("scale", "checkout", replicas=5).missing == ()

    def test_a_plan_for_another_state_is_not_carried_out(self, bench: Bench, cluster: FakeCluster) -> None:
        """Between the plan and the yes somebody scaled it: what was agreed to is not what would happen."""
        runner, options = bench.runner("scale", "checkout"), bench.options(replicas=5)
        plan = runner.plan(options)
        change(cluster, replicas=4)

        with pytest.raises(RefusedError, match="as it was when the plan was made"):
            runner.carry_out(
                plan,
                options,
                lock=bench.lock(runner.name, "checkout"),
                audit=bench.audit,
                why="",
                within=60,
                tell=bench.told.append,
            )
        assert len(pods(cluster)) == 4

    def test_somebody_elses_number_is_not_overruled(
        self, bench: Bench, cluster: FakeCluster, controllers: Controllers, at_each_look: list[Callable[[], None]]
    ) -> None:
        """While it waits, it does not set its own again."""
        controllers.faults["localhost/checkout:v1"] = "ContainerCreating"
        at_each_look.append(lambda: change(cluster, replicas=4))

        with pytest.raises(QuarterdeckError, match="somebody set 4 pods meanwhile"):
            bench.run("scale", "checkout", replicas=5)


class TestRollBack:
    def test_the_version_before_serves_again(
        self, bench: Bench, cluster: FakeCluster, image: Callable[[], str]
    ) -> None:
        """A version that crashes goes; every pod is the old one's; the log has both."""
        deploy(cluster, BAD)

        progress = bench.run("roll-back", "checkout", why="burns")

        assert image() == "localhost/checkout:v1"
        assert progress.missing == ()
        before, after = bench.audit.verify().entries
        assert before.before == {"version": "bad", "images": [BAD]}
        assert after.after == {
            "version": "v1",
            "images": ["localhost/checkout:v1"],
            "pods": "3 of 3 pods Ready, 3 of the newest template, 3 in all",
        }

    def test_twice_does_not_bring_the_bad_one_back(
        self, bench: Bench, cluster: FakeCluster, image: Callable[[], str]
    ) -> None:
        """The second run finds it done and only sees to it that it holds."""
        deploy(cluster, BAD)
        bench.run("roll-back", "checkout")

        plan = bench.plan("roll-back", "checkout")
        bench.run("roll-back", "checkout")

        assert plan.summary == "the Deployment shop/checkout was rolled back from bad to v1 already: see that it serves"
        assert image() == "localhost/checkout:v1"

    def test_what_it_cannot_restore_is_said(self, bench: Bench, cluster: FakeCluster) -> None:
        """By name, where names are known; the content of a Secret is not even read."""
        references = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]
        template = cluster.request("GET", CHECKOUT)["spec"]["template"]
        template["spec"]["containers"][0]["envFrom"] = references
        template["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": "certificate"}}]
        change(cluster, template=template)
        deploy(cluster, V2)

        details = bench.plan("roll-back", "checkout").details

        assert (
            "NOT restored, only named by the template: the content of ConfigMap settings, Secret certificate, "
            "Secret keys" in details
        )
        assert (
            "NOT changed: services.yaml and the stack; their next deployment brings the newer version again" in details
        )
        assert not any("secrets" in where for _, where in cluster.requests)

    def test_there_has_to_be_an_earlier_version(self, bench: Bench) -> None:
        """The first one has none."""
        with pytest.raises(RefusedError, match="none but the present one, v1"):
            bench.plan("roll-back", "checkout")

    def test_a_template_that_changed_since_the_plan_is_left_alone(
        self, bench: Bench, cluster: FakeCluster, image: Callable[[], str]
    ) -> None:
        """A newer version deployed while somebody reads the plan is not undone by it."""
        deploy(cluster, V2)
        runner, options = bench.runner("roll-back", "checkout"), bench.options()
        plan = runner.plan(options)
        deploy(cluster, "localhost/checkout:v3")

        with pytest.raises(RefusedError, match="as it was when the plan was made"):
            runner.carry_out(
                plan,
                options,
                lock=bench.lock(runner.name, "checkout"),
                audit=bench.audit,
                why="",
                within=60,
                tell=bench.told.append,
            )
        assert image() == "localhost/checkout:v3"

    def test_another_version_that_still_serves_is_named(
        self, bench: Bench, cluster: FakeCluster, controllers: Controllers, checkout: Json
    ) -> None:
        """All pods of the old one being Ready is not enough while a bad one gets requests."""
        deploy(cluster, V2)
        stray = {
            "metadata": {"name": "stray", "labels": {**checkout["spec"]["selector"]["matchLabels"]}},
            "spec": {"containers": [{"name": "checkout", "image": V2}]},
        }
        stray["metadata"]["labels"] |= {"app.kubernetes.io/version": "v2", "pod-template-hash": "x"}
        runner, options = bench.runner("roll-back", "checkout"), bench.options()
        plan = runner.plan(options)
        cluster.request("PATCH", CHECKOUT, body=plan.requests[0].body, content_type=JSON_PATCH)
        cluster._reactor = None
        cluster.request("POST", path("Pod", "shop"), body=stray)
        ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        cluster.request("PATCH", path("Pod", "shop", "stray", "status"), body=ready, content_type=MERGE_PATCH)

        progress = runner.action.progress(plan, runner.action.observe(cluster, runner.subject))

        assert progress.missing == ("pod stray of version v2 still serves",)


class TestAllOfThem:
    @pytest.mark.parametrize(("name", "given"), [("restart", {}), ("scale", {"replicas": 5}), ("roll-back", {})])
    def test_a_rollout_under_way_is_left_alone(
        self, bench: Bench, cluster: FakeCluster, name: str, given: dict[str, Any]
    ) -> None:
        """It would be judged on pods that somebody else changes."""
        deploy(cluster, V2)
        mark = {"metadata": {"annotations": {"quarterdeck.dev/rollout": json.dumps({"id": "x"})}}}
        cluster.request("PATCH", CHECKOUT, body=mark, content_type=MERGE_PATCH)

        with pytest.raises(RefusedError, match="quarterdeck rollout abort checkout"):
            bench.run(name, "checkout", **given)

    @pytest.mark.parametrize(("name", "given"), [("restart", {}), ("scale", {"replicas": 5}), ("roll-back", {})])
    def test_no_such_deployment_is_said_at_once(self, bench: Bench, name: str, given: dict[str, Any]) -> None:
        """The cluster is named, because it may be the wrong one."""
        with pytest.raises(UsageError, match=r"Deployment shop/cheque in the cluster https://fake\.invalid"):
            bench.plan(name, "cheque", **given)

    @pytest.mark.parametrize(("name", "given"), [("restart", {}), ("scale", {"replicas": 5}), ("roll-back", {})])
    def test_a_rehearsal_changes_nothing_and_shows_what_would(
        self, bench: Bench, cluster: FakeCluster, name: str, given: dict[str, Any]
    ) -> None:
        """The server's own answer to a dry run, as a difference."""
        deploy(cluster, V2)
        before = cluster.request("GET", CHECKOUT)
        runner = bench.runner(name, "checkout")

        rehearsal = runner.rehearse(runner.plan(bench.options(**given)))

        assert cluster.request("GET", CHECKOUT) == before
        assert rehearsal.changes[0] == "Deployment shop/checkout"
        shown = {
            "restart": "  + spec.template.metadata.annotations: "
            '{"kubectl.kubernetes.io/restartedAt": "2023-11-14T22:13:20+00:00"}',
            "scale": "  ~ spec.replicas: 3 → 5",
            "roll-back": f"  ~ spec.template.spec.containers[checkout].image: {V2} → localhost/checkout:v1",
        }
        assert shown[name] in rehearsal.changes

    @pytest.mark.parametrize(("name", "given"), [("restart", {}), ("scale", {"replicas": 5}), ("roll-back", {})])
    @pytest.mark.parametrize("carried_out", [False, True])
    def test_a_lost_answer_is_no_second_change(
        self, bench: Bench, cluster: FakeCluster, name: str, given: dict[str, Any], *, carried_out: bool
    ) -> None:
        """Whether the request arrived is looked up before it is sent again, or not."""
        deploy(cluster, V2)
        lossy = Lossy(cluster, carried_out=carried_out)
        bench.cluster = lossy

        progress = bench.run(name, "checkout", **given)

        assert progress.missing == ()
        # Where it had not arrived it is sent again; a restart that is done by then is told by the time it was asked.
        assert lossy.sent == (2 if not carried_out or name == "restart" else 1)
        assert len({*lossy.generations}) == 1

    def test_a_look_that_fails_is_repeated(
        self, bench: Bench, cluster: FakeCluster, controllers: Controllers, at_each_look: list[Callable[[], None]]
    ) -> None:
        """An API server that is away for a moment does not end the wait."""
        flaky = Flaky(cluster)
        bench.cluster = flaky
        controllers.faults["localhost/checkout:v1"] = "ContainerCreating"

        def away() -> None:
            flaky.away = True

        def back() -> None:
            flaky.away = False
            controllers.faults.clear()
            controllers.settle(cluster)

        at_each_look += [away, back]

        assert bench.run("scale", "checkout", replicas=5).missing == ()
        assert "asking again: nobody there" in bench.told


class Lossy:
    """Loses the answer to the first change of the Deployment; forwards everything else."""

    def __init__(self, cluster: FakeCluster, *, carried_out: bool) -> None:
        self._cluster = cluster
        self._carried_out = carried_out
        self.sent = 0
        self.generations: list[int] = []

    @property
    def server(self) -> str:
        """The other's URL."""
        return self._cluster.server

    @property
    def skew(self) -> float:
        """The other's."""
        return self._cluster.skew

    def watch(self, path: str, *, query: Any, timeout: float) -> Any:
        """Forward it."""
        return self._cluster.watch(path, query=query, timeout=timeout)

    def request(self, method: str, path: str, **arguments: Any) -> Json:
        """Forward it, unless it is the one to lose."""
        if method != "PATCH":
            return self._cluster.request(method, path, **arguments)
        self.sent += 1
        if self.sent == 1 and not self._carried_out:
            raise UnreachableError("an answer", "timed out", "look")
        answer = self._cluster.request(method, path, **arguments)
        self.generations.append(answer["metadata"]["generation"])
        if self.sent == 1:
            raise UnreachableError("an answer", "timed out", "look")
        return answer


class Flaky:
    """Is away at times."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.away = False

    @property
    def server(self) -> str:
        """The other's URL."""
        return self._cluster.server

    @property
    def skew(self) -> float:
        """The other's."""
        return self._cluster.skew

    def watch(self, path: str, *, query: Any, timeout: float) -> Any:
        """Forward it."""
        return self._cluster.watch(path, query=query, timeout=timeout)

    def request(self, method: str, path: str, **arguments: Any) -> Json:
        """Forward it, unless away."""
        if self.away:
            raise UnreachableError("an answer", "nobody there", "look")
        return self._cluster.request(method, path, **arguments)
