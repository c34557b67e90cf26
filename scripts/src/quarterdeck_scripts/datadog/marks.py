"""What says that something in Datadog is ours: tags, or where it has none, the last line of a text. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarterdeck_dashboards.resource import Json

MANAGED_BY = "managed-by:quarterdeck"
"""On everything of ours, in every environment."""
ENVIRONMENT = "quarterdeck-env"
"""Tag: which environment's it is."""
KEY = "quarterdeck-key"
"""Tag: which resource it is, the same for ever."""
APPLIED = "quarterdeck-applied"
"""Tag: digest of the resource as it was applied; what differs though this is the same was changed there."""

_MARK = re.compile(r"(managed-by|quarterdeck-[a-z]+):(\S+)")
_LINE = re.compile(rf"\s*{re.escape(MANAGED_BY)} .*\Z")


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one resource."""

    environment: str
    key: str
    applied: str

    def words(self) -> list[str]:
        """Return them as tags."""
        named = ((ENVIRONMENT, self.environment), (KEY, self.key), (APPLIED, self.applied))
        return [MANAGED_BY, *(f"{name}:{value}" for name, value in named)]


def in_environment(environment: str) -> str:
    """Return the tag of everything of *environment*."""
    return f"{ENVIRONMENT}:{environment}"


def put_on(body: Json, field: str, marks: Marks) -> Json:
    """Return *body* with *marks* in its *field*: a list of tags, or a text."""
    value = body.get(field)
    marked: Any = f"{value or ''}\n\n{' '.join(marks.words())}" if _is_text(field) else [*(value or []), *marks.words()]
    return body | {field: marked}


def taken_off(body: Json, field: str) -> tuple[Json, Marks | None]:
    """Return *body* without the marks in its *field*, and the marks; None when it has none of ours, or not all."""
    value = body.get(field)
    words = (value or "").split() if _is_text(field) else list(value or [])
    said = {match[1]: match[2] for word in words if (match := _MARK.fullmatch(word))}
    if said.get("managed-by") != "quarterdeck" or ENVIRONMENT not in said or KEY not in said:
        return body, None
    plain: Any = _LINE.sub("", value) if _is_text(field) else [word for word in words if not _MARK.fullmatch(word)]
    return body | {field: plain}, Marks(said[ENVIRONMENT], said[KEY], said.get(APPLIED, ""))


def _is_text(field: str) -> bool:
    return field != "tags"
