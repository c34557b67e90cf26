"""Collectors, Prometheus and Thanos as processes on loopback; the harness of the benches is theirs, too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The benches are scripts, which find each other beside themselves.
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "bench"))

from loopback import Asked, addresses, process, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def receiving_prometheus(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[Asked]:
    """Run a Prometheus that takes metrics by OTLP, as the stack's does where there is a collector."""
    (address,) = addresses(1, [9090])
    config = tmp_path / "prometheus.yml"
    config.write_text("storage: {tsdb: {out_of_order_time_window: 10m}}\n")
    command = (
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address={address}:9090",
        "--web.enable-otlp-receiver",
    )
    with process(tmp_path / "prometheus.log", *command):
        asked = Asked(f"http://{address}:9090")
        until(asked.is_ready, "Prometheus to be ready")
        yield asked
