"""What the demo's versions are, and how their rollouts may end."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.demo.releases import Release
from quarterdeck_scripts.rollout.steps.state import Ending

EITHER_WAY = {Ending.PROMOTED, Ending.ROLLED_BACK, Ending.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("failures", "endings"),
    [
        (0, {Ending.PROMOTED}),
        (0.0005, {Ending.PROMOTED}),
        (0.003, EITHER_WAY),
        (0.006, EITHER_WAY),
        (0.01, {Ending.ROLLED_BACK}),
        (0.05, {Ending.ROLLED_BACK}),
        (1, {Ending.ROLLED_BACK}),
    ],
)
def test_a_release_ends_as_its_behaviour_deserves(failures: float, endings: set[Ending]) -> None:
    """By the gate's margin: the demo once held 0.3 % to be due for promotion, which the gate rolls back."""
    assert Release("v2", failures).deserves(0.0025) == endings


def test_its_image_starts_it_under_the_instrumentation() -> None:
    """With its defect in the environment, where the service reads it."""
    release = Release("v2", 0.05)
    config = release.config(workers=3)["config"]

    assert release.image == "localhost/checkout:v2"
    assert "/quarterdeck-instrument " in config["Entrypoint"][2]
    assert config["Entrypoint"][2].endswith("--workers 3")
    assert "CHECKOUT_PAYMENT_FAILURES=0.05" in config["Env"]
