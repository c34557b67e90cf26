"""Whether a version is in a range, for the few forms that OpenTelemetry's distributions use; standard library only.

`packaging` knows all of PEP 440, but few services have it installed.
"""

from __future__ import annotations

import re
from operator import eq, ge, gt, le, lt, ne

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;()]*)\)?\s*(;.*)?$")
_CLAUSE = re.compile(r"^(===|==|~=|!=|<=|>=|<|>)\s*(\S+)$")
_VERSION = re.compile(
    r"^v?(?:\d+!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|dev)[-_.]?(\d*))?(.*)$", re.IGNORECASE
)
_COMPARE = {"==": eq, "===": eq, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt}
_PHASES = {"dev": -4, "a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "pre": -1}


def requirement(text: str) -> tuple[str, str, str]:
    """Return the name, the clauses and the marker of a requirement.

    >>> requirement("opentelemetry-api~=1.12; extra == 'all'")
    ('opentelemetry-api', '~=1.12', "extra == 'all'")
    """
    match = _REQUIREMENT.match(text.strip())
    if match is None:
        return text, "", ""
    name, clauses, marker = match.groups()
    return name, clauses.strip(), (marker or "").lstrip("; ").strip()


def fits(version: str, clauses: str) -> bool:
    """Say whether *version* is in all of *clauses*; what is in another form is taken to fit.

    >>> fits("1.45.1", ">=1.39,<2"), fits("0.66b2", "==0.66b1"), fits("1.46", "~=1.12"), fits("1.45.1", "==1.45.*")
    (True, False, True, True)
    """
    return all(_holds(version, clause.strip()) for clause in clauses.split(",") if clause.strip())


def _holds(version: str, clause: str) -> bool:
    match = _CLAUSE.match(clause)
    found = _key(version)
    if match is None or found is None:
        return True
    sign, bound = match.groups()
    if bound.endswith(".*"):
        wanted = bound[:-2].split(".")
        same = version.split(".")[: len(wanted)] == wanted
        return same if sign == "==" else not same
    limit = _key(bound)
    if limit is None:
        return True
    if sign == "~=":
        least = bound.split(".")
        return found >= limit and fits(version, f"=={'.'.join(least[:-1])}.*")
    return bool(_COMPARE[sign](found, limit))


def _key(version: str) -> tuple[tuple[int, ...], int, int] | None:
    """Return *version* so that it can be compared; None if it is in no form known here."""
    match = _VERSION.match(version)
    if match is None:
        return None
    release, phase, number, _ = match.groups()
    parts = [int(part) for part in release.split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts), _PHASES[phase.lower()] if phase else 0, int(number or 0)
