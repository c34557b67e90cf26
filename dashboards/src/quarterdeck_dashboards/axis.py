"""Where an axis of a picture has its marks, whoever draws it."""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int, *, binary: bool = False) -> list[float]:
    """Return round values from *low* to *high*, at most about *most* of them; with *binary*, round in powers of two.

    >>> ticks(0.0, 0.06, 4), ticks(0.0, 3.0 * 2**20, 4, binary=True)
    ([0.0, 0.02, 0.04, 0.06], [0.0, 1048576.0, 2097152.0, 3145728.0])
    """
    raw = (high - low) / most
    if binary:
        step = 2.0 ** math.ceil(math.log2(raw))
    else:
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]
