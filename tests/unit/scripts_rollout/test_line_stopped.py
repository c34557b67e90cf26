"""Nothing new is let in while the catalogue freezes it or somebody stopped the line; going back is never held."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.rollouts import Killed

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP, STOP_THE_LINE, SYSTEM_NAMESPACE
from quarterdeck_dashboards.catalogue import Freeze
from quarterdeck_scripts import cli
from quarterdeck_scripts.audit.segments import Segments
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, ApiError, UnreachableError, path
from quarterdeck_scripts.kube.workloads import promote_patch
from quarterdeck_scripts.rollout import beginning, command
from quarterdeck_scripts.rollout.line.freezes import ALL, Stop, findings, read_stops, written
from quarterdeck_scripts.rollout.session import Session

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

START = ["rollout", "start", "checkout", "--image", V2, "--yes"]
FACTS = path("ConfigMap", SYSTEM_NAMESPACE, ENVIRONMENT_CONFIGMAP)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STOP = Stop("anna@bridge", "2026-11-23T11:00:00+00:00", "the payment provider is down")
LUNCH = Freeze(name="lunch", begins="mon 12:00", ends="mon 13:00", time_zone="UTC", why="nobody is there")


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world with its facts in the cluster, and the commands speaking to it instead of an environment."""
    monkeypatch.setattr(command, "_open", lambda *_: world.session())
    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *_: world.session().environment)
    body = {"metadata": {"name": ENVIRONMENT_CONFIGMAP}, "data": {"environment": "local"}}
    world.cluster.request("POST", path("ConfigMap", SYSTEM_NAMESPACE), body=body)
    return world


