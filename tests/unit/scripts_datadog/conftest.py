"""A server that Prometheus' questions go to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.office import Office, opened

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def office() -> Iterator[Office]:
    """Return a server that runs until the test has ended."""
    with opened() as running:
        yield running
