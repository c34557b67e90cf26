"""Reads a stack's configuration, in which every value is text, into the fields of frozen dataclasses.

A field names its key and how its text is read; so the keys there are, what is missing and the generated reference all
come from the same declaration.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import timedelta
    from enum import Enum

    from _typeshed import DataclassInstance

    E = TypeVar("E", bound=Enum)
    G = TypeVar("G", bound=DataclassInstance)


_NEAR = 3
"""How many keys are named where one is none."""
_REFERENCE = "docs/reference/environments.md"
"""Where all keys are explained."""


class KeyRefusedError(UsageError):
    """A key that nothing reads, or a value that its key cannot have."""

    def __init__(self, expected: str, found: str, next_step: str, key: str, near: str = "") -> None:
        """Take what a UsageError takes, the key, and how it is spelt where it is none."""
        super().__init__(expected, found, next_step)
        self.key = key
        self.near = near

    def in_arguments(self) -> UsageError:
        """Return the same of a key given by `--config`: neither a file nor `pulumi config set` mends that."""
        step = f"write --config {self.near or self.key}=…"
        return UsageError(self.expected, self.found, f"{step}, as {_REFERENCE} explains it")


def key(name: str, read: Callable[[str], Any], *, shown: bool = True) -> Any:
    """Declare a field whose value is what *read* makes of the text at the key *name*; a ValueError refuses it.

    Args:
        name: as in Pulumi.yaml.
        read: makes a value of the text, or says "expected A, found B".
        shown: whether `repr` may show it.
    """
    return field(metadata={"key": name, "read": read}, repr=shown)


def group(cls: type[DataclassInstance]) -> Any:
    """Declare a field that is a dataclass of keys itself."""
    return field(metadata={"group": cls})


def declared(cls: type[DataclassInstance]) -> Iterator[tuple[str, type[DataclassInstance], str]]:
    """Yield each key of *cls* and of its groups, with the class and the name of its field."""
    for each in fields(cls):
        if "group" in each.metadata:
            yield from declared(each.metadata["group"])
        elif "key" in each.metadata:
            yield each.metadata["key"], cls, each.name


def check_keys(cls: type[DataclassInstance], stack: str, config: Mapping[str, str]) -> None:
    """Refuse a key that nothing reads, and one that has neither a value nor a default.

    Raises:
        UsageError: there is one.
    """
    known = {name for name, _, _ in declared(cls)}
    unknown = sorted(config.keys() - known)
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=_NEAR)
        step = f"write {near[0]}" if near else "remove it"
        such = f", such as {', '.join(near)}" if near else ""
        raise KeyRefusedError(
            f"a configuration key of {_REFERENCE}{such}",
            unknown[0],
            f"{step} in Pulumi.{stack}.yaml",
            unknown[0],
            near[0] if near else "KEY",
        )
    missing = sorted(known - config.keys())
    if missing:
        raise UsageError(
            f"a value for {', '.join(missing)}",
            "none",
            f"`pulumi config set {missing[0]} …`, or a default in Pulumi.yaml",
        )


def read(cls: type[G], config: Mapping[str, str], **given: object) -> G:
    """Make a *cls* of *config*, its fields without a key being *given*.

    Raises:
        UsageError: a value is not of its key's type.
    """
    values: dict[str, object] = dict(given)
    for each in fields(cls):
        if "group" in each.metadata:
            values[each.name] = read(each.metadata["group"], config)
        elif "key" in each.metadata:
            if each.repr:
                _refuse_credentials(each.metadata["key"], config[each.metadata["key"]])
            values[each.name] = _value(config, each.metadata["key"], each.metadata["read"])
    return cls(**values)


_CREDENTIALS = re.compile(r"://[^/?#\s\"@]*@")
"""A user, perhaps with a password, in a URL."""


def _refuse_credentials(name: str, value: str) -> None:
    """Refuse a URL with credentials: it would be in a ConfigMap, in a rendering and in the state for all to read."""
    if _CREDENTIALS.search(value):
        raise KeyRefusedError(
            f"the key {name} without a user or a password: it is written where everybody may read it",
            "a URL with them, not shown here",
            f"`pulumi config set {name} …` without them; a receiver's token is in the Secret remote-write-NAME",
            name,
        )


def _value(config: Mapping[str, str], name: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(config[name])
    except ValueError as error:
        # Each says "expected A, found B".
        expected, _, found = str(error).removeprefix("expected ").rpartition(", found ")
        raise KeyRefusedError(
            f"the key {name} to be {expected}", found, f"`pulumi config set {name} …`", name
        ) from error


# What a text may be read as. Each raises a ValueError "expected A, found B".


def text(value: str) -> str:
    """Return *value* as it is."""
    return value


def flag(value: str) -> bool:
    """Read `true` or `false`."""
    if value not in {"true", "false"}:
        raise ValueError(f"expected true or false, found {value!r}")
    return value == "true"


def count(at_least: int, at_most: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number within these bounds."""
    bounds = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"

    def read(value: str) -> int:
        if not value.isdecimal() or int(value) < at_least or (at_most is not None and int(value) > at_most):
            raise ValueError(f"expected a whole number {bounds}, found {value!r}")
        return int(value)

    return read


