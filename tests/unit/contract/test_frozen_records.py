"""What is made by `record` is what `dataclass(frozen=True, slots=True)` makes, and nothing is compiled for it."""

from __future__ import annotations

import builtins
import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.records import record

if TYPE_CHECKING:
    from collections.abc import Callable


@record(frozen=True, slots=True)
class Shelf:
    """One of the kind."""

    name: str
    books: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


@record(frozen=True, slots=True)
class TallShelf(Shelf):
    """One with a field more."""

    height: float = 2.0


@dataclass(frozen=True, slots=True)
class Generated:
    """The same, of the standard library's making."""

    name: str
    books: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


def test_values_come_by_position_by_name_or_by_default() -> None:
    """In the order in which they are written, the parent's first; a default that is made is made each time."""
    shelf = TallShelf("a", notes={"b": "c"}, books=("d",))

    assert (shelf.name, shelf.books, shelf.notes, shelf.height) == ("a", ("d",), {"b": "c"}, 2.0)
    assert Shelf("a").notes is not Shelf("a").notes
    assert repr(shelf) == "TallShelf(name='a', books=('d',), notes={'b': 'c'}, height=2.0)"


@pytest.mark.parametrize(
    "make", [lambda kind: kind(), lambda kind: kind("a", (), {}, 1), lambda kind: kind("a", name="b")]
)
def test_what_does_not_fit_raises(make: Callable[[Any], object]) -> None:
    """As with the standard library's."""
    for kind in (Shelf, Generated):
        with pytest.raises(TypeError):
            make(kind)


def test_equal_values_are_one_thing_and_another_class_is_another() -> None:
    """Compared and hashed by all values."""
    assert Shelf("a", ("b",)) == Shelf("a", ("b",)) != Shelf("a", ("c",))
    assert Shelf("a") != TallShelf("a")
    assert len({Key("a", 1), Key("a", 1), Key("a", 2)}) == 2


@record(frozen=True, slots=True)
class Key:
    """One that can be hashed."""

    name: str
    number: int


def test_nothing_can_be_changed() -> None:
    """Neither set, deleted, nor added."""
    shelf: Any = Shelf("a")

    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
        shelf.name = "b"
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del shelf.name
    assert not hasattr(shelf, "__dict__")


def test_the_standard_library_knows_it_for_a_dataclass() -> None:
    """Fields, `replace`, `match`, copies and pickles."""
    shelf = TallShelf("a", height=1.0)

    assert is_dataclass(TallShelf)
    assert [each.name for each in fields(TallShelf)] == ["name", "books", "notes", "height"]
    assert replace(shelf, name="b") == TallShelf("b", height=1.0)
    assert copy.deepcopy(shelf) == pickle.loads(pickle.dumps(shelf)) == shelf  # noqa: S301 -- its own
    match shelf:
        case TallShelf(name, _, _, height):
            assert (name, height) == ("a", 1.0)


def test_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what it is for."""
    compiled: list[Any] = []
    monkeypatch.setattr(builtins, "exec", lambda *arguments: compiled.append(arguments))

    kind: Any = type("Made", (), {"__annotations__": {"a": "int", "b": "int"}})
    made = record(frozen=True, slots=True)(kind)

    assert (made(1, b=2).b, compiled) == (2, [])


def test_no_other_kind_is_made() -> None:
    """One that asks for less than all of it."""
    with pytest.raises(TypeError, match="expected frozen=True and slots=True"):
        record(frozen=True, slots=False)
