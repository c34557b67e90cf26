"""Run the pod runner: `python -m quarterdeck_scripts.local.pods SETTINGS`, started by the supervisor."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.local.pods.runner import Runner
from quarterdeck_scripts.local.pods.settings import RunnerSettings
from quarterdeck_scripts.local.state import Layout


def main(path: Path) -> None:
    """Read the settings and run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = RunnerSettings.from_json(json.loads(path.read_text(encoding="utf-8")))
    layout = Layout(Path(settings.state))
    layout.pods.mkdir(mode=0o700, exist_ok=True)
    layout.roots.mkdir(mode=0o700, exist_ok=True)
    asyncio.run(Runner(settings, layout, connect(Path(settings.kubeconfig))).run())
    os._exit(0)  # watching threads block in reads for minutes; nothing is left to be written


if __name__ == "__main__":
    main(Path(sys.argv[1]))