@pytest.fixture
def left(typed: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world with a rollout whose process died while the canary was judged."""

    def die() -> None:
        raise Killed

    monkeypatch.setattr(Session, "open", lambda _, service: typed.session(service))
    typed.at_time[34.0] = die
    with pytest.raises(Killed):
        cli.run(START)
    typed.pass_time(45)
    return typed


def annotate(world: Any, text: str | None) -> None:
    """Write the annotation as it is."""
    body = {"metadata": {"annotations": {STOP_THE_LINE: text}}}
    world.cluster.request("PATCH", FACTS, body=body, content_type=MERGE_PATCH)


def stops(world: Any) -> dict[str, Stop]:
    """Return what is stopped."""
    return read_stops(world.cluster.request("GET", FACTS))


def audited(world: Any) -> list[tuple[str, str, str]]:
    """Return action, subject and reason of every change that was made."""
    entries = [json.loads(line) for _, line in Segments(world.cluster).read()]
    return [(each["action"], each["subject"], each["why"]) for each in entries if each["phase"] == "after"]


class TestWhatHolds:
    def test_a_stop_of_everything_a_stop_of_the_service_and_a_freeze(self) -> None:
        """All that hold are named, each with when or how it ends."""
        found = list(findings("checkout", [LUNCH], {ALL: STOP, "checkout": STOP, "cart": STOP}, NOON))

        assert [(each.found, each.advice) for each in found] == [
            (
                "the line was stopped by anna@bridge at 2026-11-23T11:00:00+00:00: the payment provider is down",
                "wait for it, or run `quarterdeck rollout thaw` when that is over",
            ),
            (
                "the line was stopped by anna@bridge at 2026-11-23T11:00:00+00:00: the payment provider is down",
                "wait for it, or run `quarterdeck rollout thaw checkout` when that is over",
            ),
            ("the freeze 'lunch' (nobody is there) holds until Mon 2026-11-23 13:00 UTC", "wait for that"),
        ]
        assert all(each.refuses for each in found)

    def test_what_is_over_or_about_others_does_not_hold(self) -> None:
        """A stop with an end ends by itself."""
        over = Stop("anna@bridge", "2026-11-23T09:00:00+00:00", "a test", until="2026-11-23T12:00:00+00:00")
        others = LUNCH.model_copy(update={"services": ("cart",)})

        assert list(findings("checkout", [others], {ALL: over, "cart": STOP}, NOON)) == []
        assert over.holds(NOON - timedelta(seconds=1))

    def test_what_is_written_is_read_again(self) -> None:
        """And nothing is written where nothing is stopped."""
        facts = {"metadata": {"annotations": {STOP_THE_LINE: written({ALL: STOP})}}}

        assert read_stops(facts) == {ALL: STOP}
        assert written({}) is None
        assert read_stops({"metadata": {}}) == {}

    @pytest.mark.parametrize("until", ["2026-12-24T00:00:00", "tomorrow"])
    def test_a_stop_whose_end_cannot_be_read_refuses(self, until: str) -> None:
        """An end without a zone is no time; whoever is under way pauses as for any other stop."""
        with pytest.raises(RefusedError, match="stop-the-line"):
            read_stops({"metadata": {"annotations": {STOP_THE_LINE: written({ALL: replace(STOP, until=until)})}}})

    @pytest.mark.parametrize("text", ["stop!", "[]", '{"*": {"by": "anna"}}', '{"*": 1}'])
    def test_what_cannot_be_read_refuses(self, text: str) -> None:
        """Somebody wanted something stopped."""
        with pytest.raises(RefusedError, match="stop-the-line"):
            read_stops({"metadata": {"annotations": {STOP_THE_LINE: text}}})


class TestStoppingTheLine:
    def test_freeze_holds_every_start_until_thaw(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """Who and why are told to whoever is refused; both commands are audited."""
        assert cli.run(["rollout", "freeze", "--why", "the payment provider is down", "--yes"]) == 0
        assert "every service: the line was stopped by " in capsys.readouterr().out

        assert cli.run(START) == 4
        err = capsys.readouterr().err
        assert "the payment provider is down" in err
        assert "or run `quarterdeck rollout thaw` when that is over; or add --override REASON" in err
        assert typed.deployments() == ["checkout"]

        assert cli.run(["rollout", "thaw", "--why", "it is back", "--yes"]) == 0
        assert capsys.readouterr().out == "Nothing is stopped.\n"
        assert cli.run(START) == 0
        assert audited(typed)[:2] == [
            ("rollout: freeze", "environment local", "the payment provider is down"),
            ("rollout: thaw", "environment local", "it is back"),
        ]

    @pytest.mark.parametrize(
        ("line", "option"),
        [
            (["freeze", "--why"], "--why"),
            (["promote", "checkout", "--why"], "--why"),
            (["start", "checkout", "--image", V2, "--force"], "--force"),
            (["start", "checkout", "--image", V2, "--override"], "--override"),
            (["guard", "checkout", "--override"], "--override"),
            (["retry", "checkout", "--override"], "--override"),
        ],
    )
    @pytest.mark.parametrize("blank", ["", " \t"])
    def test_a_blank_reason_is_refused_before_a_cluster_is_asked(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        line: list[str],
        option: str,
        blank: str,
    ) -> None:
        """An empty one was once kept, and shown to whoever was refused."""
        asked: list[object] = []
        monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", lambda *given: asked.append(given))

        assert cli.run(["rollout", *line, blank]) == 2
        assert capsys.readouterr().err == (
            f"Error: Expected a reason for {option}.\nFound an empty one.\n"
            "Next: say why, for whoever is refused or looks back.\n"
        )
        assert asked == []

    def test_one_service_is_stopped_and_let_run_alone(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """With an end by itself; one that the catalogue does not have is a mistake."""
        assert cli.run(["rollout", "freeze", "chekout", "--why", "x", "--yes"]) == 2
        assert cli.run(["rollout", "freeze", "checkout", "--for", "later", "--why", "x", "--yes"]) == 2
        assert "Next: write `--for 90m`." in capsys.readouterr().err
        assert stops(typed) == {}

        assert cli.run(["rollout", "freeze", "--why", "all", "--yes"]) == 0
        assert cli.run(["rollout", "freeze", "checkout", "--for", "2h", "--why", "x", "--yes"]) == 0
        held = stops(typed)
        assert set(held) == {ALL, "checkout"}
        since, until = (datetime.fromisoformat(text) for text in (held["checkout"].since, held["checkout"].until))
        assert until - since == timedelta(hours=2)
        capsys.readouterr()
        assert cli.run(["rollout", "thaw", "checkout", "--yes"]) == 0
        assert set(stops(typed)) == {ALL}
        assert capsys.readouterr().out.startswith("every service: ")

    def test_status_says_what_is_held(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """Beside the data, as a message: also that nobody can read what was written."""
        annotate(typed, written({"checkout": STOP}))
        assert cli.run(["rollout", "status", "--output", "json"]) == 0
        out, err = capsys.readouterr()
        assert [each["service"] for each in json.loads(out)] == ["checkout"]
        assert err == f"checkout: {STOP}\n"

        annotate(typed, "nobody can read this")
        assert cli.run(["rollout", "status"]) == 0
        assert "Found 'nobody can read this'" in capsys.readouterr().err

    def test_an_override_is_audited_with_what_it_passes_by(self, typed: Any) -> None:
        """The fix for what the line was stopped for has to get through, to its end."""
        annotate(typed, written({ALL: STOP}))

        assert cli.run([*START, "--override", "the fix for the provider"]) == 0

        assert typed.images() == [V2] * 3
        first = json.loads(next(iter(Segments(typed.cluster).read()))[1])
        assert (first["action"], first["why"]) == ("rollout: override", "the fix for the provider")
        assert "the payment provider is down" in first["before"][0]

    def test_the_catalogues_freeze_refuses_too(
        self, typed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """By the clock of the zone it names."""
        today = datetime.fromtimestamp(typed.clock.now(), UTC)
        begins, ends = (f"{today + timedelta(days=days):%Y-%m-%d} 00:00" for days in (-1, 2))
        whole = f"\nfreezes:\n  - {{name: peak, begins: {begins}, ends: {ends}, time_zone: UTC}}\n"
        real = typed.session

        def session() -> Any:
            opened = real()
            facts = replace(opened.environment.facts, catalogue=opened.environment.facts.catalogue + whole)
            return replace(opened, environment=replace(opened.environment, facts=facts))

        monkeypatch.setattr(typed, "session", session)

        assert cli.run(START) == 4
        assert "the freeze 'peak' holds until" in capsys.readouterr().err

    def test_a_line_stopped_meanwhile_pauses_what_is_under_way(self, typed: Any) -> None:
        """It is judged on and not promoted; once the line runs again, it is."""
        seen: list[list[str]] = []
        typed.at_time[31.0] = lambda: annotate(typed, written({ALL: STOP}))
        typed.at_time[150.0] = lambda: seen.append(typed.images())
        typed.at_time[151.0] = lambda: annotate(typed, None)

        assert cli.run(START) == 0

        assert seen == [[V1, V1, V1, V2]]
        assert typed.images() == [V2] * 3

    @pytest.mark.parametrize("found", [[], [STOP]])
    def test_an_override_passes_by_only_what_it_was_given_for(self, typed: Any, found: list[Stop]) -> None:
        """A freeze that comes later, which nobody overrode, holds; the one there was does not."""
        if found:
            annotate(typed, written({ALL: STOP}))
        seen: list[list[str]] = []
        outage = replace(STOP, why="an outage")
        typed.at_time[33.0] = lambda: annotate(
            typed, written(dict.fromkeys((ALL, "checkout")[: 1 + len(found)], outage))
        )
        typed.at_time[150.0] = lambda: seen.append(typed.images())
        typed.at_time[151.0] = lambda: annotate(typed, written({ALL: STOP} if found else {}))

        assert cli.run([*START, "--override", "the fix for the provider"]) == 0

        assert seen == [[V1, V1, V1, V2]]
        assert typed.images() == [V2] * 3

    def test_what_nobody_runs_is_not_promoted_past_a_stopped_line(self, left: Any) -> None:
        """Whoever asks for it is held like everybody else, and a canary that fails goes back."""
        left.behave(V2, failing=0.5)
        annotate(left, written({ALL: STOP}))

        assert cli.run(["rollout", "promote", "checkout", "--why", "hurry", "--yes"]) == 1

        assert left.images() == [V1] * 3

    def test_what_is_asked_for_waits_for_the_line(self, left: Any) -> None:
        """It is promoted when the line runs again."""
        seen: list[list[str]] = []
        annotate(left, written({ALL: STOP}))
        left.at_time[150.0] = lambda: seen.append(left.images())
        left.at_time[151.0] = lambda: annotate(left, None)

        assert cli.run(["rollout", "promote", "checkout", "--why", "hurry", "--yes"]) == 0

        assert seen == [[V1, V1, V1, V2]]
        assert left.images() == [V2] * 3

    def test_one_gone_on_with_by_force_is_held(self, left: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """To pass the gate by is not to pass the stopped line by, which takes an override."""
        annotate(left, written({ALL: STOP}))

        assert cli.run([*START, "--force", "seen by hand"]) == 4
        assert "the payment provider is down" in capsys.readouterr().err.splitlines()[-2]
        assert left.images() == [V1, V1, V1, V2]

        assert cli.run([*START, "--force", "seen by hand", "--override", "the fix for the provider"]) == 0
        assert left.images() == [V2] * 3
        assert ("rollout: override", "Deployment shop/checkout", "the fix for the provider") in audited(left)

    def test_when_a_stop_ends_is_by_the_servers_clock(self, typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine whose clock is an hour behind sees it end when all others do."""
        ended = datetime.fromtimestamp(typed.clock.now() + 1800, UTC)
        annotate(typed, written({ALL: replace(STOP, until=ended.isoformat())}))
        assert set(typed.session().line().stops()) == {ALL}

        monkeypatch.setattr(type(typed.cluster), "skew", 3600.0)

        assert typed.session().line().stops() == {}

    def test_a_failing_canary_goes_back_while_the_line_is_stopped(self, typed: Any) -> None:
        """Going back is never held."""
        typed.behave(V2, failing=0.2)
        typed.at_time[31.0] = lambda: annotate(typed, "nobody can read this")

        assert cli.run(START) == 1
        assert typed.images() == [V1] * 3

    def test_an_update_that_somebody_began_is_guarded_in_a_freeze_too(self, typed: Any) -> None:
        """Unguarded it would go on all the same: it is said, and held until the line runs again."""
        annotate(typed, written({ALL: STOP}))
        typed.controllers.faults[V2] = "ContainerCreating"
        patch = promote_patch(typed.deployment(), V2)
        typed.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=patch, content_type=JSON_PATCH)

        (found,) = beginning.guarded(typed.session()).findings

        assert (found.guard, found.refuses) == ("freeze", False)

    def test_abort_and_undo_are_never_held(self, typed: Any) -> None:
        """They bring back what ran before."""
        assert cli.run(START) == 0
        annotate(typed, written({ALL: STOP}))

        assert cli.run(["rollout", "undo", "checkout", "--yes"]) == 0
        assert typed.images() == [V1] * 3


