"""`services.yaml` to models, or to one error that names every problem with its file, line, column and field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.catalogue import document, validators
from quarterdeck_dashboards.catalogue.model import PATTERN_WORDS, Catalogue
from quarterdeck_dashboards.catalogue.problem import FileError, Problem, nearest, one_of, show

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

MEANT = "a catalogue of services"
"""What the file is, for messages."""


def load(path: Path) -> Catalogue:
    """Read the catalogue in *path*.

    Raises:
        UsageError: it cannot be read, or it is a FileError with every problem in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"a readable file {path}", error.strerror or str(error), "name the catalogue with --services"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} to be UTF-8 text",
            f"the byte {error.object[error.start]:#04x} at {error.start}",
            "save it as UTF-8",
        ) from error
    return parse(text, str(path))


def parse(text: str, origin: str) -> Catalogue:
    """Read the catalogue in *text*; *origin* is where it came from, for messages.

    Raises:
        FileError: with every problem in it.
    """
    try:
        source = document.read(text)
    except document.DocumentError as error:
        raise FileError(origin, MEANT, [error.problem]) from error
    try:
        catalogue = Catalogue.model_validate(source.data)
    except ValidationError as error:
        problems = [*source.problems, *_problems(error, source)]
        raise FileError(origin, MEANT, problems) from error
    if source.problems:
        raise FileError(origin, MEANT, source.problems)
    return catalogue


def _problems(error: ValidationError, source: document.Document) -> list[Problem]:
    """Translate pydantic's errors, saying nothing twice.

    A missing key whose misspelling is an error is not also missing; a list whose items are all wrong is not also
    empty, as pydantic has it.
    """
    details = error.errors(include_url=False)
    unknown = [each["loc"] for each in details if each["type"] == "extra_forbidden"]
    suggested = {(*loc[:-1], nearest(str(loc[-1]), _keys_at(loc[:-1]))) for loc in unknown}
    return [
        _problem(each, source)
        for each in details
        if not (each["type"] == "missing" and tuple(each["loc"]) in suggested)
        and not (each["type"] == "too_short" and each["input"])
    ]


def _problem(each: ErrorDetails, source: document.Document) -> Problem:
    path: document.Path = tuple(each["loc"])
    context = each.get("ctx", {})
    at_key = each["type"] == "extra_forbidden"
    expected, found, words = _words(each, path, context)
    if context.get("at") is not None:
        path = (*path[:-1], *context["at"])
    if context.get("key") is not None:
        path = (*path, context["key"])
        at_key = True
    if "first" in context:
        first = source.position((*path[:-2], *context["first"]))
        expected = f"{expected} (first in line {first.line})"
    near = nearest(*words) if words else None
    return Problem(source.position(path, key=at_key), document.dotted(path), expected, found, near)


def _words(
    each: ErrorDetails, path: document.Path, context: dict[str, Any]
) -> tuple[str, str, tuple[str, list[str]] | None]:
    """Return what was expected, what was found, and (word, known words) where a suggestion makes sense."""
    value = each["input"]
    match each["type"]:
        case validators.OWN_ERROR:
            key = context.get("key")
            return context["expected"], context["found"], (key, context["words"]) if key else None
        case "extra_forbidden":
            keys = _keys_at(path[:-1])
            return f"one of the keys {one_of(keys)}", f"the unknown key {path[-1]!r}", (str(path[-1]), keys)
        case "missing":
            return f"the key {path[-1]}", "none", None
        case "literal_error" | "enum":
            known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
            return one_of(known), show(value), (value, known) if isinstance(value, str) else None
        case "string_pattern_mismatch":
            return PATTERN_WORDS[context["pattern"]], show(value), None
        case kind:
            return _KINDS.get(kind, each["msg"]).format(**context), show(value), None


_KINDS = {
    "string_type": "text",
    "string_too_short": "some text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "too_short": "at least one item",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}
"""What pydantic's error types mean to someone who writes YAML."""


def _keys_at(path: document.Path) -> list[str]:
    """Return the keys of the model that *path* leads to, in the order of the reference."""
    model: type[BaseModel] = Catalogue
    for part in path:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
