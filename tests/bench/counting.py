"""Counts the instructions of one request of one case, by callgrind around the driver."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cases import CASES, DRIVE, database, environment, python_of
from sink import Answers, Sink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cases import Variant

WARM = 512
"""Requests before counting begins: caches are full, and the interpreter has specialised its code."""
COUNTED = 1024
"""Requests that are counted: enough that some part of a collection more or less does not show."""


@dataclass(frozen=True)
class Counted:
    """What one request costs."""

    instructions: float
    """Its own share of encoding and posting included; nothing of the kernel's."""
    spans: float
    """Spans that arrived for it."""


def count(
    application: str,
    variant: str,
    *,
    requests: int = COUNTED,
    answers: Answers = Answers.TAKEN,
    python: Callable[[Variant], Path] = python_of,
) -> Counted:
    """Count one case.

    Args:
        application: one of `CASES`.
        variant: one of its variants.
        requests: how many are counted.
        answers: what becomes of exports.
        python: gives the interpreter of a variant.

    Raises:
        SystemExit: valgrind is missing, or the case failed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("Error: Expected valgrind on PATH.\nFound none.\nNext: apt-get install valgrind.")
    what = CASES[application][variant]
    interpreter = python(what)
    with database() as file, Sink(answers) as sink:
        tool = [valgrind, "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null"]
        arguments = [application, "--requests", str(requests), "--warm", str(WARM), "--count", "--ends", what.ends]
        done = subprocess.run(
            [*tool, interpreter, DRIVE, *arguments],
            env=environment(what, file, sink.url, interpreter),
            cwd=file.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        counted = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode or counted is None:
            raise SystemExit(f"{application}/{variant} failed:\n{done.stdout}{done.stderr}")
        return Counted(int(counted[1]) / requests, sink.spans / (requests + WARM))