def choice(kind: type[E]) -> Callable[[str], E]:
    """Return what reads a value of the enumeration *kind*."""

    def read(value: str) -> E:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(
                f"expected one of {', '.join(str(each.value) for each in kind)}, found {value!r}"
            ) from None

    return read


def duration(value: str) -> timedelta:
    """Read a duration as Prometheus writes it."""
    return parse_duration(value)


def whole_seconds(value: str) -> timedelta:
    """Read a duration of whole seconds."""
    read = parse_duration(value)
    if read.microseconds:
        raise ValueError(f"expected whole seconds, found {value!r}")
    return read


_QUANTITY = re.compile(r"[1-9]\d*(Mi|Gi|Ti)")


def storage(value: str) -> str:
    """Read a size of a volume or of memory in Kubernetes' notation; empty is none."""
    if value and not _QUANTITY.fullmatch(value):
        raise ValueError(f"expected a size such as 512Mi or 50Gi, found {value!r}")
    return value


_GIBIBYTES = {"Mi": 1 / 1024, "Gi": 1.0, "Ti": 1024.0}


def gibibytes(quantity: str) -> float:
    """Return the size that `storage` has read, in GiB.

    >>> gibibytes("512Mi")
    0.5
    """
    return int(quantity[:-2]) * _GIBIBYTES[quantity[-2:]] if quantity else 0.0


def texts(value: str) -> tuple[str, ...]:
    """Read a JSON list of strings, which is how Pulumi hands a list to a program."""
    try:
        items = json.loads(value)
    except ValueError:
        raise ValueError(f"expected a list of strings, found {value!r}") from None
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise ValueError(f"expected a list of strings, found {value!r}")
    return tuple(items)


def url(value: str) -> str:
    """Read the URL of something that speaks HTTP; empty is none."""
    if value and not _is_http(value):
        raise ValueError(f"expected a URL such as https://example.com/path, found {value!r}")
    return value


def urls(value: str) -> tuple[str, ...]:
    """Read a JSON list of such URLs."""
    return tuple(url(each) for each in texts(value))


_RECEIVER = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")
"""A name that may end one of Kubernetes'."""


def receivers(value: str) -> dict[str, str]:
    """Read a JSON list of `name=url`, each name fit to be part of a Secret's."""
    found = assignments(value)
    for name, address in found.items():
        if not _RECEIVER.fullmatch(name):
            raise ValueError(f"expected names of small letters, digits and dashes, found {name!r}")
        url(address)
    return found


def _is_http(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, and of brackets that do not close
        return False


def assignments(value: str) -> dict[str, str]:
    """Read a JSON list of `name=value`."""
    try:
        items = json.loads(value)
    except ValueError:
        raise ValueError(f'expected a list such as ["checkout=…"], found {value!r}') from None
    if not isinstance(items, list) or not all(isinstance(item, str) and item.partition("=")[2] for item in items):
        raise ValueError(f"expected a list of service=value, found {value!r}")
    return {name: value for name, _, value in (item.partition("=") for item in items)}
