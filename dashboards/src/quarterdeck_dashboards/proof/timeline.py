"""Time in whole minutes, traffic in phases, and both in promtool's notation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.alerts import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from quarterdeck_dashboards.rulefile import AlertingRule

SCRAPED_EVERY = 1
"""Minutes between two samples."""

CLUSTER = "proof"
"""Value of the target label `cluster` in proofs."""


def minutes(duration: timedelta) -> int:
    """Return *duration* in minutes, rounded up."""
    return math.ceil(duration.total_seconds() / 60)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of constant growth."""

    length: int
    """Minutes."""
    growth: float
    """Of the counter, per minute."""
    resets: bool = False
    """Whether the counter begins anew, at 0, just before it."""
    lost: bool = False
    """Whether its samples are missing, though the counter grows."""


def counter(phases: Iterable[Phase], *, born: int = 0) -> str:
    """Return a counter's samples from minute 0; it does not exist before minute *born*, and then begins at 0.

    >>> counter([Phase(2, 5), Phase(3, 0)])
    '0 5+5x1 10+0x2'
    >>> counter([Phase(2, 5), Phase(2, 5, lost=True), Phase(1, 5)])
    '0 5+5x1 _x2 25+5x0'
    >>> counter([Phase(2, 5), Phase(2, 3, resets=True)])
    '0 5+5x1 3+3x1'
    """
    value, minute = 0.0, 0
    parts = ["0" if born == 0 else f"_x{born} 0"]
    for phase in phases:
        begin = max(minute, born)
        minute += phase.length
        if minute <= begin:
            continue
        value = 0.0 if phase.resets else value
        samples = minute - begin
        parts.append(f"_x{samples}" if phase.lost else f"{value + phase.growth:.15g}+{phase.growth:.15g}x{samples - 1}")
        value += phase.growth * samples
    return " ".join(parts)


def selector(name: str, labels: Mapping[str, str]) -> str:
    """Return one series as promtool writes it.

    >>> selector("up", {"service": "checkout"})
    'up{service="checkout"}'
    """
    inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an alert fires at one minute."""

    minute: int
    rule: AlertingRule
    labels: Mapping[str, str]
    """Labels of the firing alert, beside its name and state."""
    fires: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the check as promtool writes it: over the series ALERTS, which holds no annotations' numbers."""
        own = {key: self.labels[key] if "{{" in value else value for key, value in self.rule.labels.items()}
        wanted = {"alertname": self.rule.alert, "alertstate": "firing", **own}
        alert = selector("ALERTS", {**self.labels, **wanted})
        return {
            "expr": selector("ALERTS", wanted),
            "eval_time": f"{self.minute}m",
            "exp_samples": [{"labels": alert, "value": 1}] if self.fires else [],
        }


@dataclass(frozen=True, slots=True)
class Silence:
    """That no alert at all fires at one minute, but the one that always does."""

    minute: int

    def to_dict(self) -> dict[str, Any]:
        """Return the check as promtool writes it."""
        expr = f'ALERTS{{alertstate="firing",alertname!="{WATCHDOG}"}}'
        return {"expr": expr, "eval_time": f"{self.minute}m", "exp_samples": []}


@dataclass(frozen=True, slots=True)
class Test:
    """One promtool test: its claim, what is scraped, and what must follow."""

    claim: str
    series: Mapping[str, str]
    """Series to its samples."""
    checks: tuple[Check | Silence, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the test as promtool writes it."""
        return {
            "name": self.claim,
            "interval": f"{SCRAPED_EVERY}m",
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": [check.to_dict() for check in self.checks],
        }
