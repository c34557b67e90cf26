"""Freezes: times at which nothing new is let in, by the clock on a wall somewhere."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationInfo, field_validator

from quarterdeck_dashboards.catalogue.fields import Model, Name
from quarterdeck_dashboards.catalogue.validators import wrong

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(rf"({'|'.join(_DAYS)}) ([01]\d|2[0-3]):([0-5]\d)")
_FORM = "a day of the week and a time (fri 16:00), or a date and a time (2026-12-23 12:00)"

MOMENT_PATTERN = rf"^({'|'.join(_DAYS)}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}) [0-9]{{2}}:[0-9]{{2}}$"


class Freeze(Model):
    """One freeze: each week, or once."""

    name: str = Field(min_length=1)
    """Unique in the catalogue; whoever is refused reads it."""
    begins: Annotated[str, Field(json_schema_extra={"pattern": MOMENT_PATTERN})]
    """From when on: `fri 16:00`, each week, or `2026-12-23 12:00`, once."""
    ends: Annotated[str, Field(json_schema_extra={"pattern": MOMENT_PATTERN})]
    """Until when, in the same form; that minute is free again."""
    time_zone: str
    """Whose clock these are read on: `Europe/Berlin`, `UTC`. Named, because a server's own is anybody's guess."""
    services: tuple[Name, ...] = ()
    """Only these services; left out, all of them."""
    why: str = ""
    """The reason, for whoever is refused."""

    @field_validator("begins", "ends")
    @classmethod
    def _is_a_moment(cls, value: str) -> str:
        if not _WEEKLY.fullmatch(value):
            _date(value)
        return value

    @field_validator("ends")
    @classmethod
    def _after_its_beginning(cls, value: str, info: ValidationInfo) -> str:
        begins = info.data.get("begins")
        if begins is None:
            return value
        weekly = _WEEKLY.fullmatch(begins) is not None
        if weekly != (_WEEKLY.fullmatch(value) is not None):
            raise wrong("the same form as begins: both each week, or both once", f"{begins} and {value}")
        if value == begins or (not weekly and _date(value) < _date(begins)):
            raise wrong(f"a time after begins, {begins}", value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in available_timezones():
            raise wrong(
                "a time zone's name, such as Europe/Berlin or UTC", repr(value), word=value, words=available_timezones()
            )
        return value

    def concerns(self, service: str) -> bool:
        """Return whether it is about *service*."""
        return not self.services or service in self.services

    def until(self, now: datetime) -> datetime | None:
        """Return when the freeze that holds at *now* (aware) ends; None when none holds.

        Times are compared as the clock on the wall shows them, so a weekly freeze begins at the same hour in summer.
        """
        zone = ZoneInfo(self.time_zone)
        wall = now.astimezone(zone).replace(tzinfo=None)
        if _WEEKLY.fullmatch(self.begins) is None:
            begins, ends = _date(self.begins), _date(self.ends)
        else:
            monday = datetime(wall.year, wall.month, wall.day) - timedelta(days=wall.weekday())  # noqa: DTZ001 -- a wall's
            begins = _latest(monday + _into_week(self.begins), wall)
            ends = begins + (_into_week(self.ends) - _into_week(self.begins)) % timedelta(weeks=1)
        return ends.replace(tzinfo=zone) if begins <= wall < ends else None


def _latest(moment: datetime, now: datetime) -> datetime:
    """Return *moment*, or its like a week before when it is yet to come."""
    return moment if moment <= now else moment - timedelta(weeks=1)


def _into_week(text: str) -> timedelta:
    day, clock = text.split(" ")
    hours, minutes = clock.split(":")
    return timedelta(days=_DAYS.index(day), hours=int(hours), minutes=int(minutes))


def _date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M")  # noqa: DTZ007 -- as a clock on a wall shows it
    except ValueError:
        raise wrong(_FORM, repr(text)) from None
