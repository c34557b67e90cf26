"""The versions of `checkout`, as images of the local environment."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = "localhost/checkout"
"""Image name, without a tag."""


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
