"""A user's own files: rules in YAML, dashboards in JSON, told apart by what they hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.check import datadog_dashboard, grafana, rules

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from pathlib import Path

    from quarterdeck_dashboards.check.question import Question
    from quarterdeck_dashboards.check.rules import Rule


@dataclass(frozen=True, slots=True)
class Asked:
    """What files ask."""

    rules: tuple[Rule, ...] = ()
    questions: tuple[Question, ...] = ()


def read(paths: Iterable[Path], rate_window: timedelta | None = None) -> Asked:
    """Return what the files at *paths* ask.

    Args:
        paths: files; of a folder, every rule file and dashboard in it, and nothing else.
        rate_window: four scrapes, which Grafana's `$__rate_interval` stands for.

    Raises:
        UsageError: one cannot be read, or is neither rules nor a dashboard.
    """
    found: list[Rule] = []
    asked: list[Question] = []
    for given in paths:
        for path in _files(given):
            text = text_of(path)
            if path.suffix == ".json":
                asked += _dashboard(text, str(path), rate_window, is_named=path == given)
            elif path == given or _GROUPS.search(text):
                found += rules.parse(text, str(path))
    return Asked(tuple(found), tuple(asked))


_GROUPS = re.compile(r"^groups\s*:", re.MULTILINE)
"""By which a rule file is known among a folder's other YAML."""


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in {".json", ".yaml", ".yml"})


def _dashboard(text: str, origin: str, rate_window: timedelta | None, *, is_named: bool) -> list[Question]:
    """Return what a dashboard asks; of a file that was not named itself, nothing when it is none."""
    try:
        document: Any = json.loads(text)
        if datadog_dashboard.is_one(document):
            return list(datadog_dashboard.questions(document, origin))
        if grafana.is_dashboard(document):
            return list(grafana.questions(document, origin, rate_window))
    except (ValueError, RecursionError) as error:
        step = f"mend it until `python3 -m json.tool {origin}` takes it"
        raise UsageError(f"{origin} to be JSON", str(error), step) from error
    if not is_named:
        return []
    raise UsageError(
        f"{origin} to be a dashboard of Grafana's or Datadog's, or a monitor of Datadog's",
        f"an object with the keys {', '.join(sorted(document))}" if isinstance(document, dict) else "no object",
        "name a dashboard as it is exported, or a Prometheus rule file",
    )


def text_of(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"a readable file {path}",
            error.strerror or str(error),
            "name a Prometheus rule file, a dashboard or a recorded page",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} to be UTF-8 text", f"the byte {error.object[error.start]:#04x}", "save it as UTF-8"
        ) from error
