"""Who has which name on the page: the contract before OpenTelemetry's instruments, these before `prometheus_client`'s.

One name can have one type and one meaning on a page. Whoever comes second with another meaning is left out, which is
said once; `refused` tells the doctor.
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.foreign import bare, form_of, page_names

if TYPE_CHECKING:
    from quarterdeck_contract.metrics import Metric

Claim = tuple["Owner", str, str]
"""Whose it is, the family's name, and its type."""


class Owner(enum.IntEnum):
    """Whose a name is. The lesser wins."""

    CONTRACT = 0
    OPENTELEMETRY = 1
    PROMETHEUS_CLIENT = 2


class Names:
    """The names of one process."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        for metric in metrics.ALL:
            self._claims |= dict.fromkeys(page_names(metric), (Owner.CONTRACT, bare(metric), form_of(metric)))
        self.refused: dict[str, str] = {}
        """Name of a metric that is not on the page → why."""

    def take(self, metric: Metric, owner: Owner) -> bool:
        """Take all names of *metric*, unless somebody has one who comes first; then say so, and take none."""
        claim = (owner, bare(metric), form_of(metric))
        names = page_names(metric)
        for name in sorted(names):
            held = self._claims.get(name)
            if held is not None and held != claim and held[0] <= owner:
                self._refuse(metric, owner, name, held)
                return False
        self._claims.update(dict.fromkeys(names, claim))
        return True

    def _refuse(self, metric: Metric, owner: Owner, name: str, held: Claim) -> None:
        if metric.name in self.refused:
            return
        whose, family, form = held
        mine = f"{owner.name.lower()}'s {form_of(metric)} {metric.name} is not on the page"
        why = f"{name} is {whose.name.lower()}'s {form} {family}"
        self.refused[metric.name] = why
        if whose is Owner.CONTRACT:
            # No failure: FastAPI and others measure requests themselves as soon as somebody listens.
            logging.getLogger("quarterdeck").info("%s, because %s", mine, why)
        else:
            failed("metrics", f"{mine}, because {why}")
