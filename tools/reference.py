"""Write docs/reference from the code, or say what is stale: `python tools/reference.py [--check]`."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import differences as upstream
from benchmark_page import page as benchmarks

from quarterdeck_contract import labels, metrics
from quarterdeck_contract.naming import series_names
from quarterdeck_dashboards.check import lock
from quarterdeck_instrumentation import declarative, environment, settings
from quarterdeck_instrumentation.push import pusher
from quarterdeck_instrumentation.spans import target
from quarterdeck_scripts.cli import quarterdeck
from quarterdeck_stacks.project import load_project
from quarterdeck_stacks.settings import Settings
from quarterdeck_stacks.settings.keys import declared

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
MARK = "<!-- Written by tools/reference.py from the code. Change that. -->\n"


def command_line() -> str:
    """Return the page of every command's `--help`."""
    pages = [MARK, "# Commands\n"]
    for names, command in _commands(("quarterdeck",), quarterdeck):
        context = click.Context(command, info_name=" ".join(names), max_content_width=100, terminal_width=100)
        pages.append(f"{'#' * min(len(names) + 1, 4)} {' '.join(names)}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(pages)


def _commands(names: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield names, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _commands((*names, name), child)


def contract() -> str:
    """Return the page of the telemetry contract."""
    lines = [
        MARK,
        "# The telemetry contract",
        "",
        "## Metrics",
        "",
        "| metric | kind | unit | series | labels | meaning |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for metric in metrics.ALL:
        series = "<br>".join(f"`{name}`" for name in series_names(metric))
        names = ", ".join(f"`{label.prometheus}`" for label in metric.labels)
        lines.append(
            f"| `{metric.name}` | {metric.kind.value} | {metric.unit} | {series} | {names} | {metric.description} |"
        )
    lines += ["", "## Labels", "", "| label | in Prometheus | meaning |", "|---|---|---|"]
    known = {label.name: label for metric in metrics.ALL for label in metric.labels}
    known |= {label.name: label for label in labels.TARGET_LABELS}
    lines += [f"| `{name}` | `{label.prometheus}` | {label.description} |" for name, label in known.items()]
    return "\n".join(lines) + "\n"


def instrumentation() -> str:
    """Return the page of the instrumentation's settings: every variable that is read, and who comes before whom."""
    lines = [MARK, "# Settings of the instrumentation", "", *_rows(settings.Settings)]
    lines += ["", "## Where spans and metrics are posted", ""]
    lines += ["Each `OTEL_EXPORTER_OTLP_` variable has a form for one signal, which goes before it:"]
    lines += ["`OTEL_EXPORTER_OTLP_TRACES_`, `OTEL_EXPORTER_OTLP_METRICS_`.", "", *_rows(target.Target)]
    lines += ["", "## How metrics are pushed", "", *_rows(pusher.Plan)]
    lines += ["", "## Other variables", "", *_HEAD]
    for name, (default, meaning) in environment.VARIABLES.items():
        lines.append(f"| `{name}` | {f'`{default}`' if default else 'nothing'} | {meaning} |")
    stated = inspect.getdoc(declarative) or ""
    lines += ["", "## A configuration file", "", stated]
    return "\n".join(lines) + "\n"


_HEAD = ("| variables | default | meaning |", "|---|---|---|")


_WORDS = {
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative",
}
"""What a variable says by default that is neither on nor off."""


def _rows(cls: Any) -> Iterator[str]:
    """Return one row for each field of *cls* whose docstring names a variable."""
    yield from _HEAD
    documented = _field_docs(cls)
    for field in fields(cls):
        text = documented.get(field.name, "")
        variables = dict.fromkeys(re.findall(r"`((?:OTEL|QUARTERDECK)_[A-Z_]+)[=`]", text))
        if variables:
            shown = _default(field, text)
            lines = "<br>".join(f"`{name}`" for name in variables)
            yield f"| {lines} | {shown} | {text} |"


def _default(field: Any, text: str) -> str:
    """Return the default of *field* as its variable would say it, which *text* may give in words of its own."""
    value = field.default
    for variable, word in _WORDS.items():
        if f"`{variable}`" in text and isinstance(value, bool):
            return f"`{word}`"
    if value in ((), "", frozenset(), MISSING):
        return "nothing"
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if isinstance(value, float):
        return f"`{value * 1000:g}`" if re.search(r"milliseconds there|\(milliseconds\)", text) else f"`{value:g}`"
    return f"`{', '.join(sorted(value)) if isinstance(value, frozenset) else value}`"


def differences() -> str:
    """Return the page of what server spans say otherwise than OpenTelemetry's own instrumentations."""
    compared = (
        f"Compared with release {upstream.RELEASE} in stable mode (`OTEL_SEMCONV_STABILITY_OPT_IN=http`): the same "
        "applications, the same requests. All else is the same: kind, parent, status, every other attribute."
    )
    lines = [
        MARK,
        "# Server spans, and those of OpenTelemetry's own instrumentations",
        "",
        compared,
        "",
        "| what | where | theirs | ours | why |",
        "|---|---|---|---|---|",
    ]
    for each in upstream.DIFFERENCES:
        what = each.what if " " in each.what or "." not in each.what else f"`{each.what}`"
        where = "everywhere" if each.frameworks == upstream.ALL else ", ".join(each.frameworks)
        theirs, ours = (text if text in ("", upstream.NOTHING) else f"`{text}`" for text in (each.theirs, each.ours))
        lines.append(f"| {what} | {where} | {theirs} | {ours} | {each.reason} |")
    return "\n".join(lines) + "\n"


def environments() -> str:
    """Return the page of a stack's settings: every key of Pulumi.yaml, in the groups that the program reads them in."""
    root = FOLDER.parent.parent
    schema = load_project(root).schema
    lines = [
        MARK,
        "# Settings of a stack",
        "",
        "Set one with `pulumi config set KEY VALUE`, a list with `pulumi config set --path 'KEY[0]' VALUE`; a stack's",
        "values are in `stacks/Pulumi.<env>.yaml`, each as `quarterdeck:KEY`. How to start:",
        "[environments.md](../environments.md).",
    ]
    groups: dict[type, list[tuple[str, str]]] = {}
    for key, cls, field in declared(Settings):
        groups.setdefault(cls, []).append((key, field))
    for cls, keys in groups.items():
        first = (inspect.getdoc(cls) or "").partition("\n")[0]
        lines += ["", f"## {first.rstrip('.')}", "", "| key | type | default | meaning |", "|---|---|---|---|"]
        documented = _field_docs(cls)
        for key, field in sorted(keys):
            declaration = schema[key]
            default = f"`{_config_text(declaration['default'])}`" if declaration["default"] not in ("", []) else "empty"
            lines.append(f"| `{key}` | {declaration['type']} | {default} | {documented[field]} |")
    return "\n".join(lines) + "\n"


def _config_text(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default)


def _field_docs(cls: type) -> dict[str, str]:
    """Return each field's docstring: the string expression that follows it."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 -- what a class's source parses to
    docs = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            docs[ast.unparse(statement.target)] = " ".join(ast.literal_eval(following.value).split())
    return docs


def main() -> int:
    """Write the pages, or with `--check` compare them; return the exit code."""
    pages = {
        "cli.md": command_line(),
        "contract.md": contract(),
        "contract.json": lock.text(),
        "instrumentation.md": instrumentation(),
        "differences.md": differences(),
        "environments.md": environments(),
        "../benchmarks.md": MARK + benchmarks(json.loads(_read(FOLDER.parent / "benchmarks.json"))),
    }
    stale = [name for name, text in pages.items() if _read(FOLDER / name) != text]
    if "--check" in sys.argv[1:]:
        for name in stale:
            sys.stderr.write(f"docs/reference/{name} is stale: run .venv/bin/python tools/reference.py\n")
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(pages[name], encoding="utf-8")
    return 0


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
