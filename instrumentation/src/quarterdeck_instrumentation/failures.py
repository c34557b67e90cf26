"""Fail open: what goes wrong in the instrumentation is said once, counted, and kept from the service."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it; importing it from typing costs every Python child 11 ms
if TYPE_CHECKING:
    from collections.abc import Callable

_listeners: list[Callable[[], None]] = []
_counts: dict[str, int] = {}
"""By component; one that was named once stays, at nought where it is forgotten."""
_said: dict[tuple[str, str], str] = {}


def failed(component: str, what: str, error: BaseException | None = None, *, times: int = 1) -> None:
    """Count a failure, and say it on the logger `quarterdeck` if it was not said before.

    Args:
        component: one of the contract's `FAILED_COMPONENT.values`.
        what: what could not be done and what that means, one clause; said once for each distinct text.
        error: the cause.
        times: how often it happened.
    """
    _counts.setdefault(component, 0)
    # CPython switches threads only between calls and jumps, and this is neither: no count is lost, without a lock that
    # whoever is interrupted by a signal might hold.
    _counts[component] += times
    for listener in _listeners:
        listener()
    if (component, what) in _said:
        return
    import logging  # noqa: PLC0415 -- most processes never fail

    cause = f" ({type(error).__name__}: {error})" if error is not None else ""
    _said[component, what] = f"{what}{cause}"
    logging.getLogger("quarterdeck").warning("%s%s; the service is not affected", what, cause)


def counts() -> dict[str, int]:
    """Return failures so far in this process, by component; one that never failed is not named."""
    return {component: times for component, times in list(_counts.items()) if times}


def said() -> list[tuple[str, str]]:
    """Return what was said so far in this process: component and text, cause included."""
    return [(component, text) for (component, _), text in list(_said.items())]


def listen(listener: Callable[[], None]) -> None:
    """Have *listener* called, from whatever thread, when something fails; it must return at once."""
    _listeners.append(listener)


def forget() -> None:
    """Start from nothing: a forked child has not failed yet."""
    _listeners.clear()
    for component in list(_counts):
        _counts[component] = 0
    _said.clear()
