"""Rule files, generated or a user's own, as a flat list of rules that know where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.catalogue.document import DocumentError, Path, dotted, read
from quarterdeck_dashboards.catalogue.problem import FileError, Problem, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_dashboards.catalogue.document import Document

MEANT = "a Prometheus rule file"
"""What the file is, for messages."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule where it stands."""

    origin: str
    """`file:line`."""
    group: str
    name: str
    """The recorded series or the alert."""
    is_alert: bool
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """File, line, group and rule, for messages."""
        return f"{self.origin}: {self.group}/{self.name}"


def parse(text: str, origin: str) -> list[Rule]:
    """Return the rules in the text of a rule file.

    Raises:
        FileError: it is not a rule file.
    """
    try:
        source = read(text)
    except DocumentError as error:
        raise FileError(origin, MEANT, [error.problem]) from error
    reader = _Reader(source, origin)
    rules = list(reader.rules())
    problems = [*source.problems, *reader.problems]
    if problems:
        raise FileError(origin, MEANT, problems)
    return rules


class _Reader:
    def __init__(self, source: Document, origin: str) -> None:
        self._source = source
        self._origin = origin
        self.problems: list[Problem] = []

    def rules(self) -> Iterator[Rule]:
        root = self._mapping(self._source.data, ())
        for group_index, group in enumerate(self._list(root.get("groups"), ("groups",))):
            path: Path = ("groups", group_index)
            entries = self._mapping(group, path)
            for index, rule in enumerate(self._list(entries.get("rules"), (*path, "rules"))):
                yield from self._rule(rule, (*path, "rules", index), str(entries.get("name", "")))

    def _rule(self, value: Any, path: Path, group: str) -> Iterator[Rule]:
        entry = self._mapping(value, path)
        names = [key for key in ("record", "alert") if key in entry]
        if len(names) != 1:
            self._wrong(path, "either the key record or the key alert", " and ".join(names) or "neither")
            return
        (kind,) = names
        name, expr = (self._text(entry.get(key), (*path, key)) for key in (kind, "expr"))
        line = self._source.position((*path, "expr"), key=True).line
        yield Rule(
            f"{self._origin}:{line}",
            group,
            name,
            kind == "alert",
            expr,
            self._texts(entry.get("labels"), (*path, "labels")),
            self._texts(entry.get("annotations"), (*path, "annotations")),
        )

    def _mapping(self, value: Any, path: Path) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        self._wrong(path, "a mapping", show(value))
        return {}

    def _list(self, value: Any, path: Path) -> list[Any]:
        if isinstance(value, list):
            return value
        self._wrong(path, "a list", show(value))
        return []

    def _text(self, value: Any, path: Path) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # `expr: 1` is a query
        self._wrong(path, "text", show(value))
        return ""

    def _texts(self, value: Any, path: Path) -> dict[str, str]:
        if value is None:
            return {}
        return {key: self._text(each, (*path, key)) for key, each in self._mapping(value, path).items()}

    def _wrong(self, path: Path, expected: str, found: str) -> None:
        self.problems.append(Problem(self._source.position(path), dotted(path), expected, found))
