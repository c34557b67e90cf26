"""What a rollout's flow may ask for, and what it is told: plain data, compared in tests.

Every action is idempotent. It says what is wanted, and carrying it out reads first: done already is done. Its `title`
is what a person is shown.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.judge.verdict import Assessment
    from quarterdeck_scripts.rollout.steps.asks import Ask
    from quarterdeck_scripts.rollout.steps.state import Ending, State


class Side(enum.StrEnum):
    """Which pods are meant, and the Deployment that has them where they have one of their own."""

    STABLE = "stable"
    CANARY = "canary"
    """The new version's."""
    BASELINE = "baseline"
    """Fresh ones of the stable version, which the canary is compared with."""


@dataclass(frozen=True, slots=True)
class AcquireLock:
    """Take the service's lock, or be refused naming its holder. Answered with nothing."""

    title = "Take the rollout's lock"


@dataclass(frozen=True, slots=True)
class ReleaseLock:
    """Give the lock back. Answered with nothing."""

    title = "Give the lock back"


@dataclass(frozen=True, slots=True)
class Inspect:
    """Look at the cluster. Answered with a Situation."""

    any_state: bool = False
    """Leave out a state that cannot be used, where none is needed."""

    title = "Look at the cluster"


@dataclass(frozen=True, slots=True)
class KeepConfiguration:
    """Copy the ConfigMaps that the stable version reads, before anything changes. Answered with nothing."""

    title = "Keep copies of the configuration"


@dataclass(frozen=True, slots=True)
class SaveState:
    """Write the state beside the stable Deployment, before what it announces is done.

    Answered with nothing; or, where it would go forward, with the pause that was asked for meanwhile: nothing was
    written then.
    """

    state: State

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Note in the cluster: {self.state.direction}"


@dataclass(frozen=True, slots=True)
class ClearState:
    """Take the state away: the rollout is over. Answered with nothing."""

    title = "Clear the note in the cluster"


@dataclass(frozen=True, slots=True)
class CreateCanary:
    """Run *replicas* pods of *image* beside the stable version. Answered with nothing."""

    image: str
    replicas: int
    side: Side = Side.CANARY
    """The canary, or the baseline it is compared with."""

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Create the {self.side}: {self.replicas} of {self.image}"


@dataclass(frozen=True, slots=True)
class Fence:
    """Let the Service lead to the stable pods alone, if it leads to all. Answered with nothing."""

    title = "Keep requests with the stable pods"


@dataclass(frozen=True, slots=True)
class Direct:
    """Let a fenced Service lead to the pods of one *side* alone, or to all (None). Answered with nothing.

    One that leads to all already has been opened again, and stays so.
    """

    side: Side | None

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Send requests to the {self.side} pods" if self.side else "Let the Service lead where it led before"


@dataclass(frozen=True, slots=True)
class Weigh:
    """Let the canary have *percent* of what the service's routes send it; 0: as it was before.

    Answered with the percent it has then.
    """

    percent: int
    unless_more: bool = False
    """Leave it where it is if it has more already."""

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Send {self.percent} % of the requests to the canary" if self.percent else "Put the routes back"


