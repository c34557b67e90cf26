"""What a measurer was told is kept without loss, and told again leads to the same record, byte for byte."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_scripts.kube.client import UnreachableError
from quarterdeck_scripts.ports import Answer, AnswerError, FakePrometheus, Series
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.tape import Player, Tape, Taping

if TYPE_CHECKING:
    from collections.abc import Sequence

PODS = [PodFact("c", "canary", ready=True, born_during=True), PodFact("s", "stable", ready=True, born_during=False)]


def taped(answers: Sequence[Answer | UnreachableError]) -> tuple[Tape, list[str]]:
    """Return a tape of a look for every answer, and what was answered then."""
    tape, heard = Tape(), []
    tape.begin("v2")
    waiting = iter(answers)

    def answer(promql: str, at: float | None) -> Answer:
        del promql, at
        given = next(waiting)
        if isinstance(given, UnreachableError):
            raise given
        return given

    prometheus = Taping(FakePrometheus(answer), tape)
    for number in range(len(answers)):
        tape.look(PODS[: number % 3])
        heard.append(told(prometheus, float(number)))
    return tape, heard


def told(prometheus: Taping | Player, at: float) -> str:
    """Return what *prometheus* answers, NaN and kind of error included."""
    try:
        return repr(prometheus.query("x[1m]", at=at))
    except QuarterdeckError as error:
        return f"no answer: {error.found}"


def played(packed: bytes) -> tuple[list[list[PodFact]], list[str]]:
    """Return the pods of every look on a tape, and what was answered."""
    player = Player(packed)
    pods, heard = [], []
    for number, each in enumerate(player.looks()):
        pods.append(each)
        heard.append(told(player, float(number)))
    assert player.version == "v2"
    assert player.strayed == ""
    return pods, heard


samples = st.lists(st.tuples(st.floats(0, 9), st.floats()), max_size=5).map(tuple)
series = st.builds(Series, st.dictionaries(st.sampled_from(["pod", "le"]), st.sampled_from(["a", "b"])), samples)
answers = st.builds(
    Answer, st.lists(series, max_size=4).map(tuple), st.lists(st.text(max_size=3), max_size=1).map(tuple)
)
errors = st.text(max_size=5).map(lambda found: UnreachableError("an answer", found, "wait"))


@given(st.lists(answers | errors, max_size=6))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_was_answered_is_answered_again(given: list[Answer | UnreachableError]) -> None:
    """Series that come twice, out of order, with NaN or without samples, warnings, errors: nothing is lost."""
    tape, heard = taped(given)

    assert played(tape.packed()) == ([PODS[: number % 3] for number in range(len(given))], heard)


def test_what_was_known_is_not_written_again() -> None:
    """Five samples reach back over the last question; one is new, so one is written."""

    def window(now: int) -> Answer:
        return Answer((Series({"pod": "c"}, tuple((float(n), 7.25 * n) for n in range(now - 5, now))),))

    tape, heard = taped([window(now) for now in range(10, 13)])

    lines = gzip.decompress(tape.packed()).decode().splitlines()
    assert [line for line in lines if '"series"' in line][1:] == [
        '{"asked":"x[1m]","at":1.0,"series":[[0,1,[[10.0,72.5]]]],"warnings":[]}',
        '{"asked":"x[1m]","at":2.0,"series":[[0,1,[[11.0,79.75]]]],"warnings":[]}',
    ]
    assert played(tape.packed())[1] == heard


def test_a_value_that_changed_its_past_is_written_whole() -> None:
    """Two servers behind one address may disagree; what was said is what is kept."""
    before = Answer((Series({"pod": "c"}, ((1.0, 1.0), (2.0, 2.0))),))
    after = Answer((Series({"pod": "c"}, ((1.0, 1.0), (2.0, 3.0), (3.0, math.inf))),))

    tape, heard = taped([before, after])

    assert played(tape.packed())[1] == heard


def record() -> RolloutRecord:
    """Return a record to measure into, with a scrape every 10 s since 1000."""
    return RolloutRecord(
        *("id", "checkout", "shop", "local", "uid", "x:v2", "x:v1", "anna", 1000.0, 10.0, 600.0),
        Criteria(),
        (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25)),
        since=1000.0,
    )


def service(promql: str, now: float) -> Answer:
    """Answer as the Prometheus of a service with a failing canary."""
    if promql == "time()":
        return Answer((Series({}, ((now, now),)),))
    found = []
    for pod, first in (("c", 1010.0), ("s", 960.0)):
        labels = {"pod": pod, "track": "canary" if pod == "c" else "stable", "version": "v2" if pod == "c" else "v1"}
        times = [first + 10 * n for n in range(int((now - first) // 10) + 1) if first + 10 * n > now - 50]
        if promql.startswith("quarterdeck_build_info"):
            found.append(Series(labels, tuple((time, 1.0) for time in times)))
            continue
        for status, bound, rate in (("200", "+Inf", 50.0), ("200", "0.25", 49.0), ("500", "+Inf", float(pod == "c"))):
            counted = tuple((time, rate * ((time - first) // 10 + 1)) for time in times)
            found.append(Series({**labels, "http_response_status_code": status, "le": bound}, counted))
    return Answer(tuple(found))


def test_a_rollout_is_judged_again_to_the_byte() -> None:
    """A FAIL with an outage of Prometheus in between: the record made from the tape is the record that was made."""
    now = 1000.0

    def answer(promql: str, at: float | None) -> Answer:
        del at
        if 1060 <= now <= 1080:
            raise UnreachableError("an answer", "connection refused", "wait")
        return service(promql, now)

    made, tape = record(), Tape()
    measurer = Measurer(FakePrometheus(answer), made, version="v2", tape=tape)
    for _ in range(40):
        now += 10
        measurer.look(PODS)

    again, player = record(), Player(tape.packed())
    second = Measurer(player, again, version=player.version)
    for pods in player.looks():
        second.look(pods)

    assert '"verdict": "FAIL"' in made.to_json()
    assert "connection refused" in made.to_json()
    assert again.to_json() == made.to_json()
    assert player.strayed == ""


def test_a_second_measurer_begins_anew() -> None:
    """As its record does: traffic that is weighed step by step is judged anew at each."""
    tape, _ = taped([Answer((Series({"pod": "c"}, ((1.0, 1.0),)),))] * 3)
    tape.begin("v3")
    tape.look([])

    player = Player(tape.packed())
    assert (player.version, list(player.looks()), tape.looks) == ("v3", [[]], 1)


def test_a_question_that_was_not_asked_then_has_no_answer() -> None:
    """Another version may ask differently; it is told so, and judges nothing."""
    tape, _ = taped([Answer(())])
    player = Player(tape.packed())
    for _ in player.looks():
        with pytest.raises(AnswerError, match="on the tape"):
            player.query("y[1m]", at=0.0)

    assert player.strayed == "y[1m]"


def test_nothing_is_answered_after_a_question_that_was_not_asked_then() -> None:
    """It may build on an answer that nobody heard."""
    tape, _ = taped([Answer((Series({"pod": "c"}, ((1.0, 1.0),)),))] * 2)
    player = Player(tape.packed())
    looks = player.looks()
    next(looks)
    assert told(player, 99.0).startswith("no answer")
    next(looks)

    assert told(player, 1.0) == "no answer: 'x[1m]'"


def test_a_tape_ends_at_its_size() -> None:
    """It says that it is full, and grows no more."""
    tape = Tape(most=10_000)
    tape.begin("v2")
    size = 0
    for number in range(3000):
        values = tuple((n * 1.0, math.sin(number * 100 + n)) for n in range(100))
        tape.answered("x[1m]", 1.0, Answer((Series({"n": str(number)}, values),)))
        if tape.full:
            size = size or len(tape.packed())

    assert tape.full
    assert len(tape.packed()) == size < 400_000


@pytest.mark.parametrize(
    "packed",
    [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"{"), gzip.compress(b'{"format": 0}')],
    ids=["nothing", "no-gzip", "an-empty-file", "no-json", "another-format"],
)
def test_what_is_no_tape_is_refused(packed: bytes) -> None:
    """Nothing, something else, an empty one, a broken one, one of another format."""
    with pytest.raises(UsageError, match="a tape of format 1"):
        Player(packed)


@pytest.mark.parametrize(
    "line",
    [
        b'{"pods": [{"of": "tomorrow"}]}',
        b'{"pods": [{"of": "tomorrow"}]}\n{"asked": "x[1m]", "at": 0.0}',
    ],
)
def test_a_pod_of_another_version_is_refused(line: bytes) -> None:
    """What it does not know it does not judge."""
    with pytest.raises(UsageError, match="TypeError"):
        list(Player(gzip.compress(b'{"format": 1, "version": "v2"}\n' + line)).looks())


@pytest.mark.parametrize(
    "rest", [b'"series": [[7, 0, []]], "warnings": []', b'"series": []', b'"series": [[{}, [[1]]]]']
)
def test_an_answer_that_was_changed_is_none(rest: bytes) -> None:
    """It is said which question has none."""
    lines = b'{"format": 1, "version": "v2"}\n{"pods": []}\n{"asked": "x[1m]", "at": 0.0, ' + rest + b"}"
    player = Player(gzip.compress(lines))
    next(player.looks())

    assert told(player, 0.0).startswith("no answer")
    assert player.strayed == "x[1m]"


def test_a_tape_that_was_cut_is_refused() -> None:
    """Half a tape would be another rollout."""
    tape, _ = taped([Answer(()), Answer(())])

    with pytest.raises(UsageError, match="EOFError"):
        list(Player(tape.packed()[:-20]).looks())


def test_the_same_looks_are_the_same_bytes() -> None:
    """No time of day is in a tape, and reading it does not change it."""
    (one, _), (other, _) = taped([Answer(())]), taped([Answer(())])

    assert one.packed() == one.packed() == other.packed()
