"""Quantities as Kubernetes writes them: `250m` of a processor, `512Mi` of memory. Pure.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
"""What is written in practice: of the whole grammar signs, exponents and nano are left out."""

_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTP", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTP", start=1)},
}


def parse_quantity(text: str) -> Decimal:
    """Return what *text* stands for: cores, or bytes.

    >>> parse_quantity("250m"), parse_quantity("1.5Gi")
    (Decimal('0.250'), Decimal('1610612736.0'))

    Raises:
        ValueError: it is no quantity.
    """
    if not re.fullmatch(QUANTITY_PATTERN, text):
        raise ValueError(f"expected a quantity such as 250m or 512Mi, found {text!r}")
    number = text.rstrip("mkMGTPi")
    return Decimal(number) * _SUFFIXES[text.removeprefix(number)]