@dataclass(frozen=True, slots=True)
class Hold:
    """Begin the workload's own update to *image*, and hold it at its first *pods*. Answered with nothing."""

    image: str
    pods: int

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Begin the update: {self.pods} of {self.image}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Keep a held update as it is, now that its first pods are there. Answered with nothing."""

    title = "Hold the update there"


@dataclass(frozen=True, slots=True)
class WaitReady:
    """Wait until a Deployment is done, at most *within* seconds. Answered with a Waited."""

    side: Side
    within: float

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Wait until the {self.side} pods are Ready"


@dataclass(frozen=True, slots=True)
class Measure:
    """Count, and judge. Answered with a Look."""

    title = "Judge the canary"


@dataclass(frozen=True, slots=True)
class Foresee:
    """Work out what a canary with *percent* of the requests would cost if it failed completely.

    Answered with why the error budget would not bear that; nothing where it would, or where nobody knows.
    """

    percent: int

    title = "Judge the canary"


@dataclass(frozen=True, slots=True)
class Pause:
    """Let *seconds* pass. Answered with nothing."""

    seconds: float

    @property
    def title(self) -> str:
        """The same as of Measure: looking and pausing are one step to a person."""
        return "Judge the canary"


@dataclass(frozen=True, slots=True)
class Promote:
    """Make *image* the stable version. Answered with nothing."""

    image: str

    @property
    def title(self) -> str:
        """What a person is shown."""
        return f"Promote {self.image}"


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """Keep what the cluster has before pods are taken away. Answered with nothing; never fails."""

    moment: str
    """Before what, in a word."""

    title = "Keep the evidence"


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """Remove the canary and its baseline, and wait until their pods are gone or going. Answered with nothing."""

    title = "Remove the canary"


@dataclass(frozen=True, slots=True)
class RestoreStable:
    """Bring the stable version's previous template back, if *image* had been promoted or begun to be.

    So it does the ConfigMaps that it reads. Answered with what cannot be put back; nothing where all can.
    """

    image: str

    title = "Put the stable version back"


Action = (
    AcquireLock
    | ReleaseLock
    | Inspect
    | KeepConfiguration
    | SaveState
    | ClearState
    | CreateCanary
    | Fence
    | Direct
    | Weigh
    | Hold
    | Freeze
    | WaitReady
    | Measure
    | Foresee
    | Pause
    | Promote
    | KeepEvidence
    | DeleteCanary
    | RestoreStable
)


@dataclass(frozen=True, slots=True)
class Situation:
    """What the cluster says, before a flow decides where to go on."""

    state: State | None
    stable_image: str
    stable_settled: bool
    """Whether the stable Deployment is done: as many Ready pods as asked for, all of its newest template."""
    canary_image: str | None
    """The version that is being let in: a canary's, or that of a held update; None without either."""
    kind: str = "Deployment"
    """What the stable version is."""
    replicas: int = 1
    """Pods of the stable version."""
    directed: bool | None = False
    """Whether a rollout lets the Service lead to the pods of one side alone; None without one that it could."""
    weighed: bool = False
    """Whether the canary has a Service of its own, to which routes may lead."""
    baseline: bool = False
    """Whether there is a Deployment of fresh pods that a canary was compared with."""
    unusable: bool = False
    """Whether a state is noted that nobody can go on from: unreadable, or another cluster's. `state` is None then."""
    unfit: str = ""
    """Why the workload's own update cannot be held at its first pods; empty when it can."""


@dataclass(frozen=True, slots=True)
class Waited:
    """How a wait ended."""

    ready: bool
    reason: str = ""
    """Why not, naming pod and reason."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a canary under judgement."""

    assessment: Assessment
    elapsed: float
    """Seconds since the judging began."""
    trouble: str = ""
    """Why the canary's pods cannot serve, seen long enough to be believed; empty while they can."""
    changed: str = ""
    """What somebody else changed about either version; the evidence is of another one then."""
    ask: Ask | None = None
    """What somebody asks of this rollout."""


class Interrupted(Exception):  # noqa: N818 -- not an error: somebody asked it to stop
    """Thrown into a flow when it is to stop in safety."""

    def __init__(self, ending: Ending, reason: str) -> None:
        super().__init__(reason)
        self.ending = ending
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended, and why."""

    ending: Ending
    reason: str
    whole: bool = True
    """Whether the stable version was seen to be whole after it was put back."""

    @property
    def exit_code(self) -> int:
        """The command's exit code: never done while the stable version is not whole."""
        code = self.ending.exit_code
        return EXIT_FAILED if code == EXIT_DONE and not self.whole else code


Flow = Generator[Action, Any, Outcome]
"""Yields actions, is sent each one's answer (its class says which), or has its failure thrown in."""
