"""Several services rolled out one after the other, what is called before who calls it: all of them, or none. Pure.

Each keeps its state until all have come to their end, so whoever goes on after a kill reads from the states alone
where the train stands: as long as any of them goes back, all of them do.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError, UsageError
from quarterdeck_scripts.rollout.steps.actions import Outcome
from quarterdeck_scripts.rollout.steps.state import Direction, Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quarterdeck_scripts.rollout.steps.actions import Situation
    from quarterdeck_scripts.rollout.steps.state import State


@dataclass(frozen=True, slots=True)
class Member:
    """One service of a train, and the version it is to have."""

    service: str
    image: str

    def __str__(self) -> str:
        return f"{self.service}={self.image}"


def members_of(train: Iterable[str]) -> tuple[Member, ...]:
    """Return the members that a state's `train` names, in their order."""
    return tuple(Member(*text.split("=", 1)) for text in train)


def parse(images: Sequence[str], services: Sequence[str]) -> tuple[Member, ...]:
    """Return what a command line asks for.

    Args:
        images: `SERVICE=IMAGE` each; the image alone where there is one service.
        services: as named on the command line.

    Raises:
        UsageError: a service without an image, an image of another service, or one given twice.
    """
    given = [image.split("=", 1) if "=" in image else [*services[:1], image] for image in images]
    named = [service for service, _ in given]
    if sorted(named) != sorted(services) or (len(services) > 1 and any("=" not in image for image in images)):
        raise UsageError(
            f"one image for each of {', '.join(services)}",
            " ".join(f"--image {image}" for image in images),
            "give --image IMAGE for one service, --image SERVICE=IMAGE for each of several",
        )
    return tuple(Member(service, image) for service, image in given)


def under_way(asked: Sequence[Member], situations: Mapping[str, Situation]) -> tuple[Member, ...]:
    """Return the train that some of *asked* belong to by their states, whole and in its order; empty if there is none.

    Raises:
        RefusedError: they belong to several, or one of them is no part of it and has not the version asked for.
    """
    trains = {situation.state.train for situation in situations.values() if situation.state and situation.state.train}
    members = members_of(next(iter(trains), ()))
    strangers = [str(each) for each in asked if each not in members and not runs_already(each, situations)]
    if len(trains) > 1 or (trains and strangers):
        others = "; ".join(" ".join(train) for train in sorted(trains))
        raise RefusedError(
            f"no other rollout of {', '.join(each.service for each in asked)} under way",
            f"one of {others}",
            f"go on with it (`quarterdeck rollout resume {members[0].service}`), or put it back "
            f"(`quarterdeck rollout abort {members[0].service}`)",
        )
    return members


def runs_already(member: Member, situations: Mapping[str, Situation]) -> bool:
    """Return whether a service has its version, and no rollout of it is under way."""
    situation = situations[member.service]
    noted = situation.state is not None or situation.unusable
    return not noted and situation.canary_image is None and situation.stable_image == member.image


def order(services: Sequence[str], calls: Mapping[str, Iterable[str]], after: Iterable[str] = ()) -> tuple[str, ...]:
    """Return *services* in the order in which they are rolled out: what is called before who calls it.

    >>> order(["checkout", "payments"], {"checkout": ["cart"], "cart": ["payments"]})
    ('payments', 'checkout')

    Args:
        services: those to be rolled out; the order given is kept where nothing else is said.
        calls: each service of the catalogue with the names of what it calls.
        after: `LATER=EARLIER` each; said so, it outweighs the catalogue.

    Raises:
        UsageError: *after* names a service that is not among them.
        RefusedError: each of some services would have to come before the other.
    """
    needs = {service: _reached(service, calls) & set(services) - {service} for service in services}
    for text in after:
        later, _, earlier = text.partition("=")
        if {later, earlier} - set(services) or later == earlier:
            raise UsageError(
                f"--after LATER=EARLIER, two of {', '.join(services)}", repr(text), "name two services of this command"
            )
        needs[later].add(earlier)
        needs[earlier].discard(later)
    try:
        return tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = [str(service) for service in reversed(error.args[1])]
        raise RefusedError(
            "an order in which what is called comes before who calls it",
            f"a circle: {' calls '.join(circle)}",
            f"say which comes first: --after {circle[0]}={circle[1]} is {circle[1]} first",
        ) from error


