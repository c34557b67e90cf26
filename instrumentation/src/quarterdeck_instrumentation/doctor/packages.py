"""What is installed, read from distributions' own metadata; nothing of it is imported."""

from __future__ import annotations

import re
from importlib.metadata import distributions, entry_points
from typing import TYPE_CHECKING

from quarterdeck_instrumentation.activation import FRAMEWORKS
from quarterdeck_instrumentation.doctor.facts import Need
from quarterdeck_instrumentation.doctor.versions import fits, requirement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution, EntryPoint

OURS = "quarterdeck-instrumentation"
LAUNCHER = "opentelemetry-instrument"
"""Starts whichever distribution it finds: ours, if it is told so."""
_BOOTSTRAPS = {
    "ddtrace": "Datadog",
    "newrelic": "New Relic",
    "opentelemetry/instrumentation/auto_instrumentation": LAUNCHER,
}
"""Folder on PYTHONPATH, in part → whose agent starts from it."""


def installed() -> tuple[dict[str, str], tuple[Need, ...], tuple[str, ...]]:
    """Return the versions of what matters here, requirements that are not met, and what is installed twice."""
    every: dict[str, list[str]] = {}
    stated: list[tuple[str, str, list[str]]] = []
    seen: set[str] = set()
    for each in distributions():
        name, version, requires = _stated(each)
        folder = str(each.locate_file(""))
        if f"{name}@{folder}" in seen or not name:  # a folder may be on the path twice
            continue
        seen.add(f"{name}@{folder}")
        every.setdefault(name, []).append(version)
        if is_telemetry(name) and len(every[name]) == 1:
            stated.append((name, version, requires))
    first = {name: versions[0] for name, versions in every.items()}
    needs = [need for name, version, texts in stated for need in unmet(name, version, texts, first)]
    twice = [f"{name} ({', '.join(versions)})" for name, versions in every.items() if len(versions) > 1]
    matter = frameworks()
    shown = {name: version for name, version in first.items() if is_telemetry(name) or name in matter}
    return dict(sorted(shown.items())), tuple(needs), tuple(each for each in twice if is_telemetry(each))


def unmet(name: str, version: str, requires: Iterable[str], found: dict[str, str]) -> Iterable[Need]:
    """Return which of *requires* the versions in *found* do not meet; what is asked for by an extra is optional."""
    for text in requires:
        needed, clauses, marker = requirement(text)
        have = found.get(canonical(needed), "")
        if marker or not (is_telemetry(canonical(needed)) or needed == "protobuf"):
            continue
        if not have or not fits(have, clauses):
            yield Need(name, version, f"{needed}{clauses}", have)


def frameworks() -> frozenset[str]:
    """Return the names of distributions that there are hooks for, as far as they are called like their modules."""
    return frozenset(canonical(module.partition(".")[0]) for module in FRAMEWORKS) | {
        "djangorestframework",
        "hypercorn",
    }


def named(group: str) -> tuple[str, ...]:
    """Return the entry points of *group*, each with the distribution that it is of."""
    return tuple(sorted({f"{each.name} ({_of(each)})" for each in entry_points(group=group)}))


def started_by_path(path: str) -> tuple[str, ...]:
    """Return whose agents the folders of *path*, a PYTHONPATH, start in every Python process."""
    folder = path.replace("\\", "/")
    return tuple(whose for part, whose in _BOOTSTRAPS.items() if f"{part}/" in f"{folder}/".replace(":", "/:"))


def canonical(name: str) -> str:
    """Return *name* as all spellings of it are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _stated(each: Distribution) -> tuple[str, str, list[str]]:
    """Return name, version and requirements of a distribution; nothing for one that is half removed."""
    try:
        return canonical(each.metadata["Name"]), each.version, each.requires or []
    except Exception:  # noqa: BLE001 -- what metadata that is not there raises depends on Python's version
        return "", "", []


def _of(entry: EntryPoint) -> str:
    of: Distribution | None = entry.dist
    return "?" if of is None else of.metadata["Name"]


def is_telemetry(name: str) -> bool:
    """Say whether a distribution is OpenTelemetry's or ours."""
    return name.startswith(("opentelemetry", "quarterdeck"))
