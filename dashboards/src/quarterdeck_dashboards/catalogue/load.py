"""`services.yaml` to models, or to one error that names every problem with its file, line, column and field."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.catalogue import document, openapi, validators
from quarterdeck_dashboards.catalogue.fields import PATTERN_WORDS
from quarterdeck_dashboards.catalogue.model import Catalogue
from quarterdeck_dashboards.catalogue.problem import FileError, Problem, nearest, one_of, show

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from quarterdeck_dashboards.catalogue.model import Service

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
    return parse(text, str(path), lambda name: (path.parent / name).read_text(encoding="utf-8"))


def _no_files(name: str) -> str:
    raise FileNotFoundError(errno.ENOENT, "no files beside this text", name)


def parse(text: str, origin: str, read: Callable[[str], str] = _no_files) -> Catalogue:
    """Read the catalogue in *text*.

    Args:
        text: YAML.
        origin: where it came from, for messages.
        read: gives the text of a file that is named relative to it: of an OpenAPI document.

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
    problems = []
    services = []
    for index, service in enumerate(catalogue.services):
        try:
            services.append(_with_operations(service, read))
        except _OpenApiError as error:
            path = ("services", index, *error.path)
            position = source.position(path)
            problems.append(Problem(position, document.dotted(path), error.expected, error.found, error.nearest))
    if problems:
        raise FileError(origin, MEANT, problems)
    return catalogue.model_copy(update={"services": tuple(services)})


def portable(text: str, catalogue: Catalogue) -> str:
    """Return *text*, or where it names documents, *catalogue* as JSON: what can be read where no file is beside it.

    Args:
        text: of a catalogue.
        catalogue: what `parse` made of it.
    """
    data: Any = document.read(text).data
    named = any(service.get("openapi") for service in data["services"])
    return catalogue.model_dump_json(exclude_defaults=True) if named else text


class _OpenApiError(Exception):
    """What is wrong with a service's document, or with an objective that speaks of it."""

    def __init__(self, path: document.Path, expected: str, found: str, near: str | None = None) -> None:
        super().__init__(expected, found)
        self.path = path
        self.expected = expected
        self.found = found
        self.nearest = near


def _with_operations(service: Service, read: Callable[[str], str]) -> Service:
    if service.openapi is None:
        return service
    meant = f"an OpenAPI document in {service.openapi}"
    try:
        return openapi.expanded(service, openapi.operations(read(service.openapi)))
    except openapi.UnknownOperationError as error:
        path = ("slos", error.index, "operation")
        known, found = f"an operationId of {service.openapi}", repr(error.operation)
        raise _OpenApiError(path, known, found, nearest(error.operation, error.known)) from error
    except OSError as error:
        raise _OpenApiError(("openapi",), meant, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _OpenApiError(("openapi",), meant, "bytes that are not UTF-8") from error
    except ValueError as error:
        raise _OpenApiError(("openapi",), meant, str(error)) from error


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
    at_key = each["type"] == "extra_forbidden" or path[-1:] == (_KEY,)
    path = path[:-1] if path[-1:] == (_KEY,) else path
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


_KEY = "[key]"
"""What pydantic ends a path with where the key itself is wrong, not its value."""


def _words(
    each: ErrorDetails, path: document.Path, context: dict[str, Any]
) -> tuple[str, str, tuple[str, list[str]] | None]:
    """Return what was expected, what was found, and (word, known words) where a suggestion makes sense."""
    value = each["input"]
    match each["type"]:
        case validators.OWN_ERROR:
            word = context.get("word")
            return context["expected"], context["found"], (word, context["words"]) if word else None
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
    "greater_than": "more than {gt:g}",
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
