"""Ten thousand spoiled answers, and not one PASS."""

from __future__ import annotations

import random as random_
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.scripts_rollout.spoiled import CLOCK, ESSENTIAL, FAULTS, Rollout, Service, arrived, whole

from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOKS = 7
"""In each rollout; a healthy canary passes at the fourth."""

ANSWERS = 10_000

SEED = 20_261_123


class Spoiler:
    """Lets answers arrive whole, or spoiled while it is told to."""

    def __init__(self, random: random_.Random) -> None:
        self._random = random
        self.faults: list[str] = []
        """What befell the answers of the present look."""
        self.questions: frozenset[str] = frozenset()
        """Those whose answers are spoiled."""

    def arrive(self, promql: str, document: dict[str, Any]) -> tuple[int, bytes]:
        """Return what arrives."""
        if any(promql.startswith(question) for question in self.questions):
            fault, what = "silence", None
            try:
                fault, what = arrived(self._random, promql, document)
            finally:
                self.faults.append(fault)
            assert what is not None
            return what
        return whole(promql, document)


def some(random: random_.Random) -> frozenset[str]:
    """Return at least one of the questions that every look needs an answer to."""
    return frozenset(random.sample(ESSENTIAL, random.randint(1, len(ESSENTIAL))))


def test_the_control_passes() -> None:
    """Unspoiled, the same answers make a healthy canary PASS at the first look that may, and a bad one FAIL."""
    services = (Service(), Service(failing=0.05), Service(slow=0.05))
    healthy, failing, slow = (Rollout(service, whole) for service in services)

    assert [healthy.look().verdict for _ in range(4)] == [*3 * [Verdict.INCONCLUSIVE], Verdict.PASS]
    assert failing.look().verdict is Verdict.INCONCLUSIVE
    assert failing.look().verdict is Verdict.FAIL
    assert Verdict.FAIL in {slow.look().verdict for _ in range(LOOKS)}


def healthy_rollouts(random: random_.Random) -> Iterator[tuple[list[str], Verdict]]:
    """Yield, of healthy canaries without end, what befell each look's answers from the third on, and its verdict."""
    while True:
        spoiler = Spoiler(random)
        rollout = Rollout(Service(), spoiler.arrive)
        for number in range(1, LOOKS + 1):
            spoiler.faults = []
            spoiler.questions = some(random) if number > 2 or random.random() < 0.2 else frozenset()
            yield spoiler.faults, rollout.look().verdict


def test_no_spoiled_answer_of_a_healthy_canary_makes_it_pass() -> None:
    """All else is well and enough has been seen: as long as one answer is spoiled, there is no PASS."""
    random = random_.Random(SEED)  # noqa: S311 -- a fixed seed is what is wanted
    befell: Counter[str] = Counter()
    for faults, verdict in healthy_rollouts(random):
        befell.update(faults)
        assert verdict is not Verdict.PASS or not faults, faults
        if befell.total() >= ANSWERS:
            break

    names = {fault.__name__ for each in FAULTS.values() for fault in each} - {"_silence"} | {"silence"}
    assert set(befell) == names
    assert min(befell.values()) > ANSWERS / 200


@pytest.mark.parametrize(("failing", "slow"), [(0.05, 0.0), (0.0, 0.05), (0.02, 0.02)])
def test_no_spoiled_answer_hides_a_bad_canary(failing: float, slow: float) -> None:
    """Whatever befalls any of its answers, in whichever order, pods restarting meanwhile: it never passes."""
    random = random_.Random(SEED)  # noqa: S311 -- a fixed seed is what is wanted
    verdicts: Counter[Verdict] = Counter()
    for _ in range(150):
        spoiler = Spoiler(random)
        restarts = {"canary-1": 1000.0 + random.uniform(10, 60)} if random.random() < 0.5 else {}
        rollout = Rollout(Service(failing, slow, restarts), spoiler.arrive)
        for _ in range(LOOKS):
            spoiler.questions = some(random) if random.random() < 0.5 else frozenset()
            verdicts[rollout.look().verdict] += 1

    assert verdicts[Verdict.PASS] == 0
    assert verdicts[Verdict.FAIL] > 0


def test_spoiled_gauges_are_no_failure() -> None:
    """What guards ask for is no evidence for a canary: whatever is answered, the look is made."""
    random = random_.Random(SEED)  # noqa: S311 -- a fixed seed is what is wanted

    def arrive(promql: str, document: dict[str, Any]) -> tuple[int, bytes]:
        if any(promql.startswith(question) for question in ESSENTIAL):
            return whole(promql, document)
        kind = random.choice(("matrix", "vector"))
        sample = [random.choice((0, 1e9, 1e18)), random.choice(("NaN", "+Inf", "-1", "0", "1e300", "x"))]
        value = {"values": [sample]} if kind == "matrix" else {"value": sample}
        result = [{"metric": {"pod": random.choice(("canary-1", "stable-1", ""))}, **value} for _ in range(3)]
        return whole(promql, {"status": "success", "data": {"resultType": kind, "result": result}})

    rollout = Rollout(Service(), arrive)

    assert [rollout.look().verdict for _ in range(20)][3] is Verdict.PASS
    assert "NaN" not in rollout.record.to_json()


def test_a_clock_that_goes_back_brings_nothing_new() -> None:
    """Another Prometheus behind the same address may be behind: what it says was counted before."""
    asked = 0

    def arrive(promql: str, document: dict[str, Any]) -> tuple[int, bytes]:
        nonlocal asked
        asked += promql == CLOCK
        if promql == CLOCK and asked == 3:
            now = document["data"]["result"][0] - 15
            document["data"]["result"] = [now, str(now)]
        return whole(promql, document)

    rollout = Rollout(Service(failing=0.001), arrive)
    for _ in range(4):
        rollout.look()

    assert rollout.record.readings[-1].causes == ()
    assert rollout.record.readings[-1].tallies[0].canary.requests == 8000
