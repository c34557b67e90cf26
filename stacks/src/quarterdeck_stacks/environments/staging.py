"""`staging`: what prod has, in fewer and smaller pieces: a change that would break prod breaks here first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_stacks.environments import platform

if TYPE_CHECKING:
    from quarterdeck_stacks.environments.shape import Environment


def deploy(environment: Environment) -> None:
    """Register the environment's objects."""
    platform.deploy(environment, platform.Shape(disposable=False))
