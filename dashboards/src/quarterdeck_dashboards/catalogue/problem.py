"""What is wrong at one place of a file, and the error that carries all of a file's problems."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_SHOWN_CHARACTERS = 60
"""Longest piece of a user's text that an error repeats."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file, as editors count: from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file: where, what was expected, what stands there, and the nearest valid word."""

    position: Position
    field: str
    """Where in the document: `services[0].slos[1].objective`; empty for the document itself."""
    expected: str
    found: str
    nearest: str | None = None

    def describe(self, origin: str) -> str:
        """Return one line, beginning `file:line:column:` as compilers do, so that editors can jump there."""
        where = f"{origin}:{self.position.line}:{self.position.column}:"
        field = f" {self.field}:" if self.field else ""
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{where}{field} expected {self.expected}, found {self.found}{hint}"


class FileError(UsageError):
    """A file that does not say what it should: every problem in it, first line first."""

    def __init__(self, origin: str, meant: str, problems: Iterable[Problem]) -> None:
        """Args are where the text came from, what it was meant to be, and at least one problem."""
        self.origin = origin
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.position, problem.field)))
        lines = "".join(f"\n  {problem.describe(origin)}" for problem in self.problems)
        count = "1 error" if len(self.problems) == 1 else f"{len(self.problems)} errors"
        which = "this line" if len(self.problems) == 1 else "these lines"
        super().__init__(f"{origin} to be {meant}", f"{count}:{lines}", f"correct {which} and run the command again")


_LIKENESS = 0.7
"""From 0 to 1: a misspelling shares most of its letters with the word meant; less is a guess that misleads."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that is most like *word*, or None when none is like it.

    >>> nearest("objektive", ["kind", "objective"])
    'objective'
    """
    matches = get_close_matches(word, sorted(known), n=1, cutoff=_LIKENESS)
    return matches[0] if matches else None


def one_of(words: Sequence[str]) -> str:
    """Return *words* as an enumeration for a message.

    >>> one_of(["page", "ticket"])
    'page or ticket'
    """
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last


def show(value: object) -> str:
    """Return a YAML value as a message names it: scalars as written, collections by their kind."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            text = value if len(value) <= MAX_SHOWN_CHARACTERS else value[: MAX_SHOWN_CHARACTERS - 1] + "…"
            return f"the text {text!r}"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return str(value)
