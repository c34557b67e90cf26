"""All runbooks: those of this package and of any other that registers the entry-point group."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib.metadata import entry_points

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.runbook.model import Action, AnyAction, Page

RUNBOOKS = "quarterdeck.runbooks"
"""Entry-point group. The name is the page's id, and with that the end of its URL; the value a `Page` class."""


@dataclass(frozen=True, slots=True)
class Runbook:
    """A page under its id."""

    id: str
    page: type[Page]

    @property
    def action(self) -> AnyAction | None:
        """The action, when this is one."""
        found = self.page() if issubclass(self.page, Action) and not inspect.isabstract(self.page) else None
        return found if isinstance(found, Action) else None


def runbooks() -> dict[str, Runbook]:
    """Load all runbooks, by id.

    Raises:
        TypeError: what is registered is not a `Page`.
    """
    found = {}
    for entry in entry_points(group=RUNBOOKS):
        page = entry.load()
        if not (inspect.isclass(page) and issubclass(page, Page)):
            raise TypeError(f"entry point {entry.value} in {RUNBOOKS} is not a Page")
        found[entry.name] = Runbook(entry.name, page)
    return dict(sorted(found.items()))


def action_called(name: str) -> AnyAction:
    """Return the action with the id *name*.

    Raises:
        UsageError: there is none; a page that is only read names its remedies.
    """
    every = runbooks()
    action = every[name].action if name in every else None
    if action is not None:
        return action
    known = ", ".join(each.id for each in every.values() if each.action)
    if name not in every:
        raise UsageError(f"an action: {known}", repr(name), "see `quarterdeck runbook list`")
    remedies = ", ".join(remedy.action for remedy in every[name].page.remedies) or "none"
    raise UsageError(
        f"an action: {known}",
        f"{name}, which is a page to read; its remedies are: {remedies}",
        "run one of these; `quarterdeck runbook for-alert` prints the exact commands",
    )
