"""Tells findings to a person, or to a machine."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.doctor.finding import Level
from quarterdeck_instrumentation.doctor.findings import exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_instrumentation.doctor.facts import Facts
    from quarterdeck_instrumentation.doctor.finding import Finding

SCHEMA = 1
"""Version of the JSON form; a key is added without a new one, and never changed or removed."""
_WORDS = {Level.BROKEN: "broken", Level.WARNING: "warning", Level.NOTE: "ok"}
_VERDICTS = {
    0: "All is well.",
    1: "Something is broken.",
    3: "A person should look at the warnings.",
}


def text(facts: Facts, findings: Sequence[Finding]) -> str:
    """Return what a person reads."""
    lines = []
    for each in findings:
        lines.append(f"{_WORDS[each.level]:8}{each.found}")
        if each.level is not Level.NOTE:
            lines.append(f"        {each.why}")
            lines.append(f"        Next: {each.next_step}")
    lines += ["", "Settings that are not the defaults:"]
    changed = {name: pair for name, pair in facts.settings.items() if pair[1] != "default"}
    for process in facts.run.processes if facts.run is not None else ():
        changed |= process.settings
    lines += [f"  {name} = {value or '(none)'}  from {who}" for name, (value, who) in sorted(changed.items())] or [
        "  none"
    ]
    return "\n".join([*lines, "", _VERDICTS[exit_code(findings)], ""])


def as_json(facts: Facts, findings: Sequence[Finding]) -> str:
    """Return the same for a machine."""
    whole = {
        "schema": SCHEMA,
        "exit_code": exit_code(findings),
        "findings": [
            {
                "name": each.name,
                "level": each.level.name.lower(),
                "found": each.found,
                "why": each.why,
                "next": each.next_step,
            }
            for each in findings
        ],
        "facts": _plain(facts),
    }
    return json.dumps(whole, indent=2) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
