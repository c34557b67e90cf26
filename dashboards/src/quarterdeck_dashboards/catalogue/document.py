"""YAML text to plain data that remembers where each value stood.

Reads the core schema of YAML 1.2 (as editors and JSON Schema do): `on`, `no` and `1:30` are text, not a
boolean or a number in base 60. Anchors, aliases and merge keys work; duplicate keys, tags, several
documents, recursion and alias bombs are refused. Works on the parser's events with a bound on depth,
because composing a deeply nested document recursively ends the process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_dashboards.catalogue.problem import Position, Problem, show

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 32
"""Deepest nesting that is read; the catalogue needs 6."""
MAX_VALUES = 200_000
"""Most values a document may have once its aliases are written out: 100 services have some 5,000."""

Path = tuple[str | int, ...]
"""Keys and indices from the document's root to a value."""


class DocumentError(Exception):
    """The text cannot be read as a document; carries the reason. Turned into a FileError by the caller."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True)
class Document:
    """Plain data and where it stood."""

    data: Any
    """Mappings, lists, text, numbers, booleans, None."""
    values: dict[Path, Position] = field(default_factory=dict)
    """Where each value begins."""
    keys: dict[Path, Position] = field(default_factory=dict)
    """Where the key of each mapping's value begins."""
    problems: tuple[Problem, ...] = ()
    """Duplicate keys and the like: wrong, but the rest can still be read."""

    def position(self, path: Path, *, key: bool = False) -> Position:
        """Return where *path*, or with *key* its key, stands; the nearest enclosing value if it does not exist."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position(1, 1))


@dataclass(slots=True)
class _Node:
    position: Position
    value: Any
    """A scalar; a list of nodes; or a list of pairs of nodes when `is_mapping`."""
    is_mapping: bool = False
    is_merge: bool = False


def read(text: str) -> Document:
    """Read one YAML document.

    Raises:
        DocumentError: it is empty, not YAML, several documents, too deep or too large.
    """
    events = _events(text)
    root: _Node | None = None
    anchors: dict[str, _Node] = {}
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                raise DocumentError(Problem(_position(event), "", "one document", "a second one beginning with ---"))
            root = _compose(events, next(events), anchors, depth=0)
    if root is None or (root.value is None and not root.is_mapping):
        raise DocumentError(Problem(Position(1, 1), "", "a mapping", "an empty file"))
    return _Builder().build(root)


def _events(text: str) -> Iterator[yaml.Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.YAMLError as error:
        raise DocumentError(_not_yaml(text, error)) from error


def _not_yaml(text: str, error: yaml.YAMLError) -> Problem:
    """Ask the pure parser once more, whose messages name the character and do not depend on libyaml's version."""
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as clearer:
        error = clearer
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a ReaderError: a character that no YAML text may hold
        offset = getattr(error, "position", 0)
        before = text[:offset]
        position = Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
        return Problem(position, "", "YAML", f"the control character {text[offset : offset + 1]!r}")
    context = getattr(error, "context", None)
    problem = getattr(error, "problem", None) or "a syntax error"
    found = f"a syntax error {context}: {problem}" if context else f"a syntax error: {problem}"
    return Problem(Position(mark.line + 1, mark.column + 1), "", "YAML", found)


def _position(event: yaml.Event) -> Position:
    mark: Any = event.start_mark
    return Position(mark.line + 1, mark.column + 1)


def _compose(events: Iterator[yaml.Event], event: yaml.Event, anchors: dict[str, _Node], depth: int) -> _Node:
    position = _position(event)
    if depth > MAX_DEPTH:
        raise DocumentError(Problem(position, "", f"at most {MAX_DEPTH} levels of nesting", "more"))
    if isinstance(event, yaml.AliasEvent):
        name = str(event.anchor)
        if name not in anchors:
            raise DocumentError(Problem(position, "", "the name of an anchor defined above", f"the alias *{name}"))
        return anchors[name]
    if isinstance(event, yaml.ScalarEvent):
        _refuse_tag(event.tag, position)
        plain = event.style is None or event.style == ""
        node = _Node(position, _scalar(event.value) if plain else event.value)
        node.is_merge = plain and event.value == "<<"
    elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
        _refuse_tag(event.tag, position)
        node = _Node(position, [], is_mapping=isinstance(event, yaml.MappingStartEvent))
        children = []
        while not isinstance(child := next(events), yaml.CollectionEndEvent):
            children.append(_compose(events, child, anchors, depth + 1))
        node.value = list(zip(children[::2], children[1::2], strict=True)) if node.is_mapping else children
    else:  # pragma: no cover -- the parser yields no other event here
        raise TypeError(event)
    if event.anchor:
        anchors[event.anchor] = node  # after its children: an alias inside its own anchor is undefined, not endless
    return node


def _refuse_tag(tag: str | None, position: Position) -> None:
    if tag is not None and tag != "!":
        raise DocumentError(Problem(position, "", "a plain value", f"the YAML tag {tag}"))


_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def _scalar(text: str) -> object:
    """Return what a plain scalar means in YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Builder:
    """Writes out a node tree as data, with the path of every value."""

    def __init__(self) -> None:
        self.values: dict[Path, Position] = {}
        self.keys: dict[Path, Position] = {}
        self.problems: list[Problem] = []
        self._written = 0

    def build(self, root: _Node) -> Document:
        data = self._value(root, ())
        return Document(data, self.values, self.keys, tuple(self.problems))

    def _value(self, node: _Node, path: Path) -> Any:
        self._count(node)
        self.values[path] = node.position
        if node.is_mapping:
            return self._mapping(node, path)
        if isinstance(node.value, list):
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        return node.value

    def _count(self, node: _Node) -> None:
        self._written += 1
        if self._written > MAX_VALUES:
            found = "more, by aliases of aliases"
            raise DocumentError(Problem(node.position, "", f"at most {MAX_VALUES} values", found))

    def _mapping(self, node: _Node, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, (where, child) in self._entries(node, path).items():
            self.keys[*path, key] = where
            result[key] = self._value(child, (*path, key))
        return result

    def _entries(self, node: _Node, path: Path) -> dict[str, tuple[Position, _Node]]:
        """Return a mapping's own entries, then those merged into it that it does not have itself."""
        own: dict[str, tuple[Position, _Node]] = {}
        merged: list[_Node] = []
        for key, child in node.value:
            self._count(key)
            if key.is_merge:
                merged += child.value if isinstance(child.value, list) and not child.is_mapping else [child]
            elif not isinstance(key.value, str):
                self._wrong(key.position, path, "a key that is text", show(_plain(key)))
            elif key.value in own:
                first = own[key.value][0].line
                self._wrong(key.position, (*path, key.value), f"each key once (first in line {first})", "it again")
            else:
                own[key.value] = (key.position, child)
        for source in merged:
            if not source.is_mapping:
                self._wrong(source.position, path, "a mapping, or a list of them, to merge", show(_plain(source)))
                continue
            for key, entry in self._entries(source, path).items():
                own.setdefault(key, entry)
        return own

    def _wrong(self, position: Position, path: Path, expected: str, found: str) -> None:
        problem = Problem(position, dotted(path), expected, found)
        if problem not in self.problems:  # an anchored mapping is written out at each of its aliases
            self.problems.append(problem)


def _plain(node: _Node) -> object:
    return {} if node.is_mapping else node.value


def dotted(path: Path) -> str:
    """Return *path* as messages write it.

    >>> dotted(("services", 0, "slos", 1, "objective"))
    'services[0].slos[1].objective'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
