"""uWSGI: its workers begin telemetry before their first request; with `--lazy-apps`, with it.

It is a C program with Python inside, so the applications it calls are measured by the hooks into their frameworks
alone. It forks behind Python's back, so what a worker must not inherit is let go of here. Its workers end by Python's
`atexit`, unless they are busy: then it runs nothing, which `--die-on-term` makes of any SIGTERM under load.
"""

from __future__ import annotations

import sys
from typing import Any

from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.exposition import session
from quarterdeck_instrumentation.frameworks import serving

NAME = "uwsgi"
"""The module that only a process of uWSGI has, and that nobody imports from anywhere."""


def patch_process(module: Any) -> None:
    """Have the process be told when it is a worker; the module is there before any application is."""
    if module.masterpid():
        session.led_by(module.masterpid())
    other = getattr(module, "post_fork_hook", None)

    def hook() -> None:
        _forked()
        if other is not None:
            other()

    module.post_fork_hook = hook


def patch_decorators(module: Any) -> None:
    """Have `uwsgidecorators`, which puts a hook of its own there when it is imported, call ours first."""
    module.postfork_chain.insert(0, _forked)


def _forked() -> None:
    runtime.forked()
    serving.begin(getattr(sys.modules[NAME], "cores", 0))  # threads, or greenlets
