"""What is said about a firing alert: its page, what to look at, what to run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.alerts import RUNBOOK_URL
from quarterdeck_scripts.runbook.alerts import Alert, Command, commands, page_of, require_environment
from quarterdeck_scripts.runbook.registry import Runbook, runbooks

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that whoever is paged needs."""

    alert: Alert
    runbook: Runbook
    commands: tuple[Command, ...]
    queries: tuple[tuple[str, str], ...]
    """Question and PromQL."""

    def to_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "alert": {"labels": dict(self.alert.labels), "annotations": dict(self.alert.annotations)},
            "page": self.runbook.id,
            "url": self.alert.annotations[RUNBOOK_URL],
            "summary": self.runbook.page.summary(),
            "queries": [{"question": question, "promql": promql} for question, promql in self.queries],
            "remedies": [
                {"action": each.action, "when": each.when, "arguments": each.arguments, "command": each.line}
                for each in self.commands
            ],
        }

    def __str__(self) -> str:
        lines = [f"{self.alert}: {self.alert.annotations.get('summary') or self.runbook.page.summary()}"]
        if description := self.alert.annotations.get("description"):
            lines.append(f"  {description}")
        lines += [f"  {self.alert.annotations[RUNBOOK_URL]}", "", self.runbook.page.body()]
        for question, promql in self.queries:
            lines += ["", f"{question}", f"  {promql}"]
        if not self.commands:
            lines += ["", "No command mends this; the page says what to do."]
        for command in self.commands:
            lines += ["", f"If {command.when}:", f"  {command.line} --dry-run", f"  {command.line}"]
        return "\n".join(lines)


def on(alert: Alert, catalogue: Catalogue, env: str) -> Advice:
    """Return what is to be said about *alert* in the environment *env*.

    Raises:
        UsageError: the alert is from another environment.
        InconclusiveError: its page is not one of ours.
    """
    require_environment(alert, env)
    every = runbooks()
    runbook = page_of(alert, catalogue.runbook_base_url, every)
    queries = tuple((query.question, query.of(alert.service)) for query in runbook.page.queries if alert.service)
    return Advice(alert, runbook, tuple(commands(alert, runbook, every, catalogue, env)), queries)
