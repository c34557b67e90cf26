"""Services that are rolled out together go in their order, and come back in reverse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_scripts.rollout.steps.actions import Outcome, Situation
from quarterdeck_scripts.rollout.steps.state import Direction, Ending, State
from quarterdeck_scripts.rollout.steps.train import (
    Finish,
    Member,
    RollOut,
    TakeBack,
    members_of,
    order,
    parse,
    run,
    under_way,
)

CALLS = {"web": ["checkout"], "checkout": ["cart", "payments"], "cart": ["payments"], "payments": []}

MEMBERS = (Member("payments", "p:v2"), Member("checkout", "c:v2"), Member("web", "w:v2"))

STATE = State("id", "uid", "p:v2", "p:v1", "anna@bridge", "2026-11-22T10:00:00+00:00", train=tuple(map(str, MEMBERS)))


def test_what_is_called_comes_first() -> None:
    """Also through services that are not rolled out."""
    assert order(["web", "checkout", "payments"], CALLS) == ("payments", "checkout", "web")
    assert order(["web", "payments"], CALLS) == ("payments", "web")


def test_services_that_do_not_call_each_other_keep_the_order_given() -> None:
    """Nothing else is known of them."""
    assert order(["b", "a", "c"], {}) == ("b", "a", "c")


def test_what_is_said_outweighs_the_catalogue() -> None:
    """Whoever adds a field reads it first; whoever removes one, last."""
    assert order(["payments", "checkout"], CALLS, ["payments=checkout"]) == ("checkout", "payments")


def test_services_that_call_each_other_need_to_be_told() -> None:
    """The circle is named, and the option that opens it."""
    calls = {"a": ["b"], "b": ["a"]}

    with pytest.raises(RefusedError, match=r"a circle: (a calls b calls a|b calls a calls b)"):
        order(["a", "b"], calls)
    assert order(["a", "b"], calls, ["a=b"]) == ("b", "a")


@pytest.mark.parametrize("after", ["a", "a=a", "a=z", "=a"])
def test_an_order_of_services_that_are_not_there_is_refused(after: str) -> None:
    """It is a slip of the keyboard."""
    with pytest.raises(UsageError, match="two of a, b"):
        order(["a", "b"], {}, [after])


def test_each_service_has_its_image() -> None:
    """One service needs no name; several do."""
    assert parse(["c:v2"], ["checkout"]) == (Member("checkout", "c:v2"),)
    assert parse(["b=b:v2", "a=a:v2"], ["a", "b"]) == (Member("b", "b:v2"), Member("a", "a:v2"))


@pytest.mark.parametrize("images", [["a:v2"], ["a=a:v2"], ["a:v2", "b:v2"], ["a=a:v2", "a=a:v3"], ["a=a:v2", "c=c:v2"]])
def test_images_that_do_not_fit_are_refused(images: list[str]) -> None:
    """One for each service named, no more and no less."""
    with pytest.raises(UsageError, match="one image for each of a, b"):
        parse(images, ["a", "b"])


def test_members_are_read_back_from_a_state() -> None:
    """Whoever goes on needs no command line of whoever began."""
    assert members_of(STATE.train) == MEMBERS


def walk(states: dict[str, State | None], outcomes: list[Outcome]) -> tuple[list[Any], Outcome]:
    """Run the train, answering each roll-out with the next of *outcomes*."""
    steps, waiting, taken = run(MEMBERS, states), list(outcomes), []
    step = next(steps)
    while True:
        taken.append(step)
        try:
            step = steps.send(waiting.pop(0) if isinstance(step, RollOut) else None)
        except StopIteration as stop:
            assert waiting == []
            return taken, stop.value


GOOD = Outcome(Ending.PROMOTED, "it passed.")
BAD = Outcome(Ending.INCONCLUSIVE, "nobody came.")


def test_all_are_rolled_out_and_then_finished() -> None:
    """Their states go at the very end."""
    taken, outcome = walk({}, [GOOD, GOOD, GOOD])

    assert taken == [*map(RollOut, MEMBERS), *map(Finish, MEMBERS)]
    assert outcome == Outcome(Ending.PROMOTED, "payments: it passed. checkout: it passed. web: it passed.")


def test_one_that_fails_takes_all_back_in_reverse() -> None:
    """What had not begun is not rolled out any more."""
    taken, outcome = walk({}, [GOOD, BAD])

    back = Outcome(Ending.ROLLED_BACK, "rolled out together with what was inconclusive. checkout: nobody came.")
    assert taken == [
        *map(RollOut, MEMBERS[:2]),
        *(TakeBack(member, back) for member in reversed(MEMBERS)),
        *map(Finish, MEMBERS),
    ]
    assert outcome == Outcome(Ending.INCONCLUSIVE, "checkout: nobody came.")


@pytest.mark.parametrize("others", [{}, {"payments": replace(STATE, direction=Direction.FORWARD)}])
def test_a_train_that_was_going_back_goes_on_going_back(others: dict[str, State | None]) -> None:
    """A decision made before a kill stands, whichever of them it had reached."""
    back = replace(STATE, direction=Direction.BACK, ending=Ending.ROLLED_BACK, reason="it failed.")

    taken, outcome = walk({**others, "checkout": back}, [])

    assert [type(step) for step in taken] == [TakeBack] * 3 + [Finish] * 3
    assert outcome == Outcome(Ending.ROLLED_BACK, "checkout: it failed.")


def test_a_train_that_was_killed_on_its_way_goes_on() -> None:
    """What was promoted is passed through again: it has only to be seen to hold."""
    taken, _ = walk({"payments": replace(STATE, direction=Direction.FORWARD)}, [GOOD, GOOD, GOOD])

    assert taken[:3] == [*map(RollOut, MEMBERS)]


def situation(state: State | None = None, stable: str = "v1") -> Situation:
    """Return what is seen of a service."""
    return Situation(state=state, stable_image=stable, stable_settled=True, canary_image=None)


def test_a_train_under_way_is_found_whole_by_any_of_its_services() -> None:
    """Also by a command line that names another one, which has its version already."""
    seen = {"checkout": situation(STATE), "ui": situation(stable="ui:v2")}

    assert under_way((Member("checkout", "c:v2"), Member("ui", "ui:v2")), seen) == MEMBERS
    assert under_way((Member("ui", "ui:v2"),), {"ui": situation(stable="ui:v1")}) == ()


@pytest.mark.parametrize("asked", [Member("ui", "ui:v3"), Member("payments", "p:v3")])
def test_another_rollout_does_not_join_a_train(asked: Member) -> None:
    """Neither another service nor another version of one of its own."""
    seen = {"checkout": situation(STATE), asked.service: situation(stable="p:v1")}

    with pytest.raises(RefusedError, match=r"one of payments=p:v2 checkout=c:v2 web=w:v2"):
        under_way((Member("checkout", "c:v2"), asked), seen)


def test_two_trains_are_not_one() -> None:
    """Each goes its own way."""
    other = replace(STATE, train=("ui=ui:v2", "web=w:v2"))

    with pytest.raises(RefusedError, match="no other rollout"):
        under_way((), {"checkout": situation(STATE), "ui": situation(other)})
