"""What tests of rollouts have in common: the ways in which a version is let in, and how who does it dies."""

from __future__ import annotations

from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "canary": {},
    "fresh baseline": {"baseline": "fresh"},
    "weights": {"weights": "[50]"},
    "blue-green": {"strategy": "blue-green", "history": 400.0},
    "rolling": {"strategy": "rolling"},
    "partition": {"strategy": "rolling", "kind": "StatefulSet"},
    "daemons": {"strategy": "rolling", "kind": "DaemonSet"},
}
"""What a world is opened with, by the name of the way: the workload's kind, the seconds that it has served, and the
catalogue's words on rollouts."""

YOUNG = "blue-green"
"""The way whose evidence is the past of the stable pods, of which pods that were made or promoted just now have none:
then it is promoted when it is asked for, and ends inconclusive when its time is up."""

LAPSED = 31.0
"""Seconds after which a dead holder's lock looks lapsed."""


class Killed(BaseException):
    """The process dies: nothing more of it runs."""
