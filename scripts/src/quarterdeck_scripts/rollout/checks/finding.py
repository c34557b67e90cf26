"""What a preflight found: said in the plan, or in the way of the rollout until somebody says why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

OVERRIDE = "--override"
"""The option that passes a guard by; its value is the reason, which is audited."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the rollout will meet."""

    guard: str
    """Who looked: `autoscaler`, `budget`, `owner`, `freeze`."""
    found: str
    """What there is, by name, in one clause."""
    advice: str
    """What to do about it: an imperative."""
    refuses: bool
    """Whether it keeps a rollout from beginning, unless somebody overrides it with a reason."""

    def __str__(self) -> str:
        return f"{self.found}: {self.advice}"


def require(service: str, findings: Iterable[Finding], override: str = "") -> None:
    """Refuse to go on where a finding does.

    Args:
        service: what is rolled out.
        findings: of every guard.
        override: why the guards are passed by; empty when they are not.

    Raises:
        RefusedError: at least one finding refuses, and nobody overrides; all of them are named.
    """
    refusing = [finding for finding in findings if finding.refuses]
    if not refusing or override:
        return
    raise RefusedError(
        f"nothing to speak against changing {service} now",
        "; ".join(finding.found for finding in refusing),
        f"{'; '.join(finding.advice for finding in refusing)}; or add {OVERRIDE} REASON, which is audited",
    )
