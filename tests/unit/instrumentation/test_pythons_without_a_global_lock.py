"""A free-threaded Python: additions of two threads can be one, and whoever starts there is told so."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, sys
sys._is_gil_enabled = lambda: {locked}
os.environ["OTEL_METRICS_EXPORTER"] = "none"
from quarterdeck_instrumentation import failures, runtime
runtime.current()
print(failures.counts())
"""
SAID = "this Python has no global lock, so counts by several threads may be too low; the service is not affected\n"


@pytest.mark.parametrize(
    ("locked", "printed"), [("True", ("{}\n", "")), ("False", ("{'requests': 1}\n", SAID))], ids=["with", "without"]
)
def test_it_is_said_at_the_start(locked: str, printed: tuple[str, str]) -> None:
    """Once, and counted, because nothing else would show it."""
    code = CODE.format(locked=locked)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == printed
