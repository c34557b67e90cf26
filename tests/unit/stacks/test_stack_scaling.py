"""How many pods a service has, and who may change that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_stacks.scaling import Autoscaling, autoscaling_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_stacks.settings import Settings


@pytest.mark.parametrize(
    ("replicas", "most", "expected"),
    [
        (3, None, Autoscaling(3, 9, 70)),
        (3, 5, Autoscaling(3, 5, 70)),
        (3, 3, None),
        (1, None, None),
        (1, 4, Autoscaling(1, 4, 70)),
    ],
    ids=["by the factor", "by the catalogue", "never", "a single one stays single", "a single one that may grow"],
)
def test_the_catalogues_replicas_are_the_fewest(
    service: Service,
    settings_of: Callable[..., Settings],
    replicas: int,
    most: int | None,
    expected: Autoscaling | None,
) -> None:
    """And its own bound comes before the environment's multiple."""
    settings = settings_of("prod").services

    assert autoscaling_of(service.model_copy(update={"replicas": replicas, "max_replicas": most}), settings) == expected


def test_an_environment_without_autoscalers_has_none_whatever_the_catalogue_says(
    service: Service, settings_of: Callable[..., Settings]
) -> None:
    """There, nothing measures the processor time that one would go by."""
    settings = replace(settings_of("prod").services, autoscale=False)

    assert autoscaling_of(service.model_copy(update={"max_replicas": 9}), settings) is None


def test_a_rendering_leaves_an_autoscalers_replicas_out(
    objects_of: Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]],
) -> None:
    """Applied again, it would take them from the autoscaler; and without one they are in it."""
    scaled = objects_of("prod")["Deployment", "shop", "checkout"]["spec"]
    fixed = objects_of("prod", "servicesAutoscale=false")["Deployment", "shop", "checkout"]["spec"]

    assert "replicas" not in scaled
    assert fixed["replicas"] == 3
    assert {key: value for key, value in fixed.items() if key != "replicas"} == scaled
