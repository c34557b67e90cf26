"""Validators that say what was expected and what was found, for `load` to give a line to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from quarterdeck_dashboards.catalogue.problem import show
from quarterdeck_dashboards.duration import parse_duration

if TYPE_CHECKING:
    from datetime import timedelta

OWN_ERROR = "quarterdeck"
"""Type of the errors raised here: their context has `expected`, `found`, and perhaps `at`, `key`, `word`, `words`."""


def wrong(
    expected: str,
    found: str,
    *,
    at: tuple[str | int, ...] | None = None,
    key: str | None = None,
    word: str | None = None,
    words: Iterable[str] = (),
) -> PydanticCustomError:
    """Return the error to raise.

    Args:
        expected: what should stand there.
        found: what stands there.
        at: the path, from the enclosing model, of the value at fault, when it is not the validated field.
        key: the key of the validated mapping that is at fault.
        word: the word that is at fault, where it is not *key*.
        words: valid words, of which the one nearest to *word* or *key* is suggested.
    """
    context = {"expected": expected, "found": found, "at": at, "key": key, "word": word or key, "words": sorted(words)}
    return PydanticCustomError(OWN_ERROR, "expected {expected}, found {found}", context)


def duration(value: object) -> timedelta:
    """Read a duration, or say what one looks like."""
    try:
        return parse_duration(value)
    except ValueError:
        found = show(value)
    if value in ("0", "0s", "0m", "0ms", "0h", "0d"):
        raise wrong("a duration longer than nothing", found)
    raise wrong("a duration such as 250ms, 30s, 5m, 1h30m or 30d", found)


@dataclass(frozen=True)
class UniqueNames:
    """Demands that the `name`s of a tuple's items differ, and says so beside the errors inside the items."""

    noun: str
    """What the items are, in the singular."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Wrap the tuple's own validation."""
        return core_schema.no_info_wrap_validator_function(self._validate, handler(source))

    def _validate(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        errors = self._duplicates(value) if isinstance(value, list | tuple) else []
        try:
            result = handler(value)
        except ValidationError as error:
            errors += [
                InitErrorDetails(
                    type=PydanticCustomError(each["type"], "{why}", {**each.get("ctx", {}), "why": each["msg"]}),
                    loc=each["loc"],
                    input=each["input"],
                )
                for each in error.errors()
            ]
        if errors:
            raise ValidationError.from_exception_data(self.noun, errors)
        return result

    def _duplicates(self, items: Iterable[Any]) -> list[InitErrorDetails]:
        first: dict[str, int] = {}
        errors = []
        for index, item in enumerate(items):
            name = item.get("name") if isinstance(item, Mapping) else getattr(item, "name", None)
            if not isinstance(name, str):
                continue
            if name in first:
                error = PydanticCustomError(
                    OWN_ERROR,
                    "expected {expected}, found {found}",
                    {
                        "expected": f"each {self.noun} name once",
                        "found": f"{name!r} again",
                        "first": (first[name], "name"),
                    },
                )
                errors.append(InitErrorDetails(type=error, loc=(index, "name"), input=name))
            first.setdefault(name, index)
        return errors
