"""Frozen dataclasses whose methods are shared, not generated.

`dataclasses` compiles six functions for each class: a millisecond of each start of each Python process that imports
it, ten times what all else of the class costs. What is imported by every process of a service is made here instead.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass
from operator import attrgetter

__all__ = ["record"]

TYPE_CHECKING = False  # as type checkers read it; importing it from typing costs every Python child 11 ms
if TYPE_CHECKING:
    from dataclasses import dataclass as record  # which it is, to whoever reads the code
    from typing import Any
else:

    def record(*, frozen: bool, slots: bool) -> Any:
        """Return a decorator that makes a class what `dataclass(frozen=True, slots=True)` would; no others are meant.

        Fields, `replace`, comparison, hash, `match` and pickling are a dataclass's. There are two fields or more, all
        of which are compared and given to `__init__`, and no `__post_init__`.
        """
        if not (frozen and slots):
            raise TypeError("expected frozen=True and slots=True")
        return _made


_VALUES = "_values_of"
"""Attribute of such a class: gets all values of an instance, as a tuple."""


def _made(kind: Any) -> Any:
    made = dataclass(init=False, repr=False, eq=False, slots=True)(kind)  # which compiles nothing
    setattr(made, _VALUES, attrgetter(*made.__dataclass_fields__))
    for name, method in _METHODS.items():
        setattr(made, name, method)
    return made


def _init(self: Any, *given: Any, **named: Any) -> None:
    fields = self.__dataclass_fields__
    put = object.__setattr__
    names = list(fields)
    for name, value in zip(names, given, strict=False):
        put(self, name, value)
    for name in names[len(given) :]:
        if name in named:
            put(self, name, named.pop(name))
        else:
            put(self, name, _default(self, fields[name]))
    if named or len(given) > len(names):
        unknown = ", ".join(named) or f"{len(given)} values"
        raise TypeError(f"{type(self).__name__} is made of {', '.join(names)}; found {unknown}")


def _default(self: Any, field: Any) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is MISSING:
        raise TypeError(f"{type(self).__name__} is missing {field.name}")
    return field.default_factory()


def _repr(self: Any) -> str:
    said = (f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
    return f"{type(self).__qualname__}({', '.join(said)})"


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return self is other or self._values_of(self) == other._values_of(other)  # noqa: SLF001 -- of the same class


def _hash(self: Any) -> int:
    return hash(self._values_of(self))


def _reduce(self: Any) -> Any:
    return type(self), self._values_of(self)


def _setattr(self: Any, name: str, value: object) -> None:
    del self, value
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> None:
    del self
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__reduce__": _reduce,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
}
