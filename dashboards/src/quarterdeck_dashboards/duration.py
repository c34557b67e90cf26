"""Prometheus durations to and from `timedelta`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
"""Milliseconds per unit, largest first; a year is 365 days, as in Prometheus."""

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def parse_duration(value: object) -> timedelta:
    """Read a Prometheus duration.

    Raises:
        ValueError: it is not one, with examples of what is.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"expected a duration such as 250ms, 30s, 5m, 1h30m or 30d, found {value!r}")
    total = sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS.values(), strict=True) if n)
    if total == 0:
        raise ValueError(f"expected a duration longer than nothing, found {value!r}")
    return timedelta(milliseconds=total)


def format_duration(value: timedelta) -> str:
    """Write *value* as Prometheus does, without years and weeks, which read badly.

    >>> format_duration(timedelta(hours=1, minutes=30)), format_duration(timedelta(days=30))
    ('1h30m', '30d')
    """
    rest = round(value / timedelta(milliseconds=1))
    parts = []
    for unit, size in _UNITS.items():
        if unit in {"y", "w"}:
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
