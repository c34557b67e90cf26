"""How far the server's clock is from this machine's, by the `Date` of its answers. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

WARN = 5.0
"""Seconds of difference from which a person is told: certificates, tokens and scrapes begin to disagree."""

_RESOLUTION = 1.0
"""Seconds: a `Date` has whole ones, so less than this is no difference that could be known."""

_SLOWEST = 2.0
"""Seconds that an answer may take to be used: when in between the server looked at its clock is unknown."""


class ServerTime:
    """The difference, by the newest answer that shows it."""

    def __init__(self) -> None:
        self.skew = 0.0
        """Seconds that the server's clock is ahead; 0 until an answer said otherwise."""

    def note(self, date: str | None, asked: float, answered: float) -> None:
        """Take the `Date` of an answer that was asked for and came at these times (Unix seconds here)."""
        if not date or not 0 <= answered - asked <= _SLOWEST:
            return
        try:
            stated = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        # The server's clock stood somewhere in the second that it states, and ours between asking and answering.
        if stated > answered or stated + _RESOLUTION < asked:
            self.skew = stated + _RESOLUTION / 2 - (asked + answered) / 2
        else:
            self.skew = 0.0


def warning(skew: float) -> str:
    """Return what to tell a person of a *skew* in seconds; nothing when it is small."""
    if abs(skew) <= WARN:
        return ""
    way = "behind" if skew > 0 else "ahead of"
    return (
        f"This machine's clock is {abs(skew):.0f} s {way} the API server's: times in the audit log and in reports are "
        "this machine's, and short-lived tokens may be refused. Set it (timedatectl, chronyc makestep)."
    )
