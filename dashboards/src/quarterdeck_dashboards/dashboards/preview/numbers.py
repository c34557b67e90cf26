"""Numbers as people read them, by unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards.description import Unit

if TYPE_CHECKING:
    from collections.abc import Callable


def shown(value: float, unit: Unit) -> str:
    """Return *value* in *unit* with three digits.

    >>> shown(0.00123, Unit.SECONDS), shown(0.9955, Unit.SHARE), shown(48 * 2**20, Unit.BYTES)
    ('1.23 ms', '99.6 %', '48 MiB')
    """
    return _UNITS[unit](value)


def _plain(value: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{_digits(value / (1e3 if suffix == 'k' else size))}{suffix}"
    return _digits(value)


def _digits(value: float) -> str:
    """Return three significant digits, never in powers of ten.

    >>> _digits(1234.0), _digits(0.5), _digits(0.000012)
    ('1234', '0.5', '0.000012')
    """
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(value: float) -> str:
    return f"{_digits(value * 100)} %"


def _seconds(value: float) -> str:
    for size, suffix in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= size * 0.9995:
            return f"{_digits(value / size)} {suffix}"
    return f"{_digits(value)} s"


def _bytes(value: float) -> str:
    for size, suffix in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(value) >= size:
            return f"{_digits(value / size)} {suffix}"
    return f"{_digits(value)} B"


_UNITS: dict[Unit, Callable[[float], str]] = {
    Unit.SHARE: _share,
    Unit.PER_SECOND: lambda value: f"{_plain(value)}/s",
    Unit.SECONDS: _seconds,
    Unit.BYTES: _bytes,
    Unit.CORES: lambda value: f"{_plain(value)} cores",
    Unit.COUNT: _plain,
    Unit.FACTOR: lambda value: f"{_plain(value)} x",
}
