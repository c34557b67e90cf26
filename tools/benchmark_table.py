"""A section of docs/benchmarks.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a section with one table, whose first column is of text and the others are of numbers."""
    cells = [f"| {' | '.join(each)} |" for each in (columns, *rows)]
    lines = [f"## {title}", "", cells[0], f"|{'---|' * len(columns)}", *cells[1:]]
    return "\n".join(lines) + "\n"
