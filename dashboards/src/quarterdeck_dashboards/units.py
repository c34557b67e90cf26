"""Units of numbers in queries: what may be added, compared and summed, and what a threshold must be in.

Source of the unit codes: UCUM, as OpenTelemetry uses it
(https://opentelemetry.io/docs/specs/semconv/general/metrics/#instrument-units).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

_SCALES: dict[str, tuple[str, float]] = {
    "ns": ("s", 1e-9),
    "us": ("s", 1e-6),
    "ms": ("s", 1e-3),
    "s": ("s", 1.0),
    "seconds": ("s", 1.0),  # no unit code, but some instrumentations say so
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "d": ("s", 86400.0),
    "By": ("By", 1.0),
    "KBy": ("By", 1e3),
    "MBy": ("By", 1e6),
    "GBy": ("By", 1e9),
    "KiBy": ("By", 2.0**10),
    "MiBy": ("By", 2.0**20),
    "GiBy": ("By", 2.0**30),
    "%": ("", 0.01),
    "1": ("", 1.0),
    "": ("", 1.0),
}
"""Unit code → base unit, and how many of it one is."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Powers of base units, and how much one is. Things that are counted (`{request}`) have no unit."""

    powers: frozenset[tuple[str, int]] = frozenset()
    """Base unit and exponent, without zeros."""
    scale: float = 1.0
    """How many of the base units one is: 0.001 of milliseconds."""

    @classmethod
    def parse(cls, code: str) -> Unit:
        """Return the unit that *code* of UCUM means.

        >>> str(Unit.parse("ms")), str(Unit.parse("By/s")), str(Unit.parse("{request}"))
        ('ms', 'By/s', '1')
        """
        main, _, per = code.partition("/")
        return _of(main) / _of(per) if per else _of(main)

    def __mul__(self, other: Unit) -> Unit:
        powers = dict(self.powers)
        for base, power in other.powers:
            powers[base] = powers.get(base, 0) + power
        return Unit(frozenset((base, power) for base, power in powers.items() if power), self.scale * other.scale)

    def __truediv__(self, other: Unit) -> Unit:
        return self * Unit(frozenset((base, -power) for base, power in other.powers), 1 / other.scale)

    def times(self, factor: float) -> Unit:
        """Return the unit of numbers in this one after they were multiplied by *factor*.

        A power of a thousand, or of 1024, changes the unit: seconds times 1000 are milliseconds. So does 100, to
        percent, of what has none. Any other number is a number: twice as many seconds are seconds.
        """
        if factor <= 0 or not math.isfinite(factor):
            return self
        known = _CONVERSIONS | ({100.0, 0.01} if not self.powers else set())
        return Unit(self.powers, self.scale / factor) if any(math.isclose(factor, each) for each in known) else self

    def goes_with(self, other: Unit) -> bool:
        """Say whether numbers in both can be added and compared."""
        return self.powers == other.powers and math.isclose(self.scale, other.scale, rel_tol=1e-6)

    def __str__(self) -> str:
        above = [(base, power) for base, power in sorted(self.powers) if power > 0]
        below = [(base, -power) for base, power in sorted(self.powers) if power < 0]
        shown = _product(above, self.scale)
        return f"{shown}/{_product(below, 1.0)}" if below else shown


_CONVERSIONS = {1e3, 1e6, 1e9, 1e-3, 1e-6, 1e-9, 1024.0, 2.0**20, 2.0**30, 2.0**-10, 2.0**-20, 2.0**-30}

NONE = Unit()
SECONDS = Unit(frozenset({("s", 1)}))


def _of(code: str) -> Unit:
    if "{" in code:
        return NONE
    base, scale = _SCALES.get(code, (code, 1.0))
    return Unit(frozenset({(base, 1)}) if base else frozenset(), scale)


def _product(powers: list[tuple[str, int]], scale: float) -> str:
    if len(powers) <= 1:
        wanted = powers[0] if powers else ("", 1)
        for code, (base, size) in _SCALES.items():
            if (base, 1) == wanted and math.isclose(size, scale) and code:
                return code
    product = ".".join(base + (str(power) if power != 1 else "") for base, power in powers) or "1"
    return product if scale == 1 else f"{scale:g} {product}"


class Part(enum.Enum):
    """Which series of a histogram."""

    BUCKET = "bucket"
    SUM = "sum"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of an expression's numbers. What is not known is None or empty."""

    unit: Unit | None = None
    greatest: float | None = None
    """No number is greater, in `unit`."""
    average: str = ""
    """What the numbers are, when their sum means nothing: `a share`, `a mean`, `a quantile`."""
    part: Part | None = None
    """Of a histogram."""
    measured: Unit | None = None
    """What the histogram measures, for `part`."""
    bound: float | None = None
    """The histogram's highest finite bound, in `measured`."""


UNKNOWN = Values()
COUNTED = Values(NONE)
"""How many there are."""
TRUTH = Values(NONE, greatest=1.0)
"""1, or 0."""
