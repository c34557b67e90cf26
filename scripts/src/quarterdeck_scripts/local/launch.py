"""Become another program that dies with its parent: `python launch.py [--detach] PARENT -- PROGRAM ARGUMENT…`.

A file of its own, run with `-I -S` in 20 ms, because what has to happen between fork and exec must not happen
in a process with threads. Standard library only; imports nothing of ours.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h. Survives exec; the kernel sends the signal when the thread that forked us is gone."""
EXIT_NO_PARENT = 125
"""Our parent was gone before it could be watched."""
EXIT_CANNOT_EXECUTE = 126
"""The program could not be started; the reason is on stderr."""


def _die_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above took hold
        os._exit(EXIT_NO_PARENT)


def _detach() -> None:
    child = os.fork()
    if child:
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def main(arguments: list[str]) -> None:
    """Prepare this process and execute the program; does not return."""
    separator = arguments.index("--")
    options, program = arguments[:separator], arguments[separator + 1 :]
    if options == ["--detach"]:
        _detach()
    else:
        _die_with(int(options[0]))
    try:
        os.execvp(program[0], program)  # noqa: S606 -- becoming the program is this file's whole purpose
    except OSError as error:
        sys.stderr.write(f"cannot execute {program[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(EXIT_CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1:])
