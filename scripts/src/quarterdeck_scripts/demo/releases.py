"""The versions of `checkout`, as images of the local environment."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarterdeck_scripts.rollout.steps.state import Ending

REPOSITORY = "localhost/checkout"
"""Image name, without a tag."""

NEAR = 4.0
"""A share of failures that many times above or below what is allowed is told apart within some thousand requests."""


@dataclass(frozen=True)
class Release:
    """One version of the service."""

    tag: str
    payment_failures: float
    """Share of payments it loses, 0 to 1: the defect, if it has one."""

    @property
    def image(self) -> str:
        """Its reference."""
        return f"{REPOSITORY}:{self.tag}"

    def deserves(self, allowed: float) -> frozenset[Ending]:
        """Return how its rollout may end where a share of *allowed* failing requests, 0 to 1, is always acceptable.

        Near what is allowed the evidence may go either way, or take longer than the gate waits.
        """
        if self.payment_failures <= allowed / NEAR:
            return frozenset({Ending.PROMOTED})
        if self.payment_failures >= allowed * NEAR:
            return frozenset({Ending.ROLLED_BACK})
        return frozenset({Ending.PROMOTED, Ending.ROLLED_BACK, Ending.INCONCLUSIVE})

    def config(self, workers: int = 2) -> dict[str, Any]:
        """Return its image configuration: started under `quarterdeck-instrument`, with *workers* processes."""
        # Beside this interpreter, whatever PATH says: the virtual environment may not be activated.
        scripts = Path(sys.executable).parent
        serve = (
            f"exec {scripts}/quarterdeck-instrument {scripts}/uvicorn quarterdeck_scripts.demo.checkout:app"
            f' --host "$POD_IP" --port "$PORT" --workers {workers}'
        )
        return {
            "config": {
                "Entrypoint": ["/bin/sh", "-c", serve],
                "Env": [
                    f"PATH={scripts}:{os.environ.get('PATH', os.defpath)}",
                    f"CHECKOUT_PAYMENT_FAILURES={self.payment_failures}",
                    "PYTHONUNBUFFERED=1",
                ],
                "WorkingDir": "/",
            }
        }
