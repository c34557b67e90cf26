"""The pages as Markdown files for `docs/runbooks/`, generated from the docstrings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.alerts import kinds
from quarterdeck_dashboards.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_scripts.runbook.registry import Runbook

_NOTE = "<!-- Written by `quarterdeck runbook pages` from a docstring; change that. -->"


def documents(runbooks: Iterable[Runbook]) -> dict[str, str]:
    """Return every file's name and text: a page each, and an index."""
    runbooks = list(runbooks)
    files = {f"{runbook.id}.md": _page(runbook) for runbook in runbooks}
    return {"README.md": _index(runbooks), **files}


def _page(runbook: Runbook) -> str:
    title = [_NOTE, f"# {runbook.id}", f"**{runbook.page.summary()}**"]
    parts = [*title, runbook.page.body(), *_alerts(runbook), *_queries(runbook), *_commands(runbook)]
    return "\n\n".join(parts) + "\n"


def _alerts(runbook: Runbook) -> Iterator[str]:
    rows = [
        f"| `{kind.name}` | {kind.severity} | {format_duration(kind.lasting)} | {kind.reason} |"
        for kind in kinds()
        if kind.page == runbook.id
    ]
    if rows:
        yield "## Alerts"
        yield "\n".join(["| alert | severity | lasts for | why so |", "|---|---|---|---|", *dict.fromkeys(rows)])


def _queries(runbook: Runbook) -> Iterator[str]:
    if runbook.page.queries:
        yield "## Queries"
        for query in runbook.page.queries:
            yield f"{query.question}\n\n```promql\n{query.promql}\n```"


def _commands(runbook: Runbook) -> Iterator[str]:
    action = runbook.action
    if action is not None:
        yield "## Command"
        run = f"quarterdeck runbook run {action.usage} --env ENV"
        yield f"```sh\n{run} --dry-run\n{run}\n```"
        yield (
            "Both show the plan and what the server would change. The second asks, or takes `--yes`; `--why` "
            "puts the reason in the audit log."
        )
    elif runbook.page.remedies:
        yield "## Remedies"
        yield "\n".join(f"- [{each.action}]({each.action}.md), when {each.when}" for each in runbook.page.remedies)
        yield "With the alert's own arguments, from the environment's Alertmanager:"
        yield "```sh\nquarterdeck runbook for-alert --alert ALERT --service SERVICE --env ENV\n```"


def _index(runbooks: list[Runbook]) -> str:
    pages = [runbook for runbook in runbooks if runbook.action is None]
    actions = [runbook for runbook in runbooks if runbook.action is not None]
    parts = [_NOTE, "# Runbooks", "What an alert's `runbook_url` leads to:", _list(pages)]
    return "\n\n".join([*parts, "What `quarterdeck runbook run` does:", _list(actions)]) + "\n"


def _list(runbooks: list[Runbook]) -> str:
    return "\n".join(f"- [{runbook.id}]({runbook.id}.md): {runbook.page.summary()}" for runbook in runbooks)