class TestWritingIt:
    def test_others_who_write_at_the_same_moment_lose_nothing(self, typed: Any) -> None:
        """The facts are read again, and the stop is added to what is there by then."""
        real, conflicts = typed.cluster.request, iter([True])

        def request(method: str, where: str, **options: Any) -> Any:
            if method == "PATCH" and where == FACTS and next(conflicts, False):
                annotate(typed, written({"cart": STOP}))
                raise ApiError(409, "Conflict", "the object has been modified")
            return real(method, where, **options)

        typed.cluster.request = request

        assert cli.run(["rollout", "freeze", "checkout", "--why", "x", "--yes"]) == 0
        assert set(stops(typed)) == {"cart", "checkout"}

    def test_a_lost_answer_is_read_back_before_it_is_sent_again(self, typed: Any) -> None:
        """It was carried out: nothing is sent twice."""
        real, sent = typed.cluster.request, []

        def request(method: str, where: str, **options: Any) -> Any:
            answer = real(method, where, **options)
            if method == "PATCH" and where == FACTS:
                sent.append(options["body"])
                raise UnreachableError("an answer", "none", "look")
            return answer

        typed.cluster.request = request

        assert cli.run(["rollout", "freeze", "--why", "x", "--yes"]) == 0
        assert len(sent) == 1
        assert set(stops(typed)) == {ALL}

    def test_facts_that_never_stand_still_are_refused(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """And the log says that it was not done."""
        real = typed.cluster.request

        def request(method: str, where: str, **options: Any) -> Any:
            if method == "PATCH" and where == FACTS:
                raise ApiError(409, "Conflict", "the object has been modified")
            return real(method, where, **options)

        typed.cluster.request = request

        assert cli.run(["rollout", "freeze", "--why", "x", "--yes"]) == 4
        assert "5 changes by others" in capsys.readouterr().err
        entries = [json.loads(line) for _, line in Segments(typed.cluster).read()]
        assert entries[-1]["outcome"] == "failed: 5 changes by others"
