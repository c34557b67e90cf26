"""A running rollout's state: what cannot be derived from the cluster, small enough for an annotation.

It says what was asked for and, once that is decided, which way it goes. How far that way has been walked
(is there a canary, which image does the stable version have) is read off the cluster each time.
"""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    RefusedError,
)
from quarterdeck_contract.kubernetes import ROLLOUT_STATE

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


class Strategy(enum.StrEnum):
    """How a new version is let in."""

    CANARY = "canary"
    """Some pods of a second Deployment beside the stable one, under the same Service."""
    BLUE_GREEN = "blue-green"
    """A second Deployment as large as the stable one, to which the Service's selector is switched."""
    ROLLING = "rolling"
    """The workload's own rolling update, held at its first new pods until they are judged. The only one for a
    StatefulSet and a DaemonSet."""


class Baseline(enum.StrEnum):
    """What a canary is compared with."""

    STABLE = "stable"
    """The stable pods, as they run."""
    FRESH = "fresh"
    """A third Deployment of the stable version, as large and as young as the canary: both are equally cold."""


class Direction(enum.StrEnum):
    """Which way a rollout goes."""

    UNDECIDED = "undecided"
    """The canary is being judged."""
    FORWARD = "forward"
    """The new version is being promoted."""
    BACK = "back"
    """Everything is being put back on the stable version."""


class Ending(enum.StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    """The new version is the stable one."""
    ROLLED_BACK = "rolled back"
    """The canary failed, or never ran; the stable version is as it was."""
    INCONCLUSIVE = "inconclusive"
    """The evidence decided neither way in time; the stable version is as it was."""
    INTERRUPTED = "interrupted"
    """Somebody stopped it; the stable version is as it was."""
    ABORTED = "aborted"
    """`rollout abort` ended it; the stable version is as it was."""
    UNDONE = "undone"
    """`rollout undo` brought the previous revision back."""

    @property
    def exit_code(self) -> int:
        """The command's exit code."""
        return {
            Ending.PROMOTED: EXIT_DONE,
            Ending.ROLLED_BACK: EXIT_FAILED,
            Ending.INCONCLUSIVE: EXIT_INCONCLUSIVE,
            Ending.INTERRUPTED: EXIT_INTERRUPTED,
            Ending.ABORTED: EXIT_DONE,
            Ending.UNDONE: EXIT_DONE,
        }[self]


@dataclass(frozen=True, slots=True)
class State:
    """What the annotation says."""

    id: str
    """Names the rollout's record and report."""
    cluster: str
    """UID of the cluster it was begun in: a copy of the object elsewhere is no rollout."""
    image: str
    """The new version."""
    origin: str
    """The stable version's image when it began."""
    by: str
    """Who began it."""
    began: str
    """When, RFC 3339."""
    strategy: Strategy = Strategy.CANARY
    """How it is let in; whoever goes on with it goes on like this."""
    baseline: Baseline = Baseline.STABLE
    """What a canary is compared with."""
    weights: tuple[int, ...] = ()
    """Percent of the requests of the service's routes that a canary gets, step by step; empty: its pods' share."""
    train: tuple[str, ...] = ()
    """The services it is rolled out with, in their order; empty when it is alone. All are promoted, or none stays so,
    and each keeps its state until the last one has its end."""
    direction: Direction = Direction.UNDECIDED
    ending: Ending | None = None
    """How it will have ended once BACK is walked."""
    reason: str = ""
    """Why it goes that way, in one sentence."""

    def forward(self, reason: str) -> State:
        """Return the state of going forward, for this *reason*."""
        return replace(self, direction=Direction.FORWARD, reason=reason)

    def back(self, ending: Ending, reason: str) -> State:
        """Return the state of going back, to end like this for this *reason*."""
        return replace(self, direction=Direction.BACK, ending=ending, reason=reason)

    def to_annotation(self) -> str:
        """Return the annotation's text."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)


def read_state(deployment: Json, cluster: str) -> State | None:
    """Return the rollout that *deployment* says is running; None when none is.

    Raises:
        RefusedError: the annotation was made in another cluster, or by a version that writes it differently.
    """
    text = (deployment["metadata"].get("annotations") or {}).get(ROLLOUT_STATE)
    if not text:
        return None
    name = deployment["metadata"]["name"]
    try:
        fields = json.loads(text)
        fields["strategy"] = Strategy(fields.get("strategy", Strategy.CANARY))
        fields["baseline"] = Baseline(fields.get("baseline", Baseline.STABLE))
        fields["weights"] = tuple(fields.get("weights", ()))
        fields["train"] = tuple(fields.get("train", ()))
        fields["direction"] = Direction(fields["direction"])
        fields["ending"] = Ending(fields["ending"]) if fields["ending"] else None
        state = State(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RefusedError(
            f"a rollout's state in the annotation {ROLLOUT_STATE} of {name}",
            f"{text[:120]!r} ({error})",
            f"run `quarterdeck rollout abort {name}`, which needs no state",
        ) from error
    if state.cluster != cluster:
        raise RefusedError(
            f"the annotation {ROLLOUT_STATE} of {name} to belong to this cluster ({cluster})",
            f"one made in the cluster {state.cluster}: the object was copied or restored",
            f"run `quarterdeck rollout abort {name}` to clear it",
        )
    return state
