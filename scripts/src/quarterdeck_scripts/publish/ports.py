"""What a plan is carried out on: a store of resources behind somebody's API, and how that can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from quarterdeck_contract.errors import QuarterdeckError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_dashboards.resource import Json, Resource


class RejectedError(QuarterdeckError):
    """The API understood the call and refused it: `status` is HTTP's."""

    def __init__(self, expected: str, found: str, next_step: str, *, status: int) -> None:
        super().__init__(expected, found, next_step)
        self.status = status


class NoAnswerError(QuarterdeckError):
    """No usable answer in time. A change that was asked for may have been made, or not."""


class NotTakenError(NoAnswerError):
    """No call was taken in time: the rate limit lasts, or nothing listens. So surely nothing was changed."""


class ChangedMeanwhileError(QuarterdeckError):
    """Somebody changed it after the plan was made, so the plan does not hold for it any more."""


class Api(Protocol):
    """JSON over HTTP."""

    def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Any:
        """Return the decoded answer; None where there is none.

        What can be sent twice (GET, PUT, DELETE) is, until a deadline; POST is not, unless it surely never arrived.

        Raises:
            RejectedError: any status of 400 and above that asking again does not mend.
            NoAnswerError: the deadline passed; a NotTakenError when the call was surely not carried out.
        """
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Something of ours that is there, read without our marks."""

    resource: Resource
    id: str
    applied: str
    """The digest of the resource as it was when it was last applied; empty where that is not known."""
    version: str = ""
    """Of this very state: a count, or the time of the last change; empty where the API says neither."""


class Store(Protocol):
    """Everything of ours in one place; ours is what has our marks."""

    def found(self) -> tuple[Found, ...]:
        """Return everything of ours, the oldest first."""
        ...

    def others(self, resource: Resource) -> tuple[str, ...]:
        """Return the ids of what is not ours and is in *resource*'s way: the same kind with the same name."""
        ...

    def get(self, found: Found) -> Found | None:
        """Return *found* as it is now; None when it is gone or not ours any more."""
        ...

    def create(self, resource: Resource, applied: str) -> Found:
        """Make *resource*, marked as ours and with the digest *applied*."""
        ...

    def change(self, found: Found, resource: Resource, applied: str) -> None:
        """Make *found* what *resource* says."""
        ...

    def delete(self, found: Found) -> None:
        """Delete *found*; that it is gone already is no error."""
        ...
