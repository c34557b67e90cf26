"""The process that owns an environment, from its first part's start to its last part's end.

Run detached by `lifecycle.up`: `python -m quarterdeck_scripts.local.supervisor STATE`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from quarterdeck_contract.errors import EXIT_DONE, QuarterdeckError
from quarterdeck_scripts.local.network import claim_prefix
from quarterdeck_scripts.local.parts import Parts, StoppedError
from quarterdeck_scripts.local.startup import start
from quarterdeck_scripts.local.state import Layout, Phase, read_settings


def run(layout: Layout) -> int:
    """Own the environment until SIGTERM; return the exit code."""
    parts = Parts(layout, read_settings(layout.settings))
    with parts.ending_everything():
        try:
            prefix, claimed = claim_prefix()
            with claimed:
                parts.write(loopback_prefix=prefix)
                start(parts)
                parts.write(phase=Phase.RUNNING, step="")
                parts.watch()
        except StoppedError:
            pass
        except QuarterdeckError as error:
            parts.write(phase=Phase.FAILED, failure=error.found, next_step=error.next_step)
            return error.exit_code
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run(Layout(Path(sys.argv[1]))))
