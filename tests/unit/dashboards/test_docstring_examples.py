"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import quarterdeck_dashboards

MODULES = [
    module.name
    for module in pkgutil.walk_packages(quarterdeck_dashboards.__path__, f"{quarterdeck_dashboards.__name__}.")
    if not module.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_gives_what_it_says(name: str) -> None:
    """A reader tries the example first."""
    failures, _ = doctest.testmod(importlib.import_module(name))

    assert failures == 0
