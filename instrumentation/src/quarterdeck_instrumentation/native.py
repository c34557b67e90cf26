"""Threads, locks and sockets of the operating system, also where gevent has replaced Python's own; Python's collector.

Telemetry waits for what no greenlet may wait for: a file's lock, a disk, a collector. In threads of its own it can,
and a service that never gives way to other greenlets cannot keep its last values from being written.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

TYPE_CHECKING = False  # as type checkers read it; importing it from typing costs every Python child 11 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def original(module: str, name: str) -> Any:
    """Return what *name* was in *module* of the standard library before gevent replaced it, if it did."""
    # While another thread imports gevent its module is there, and what is in it not yet: then nothing is replaced yet.
    get_original = getattr(sys.modules.get("gevent.monkey"), "get_original", None)
    if get_original is not None:
        return get_original(module, name)
    return getattr(import_module(module), name)


def lock() -> Any:
    """Return a new lock."""
    return original("_thread", "allocate_lock")()


class Uncollected:
    """A block without garbage collection, for what only imports and sets up: it makes much, and all of it stays.

    In the midst of it Python would look through all that the service has imported, for 30 ms in a FastAPI service;
    and soon after it, for what was made here. So that is counted as old, with what else is there, but for what the
    service itself keeps from the collector.
    """

    def __enter__(self) -> None:
        self._enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._enabled:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # all that was young is now in the oldest generation, without having been looked at
            gc.enable()


def sleep(seconds: float) -> None:
    """Let this thread sleep."""
    original("time", "sleep")(seconds)


def start_thread(run: Callable[[], object], name: str, imports: tuple[str, ...] = ()) -> None:
    """Have a thread call *run*; it does not keep the process from ending.

    *imports* are the modules that it will import, which spares the caller their time. Not where gevent has replaced
    the locks: a greenlet that waits for a module which another thread imports has nothing that it knows of to wait
    for, and in a service that does not listen yet gevent then ends the program (`LoopExit`).

    Raises:
        RuntimeError: no thread can be started: there are too many, or the interpreter is ending.
    """
    start = original("_thread", "start_new_thread")
    threading = import_module("threading")
    # Where gevent puts its own, documented in its changelog; from Python 3.13 `threading` has no such name any more.
    if start is getattr(threading, "_start_new_thread", import_module("_thread").start_new_thread):
        threading.Thread(target=run, name=name, daemon=True).start()
    else:
        for module in imports:
            import_module(module)
        start(run, ())


def listen(host: str, port: int) -> Any:
    """Return a TCP socket that listens; what `accept` takes.

    Raises:
        OSError: the port is taken, there is no such host, …
    """
    plain = import_module("_socket")  # whose sockets gevent leaves alone, while `socket.socket.accept` makes its own
    # Words are encoded as internationalised names are, and Python imports what does that: see `start_thread`.
    name = host.encode() if host.isascii() else host
    family, kind, protocol, _, address = plain.getaddrinfo(name, port, 0, plain.SOCK_STREAM)[0]
    listener = plain.socket(family, kind, protocol)
    try:
        listener.setsockopt(plain.SOL_SOCKET, plain.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def accept(listener: Any) -> Any:
    """Return a socket of the next client's.

    Raises:
        TimeoutError: the listener's time-out has passed.
    """
    descriptor, _ = listener._accept()  # noqa: SLF001 -- what `socket.socket.accept` is made of
    return type(listener)(fileno=descriptor)


class Bell:
    """Wakes one thread that waits. Rung before that, it wakes it at once; rung twice, once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake who waits, now or next; returns at once."""
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:
                return  # another thread has just rung it

    def wait(self, seconds: float) -> bool:
        """Wait until it is rung, at most *seconds*; say whether it was."""
        rung: bool = self._lock.acquire(timeout=max(seconds, 0.0))
        return rung
