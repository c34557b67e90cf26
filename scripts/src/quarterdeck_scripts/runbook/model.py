"""What a runbook is: a class whose docstring is its page. Some are actions, which can be run. No I/O."""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.kube.pods import PodProblem
    from quarterdeck_scripts.runbook.queries import Query

Seen = TypeVar("Seen")
"""What an action looks at."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something a page advises to do."""

    action: str
    """The id of an action."""
    when: str
    """When it helps, as a clause without a full stop."""


class Page:
    """A runbook that is read. Its docstring: a summary line, then Markdown."""

    remedies: ClassVar[tuple[Remedy, ...]] = ()
    """What to try, the most likely to help first."""
    queries: ClassVar[tuple[Query, ...]] = ()
    """What to ask Prometheus first."""

    @classmethod
    def summary(cls) -> str:
        """Return the page's first line."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]

    @classmethod
    def body(cls) -> str:
        """Return what follows the summary."""
        return (inspect.getdoc(cls) or "").partition("\n")[2].strip()


class Target(enum.StrEnum):
    """What an action acts on."""

    SERVICE = "service"
    """A service of the catalogue: its stable Deployment."""
    NODE = "node"
    """A node of the cluster."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The one object that an action acts on."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Options:
    """What an action was asked for besides its subject."""

    now: datetime
    """When it was asked for; aware."""
    replicas: int | None = None
    """For `scale`: pods wanted."""
    force: bool = False
    """Do what is otherwise refused because it loses something: all pods of a service, data on a node."""
    undo: bool = False
    """For `drain`: let pods come to the node again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One change, as the API server is asked for it."""

    method: str
    path: str
    body: Json | list[Json]
    content_type: str
    about: str
    """What is changed, for a person."""
    passing: frozenset[int] = frozenset()
    """Statuses that are no failure: another look will tell whether to ask again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action will do, decided from what it saw."""

    summary: str
    """One line."""
    details: tuple[str, ...] = ()
    """What a person has to know before saying yes: what it costs, what it does not do."""
    requests: tuple[Request, ...] = ()
    """The changes, in order. Empty when all is as wanted already and only has to be seen to hold."""
    follow_ups: tuple[Request, ...] = ()
    """What `progress` will ask for next, so that it can be rehearsed."""
    before: Json = field(default_factory=dict)
    """The state that is changed, for the audit log."""
    goal: Json = field(default_factory=dict)
    """The state wanted, as far as the action sets it. Another one later means that somebody else changed it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the cluster is with a plan."""

    missing: tuple[str, ...]
    """What is still wrong, naming pods and reasons. Empty: done."""
    now: Json
    """The present state, for the audit log."""
    failures: tuple[PodProblem, ...] = ()
    """Problems of the pods that have to become Ready."""
    requests: tuple[Request, ...] = ()
    """What has to be asked for next, again and again until nothing is missing."""


class Action(Page, ABC, Generic[Seen]):
    """A runbook that is run."""

    target: ClassVar[Target]
    """What it acts on."""
    usage: ClassVar[str]
    """Its command line, after `quarterdeck runbook run`, for the page."""

    @abstractmethod
    def observe(self, cluster: Cluster, subject: Subject) -> Seen:
        """Read what the action has to know. Changes nothing.

        Raises:
            UsageError: there is no such subject.
        """

    @abstractmethod
    def plan(self, seen: Seen, options: Options) -> Plan:
        """Decide what to do. Pure. Planned again after a run that died, it goes on where that one stopped.

        Raises:
            RefusedError: it would do harm.
            UsageError: an option is missing.
        """

    @abstractmethod
    def progress(self, plan: Plan, seen: Seen) -> Progress:
        """Say how far the cluster is. Pure.

        Raises:
            QuarterdeckError: somebody else changed what the plan had set.
        """


AnyAction = Action[Any]
"""An action, whatever it looks at."""
