"""What every Quarterdeck error says, and the exit codes of every command.

QuarterdeckError
├── UsageError          the input is wrong: a key, a name, a flag           exit 2
├── InconclusiveError   neither yes nor no: a person has to look            exit 3
└── RefusedError        going on could do harm                              exit 4
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it; importing it from typing costs each `quarterdeck-instrument` 10 ms
if TYPE_CHECKING:
    from typing import ClassVar

EXIT_DONE = 0
"""What was asked for is done, and was verified."""
EXIT_FAILED = 1
"""It was tried and did not work, or the verdict was FAIL and the change is undone."""
EXIT_USAGE = 2
"""The command line or an input file is wrong; nothing was tried."""
EXIT_INCONCLUSIVE = 3
"""The evidence decides neither way: a person is needed."""
EXIT_REFUSED = 4
"""Refused for safety: wrong cluster, lock held by another, frozen, not permitted."""
EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C (128 + SIGINT)."""
EXIT_TERMINATED = 143
"""Ended by SIGTERM (128 + SIGTERM)."""


class QuarterdeckError(Exception):
    """What was expected, what was found, and what to do next."""

    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        """Each text is one clause without a full stop; `next_step` is an imperative."""
        super().__init__(expected, found, next_step)
        self.expected = expected
        self.found = found
        self.next_step = next_step

    def __str__(self) -> str:
        return f"Expected {self.expected}.\nFound {self.found}.\nNext: {self.next_step}."


class UsageError(QuarterdeckError):
    """The command line or an input file is wrong; nothing was tried."""

    exit_code: ClassVar[int] = EXIT_USAGE


class InconclusiveError(QuarterdeckError):
    """The evidence decides neither way; a person has to look."""

    exit_code: ClassVar[int] = EXIT_INCONCLUSIVE


class RefusedError(QuarterdeckError):
    """Going on could do harm, so nothing was changed."""

    exit_code: ClassVar[int] = EXIT_REFUSED