def _reached(service: str, calls: Mapping[str, Iterable[str]]) -> set[str]:
    """Return what *service* calls, directly or through others."""
    reached: set[str] = set()
    ahead = list(calls.get(service, ()))
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += calls.get(name, ())
    return reached


@dataclass(frozen=True, slots=True)
class RollOut:
    """Roll a member out, or go on with that. Answered with its Outcome, or its refusal is thrown in."""

    member: Member


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Put a member back, if it was begun. Answered with nothing."""

    member: Member
    outcome: Outcome
    """How its rollout is to end."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Clear a member's state, if it has one. Answered with nothing."""

    member: Member


Step = RollOut | TakeBack | Finish

Steps = Generator[Step, Outcome | None, Outcome]
"""Yields steps, is sent what each is answered with; returns how the train ended."""


def run(members: Sequence[Member], states: Mapping[str, State | None]) -> Steps:
    """Walk a train to its end, from wherever it stands.

    Args:
        members: in their order.
        states: of the members that have one, by service.
    """
    ending = _goes_back(members, states)
    reasons: list[str] = []
    for member in members if ending is None else ():
        try:
            outcome = yield RollOut(member)
        except RefusedError as refused:
            if not reasons and not any(states.get(other.service) for other in members if other != member):
                raise  # none of the others is begun
            outcome = Outcome(Ending.INCONCLUSIVE, f"refused: expected {refused.expected}, found {refused.found}.")
        assert outcome is not None  # noqa: S101 -- a bug of the loop, not an input
        if outcome.ending is not Ending.PROMOTED:
            ending = Outcome(outcome.ending, f"{member.service}: {outcome.reason}")
            break
        reasons.append(f"{member.service}: {outcome.reason}")
    if ending is not None:
        reason = f"rolled out together with what was {ending.ending}. {ending.reason}"
        return (yield from take_back(members, Outcome(Ending.ROLLED_BACK, reason), ending))
    return (yield from finish(members, Outcome(Ending.PROMOTED, " ".join(reasons))))


def finish(members: Sequence[Member], outcome: Outcome) -> Steps:
    """Clear what is noted of a train, all of which has come to its end, with *outcome*."""
    for member in members:
        yield Finish(member)
    return outcome


def is_promoted(members: Sequence[Member], situations: Mapping[str, Situation]) -> bool:
    """Return whether a train is promoted and some of its states are cleared already: it can only be finished.

    Whose state is gone could not be put back with the others.
    """
    cleared = [runs_already(member, situations) for member in members]
    return any(cleared) and all(
        done or _has_arrived(situations[member.service]) for done, member in zip(cleared, members, strict=True)
    )


def _has_arrived(situation: Situation) -> bool:
    state = situation.state
    forward = state is not None and state.direction is Direction.FORWARD and situation.stable_image == state.image
    return forward and situation.canary_image is None


def take_back(members: Sequence[Member], outcome: Outcome, ending: Outcome | None = None) -> Steps:
    """Put every member back that was begun, the last one first.

    Args:
        members: in their order.
        outcome: how the rollouts end that are not going back already.
        ending: how the train ends; as *outcome* says, unless given.
    """
    for member in reversed(members):
        yield TakeBack(member, outcome)
    return (yield from finish(members, ending or outcome))


def _goes_back(members: Sequence[Member], states: Mapping[str, State | None]) -> Outcome | None:
    """Return why the train goes back, if any of it does: the last one's reason, which is the first that was noted."""
    for member in reversed(members):
        state = states.get(member.service)
        if state is not None and state.direction is Direction.BACK:
            return Outcome(state.ending or Ending.ROLLED_BACK, f"{member.service}: {state.reason}")
    return None
