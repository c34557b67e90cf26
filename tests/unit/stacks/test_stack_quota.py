"""What the services of one namespace may ask for together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.settings import check_against

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings


def test_a_namespace_of_services_has_the_quota(objects_of: Callable[..., dict[Any, dict[str, Any]]]) -> None:
    """The monitoring's has none: it is sized by its own settings."""
    objects = objects_of("dev", "quotaCpu=4", "quotaMemory=8Gi")

    quotas = {place: each["spec"]["hard"] for (kind, place, _), each in objects.items() if kind == "ResourceQuota"}
    assert quotas == {"shop": {"requests.cpu": "4", "requests.memory": "8Gi"}}


def test_without_one_there_is_no_quota(objects_of: Callable[..., dict[Any, dict[str, Any]]]) -> None:
    """Empty is no bound."""
    assert not [key for key in objects_of("dev") if key[0] == "ResourceQuota"]


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        # checkout has three replicas of 100m and 128Mi each.
        (
            "quotaCpu=399m",
            "quotaCpu for the most pods of the namespace shop and those that an update adds: 0.4",
            "399m",
        ),
        (
            "quotaMemory=511Mi",
            "quotaMemory for the most pods of the namespace shop and those that an update adds: 536870912",
            "511Mi",
        ),
    ],
)
def test_a_quota_that_is_too_small_is_refused(
    settings_of: Callable[..., Settings], catalogue: Catalogue, change: str, expected: str, found: str
) -> None:
    """An update adds a quarter of the pods, at least one, and would hang at a quota without room for them."""
    with pytest.raises(UsageError) as refused:
        check_against(settings_of("dev", change), catalogue)

    assert (refused.value.expected, refused.value.found) == (expected, found)


def test_a_quota_has_room_for_as_many_pods_as_the_autoscaler_may_want(
    settings_of: Callable[..., Settings], catalogue: Catalogue
) -> None:
    """Nine of 100m, and three that an update adds: else the autoscaler stops below the load, and nobody is told."""
    scaled = ("servicesAutoscale=true", "servicesMaxFactor=3")

    check_against(settings_of("dev", *scaled, "quotaCpu=1200m"), catalogue)
    with pytest.raises(UsageError) as refused:
        check_against(settings_of("dev", *scaled, "quotaCpu=1199m"), catalogue)

    assert refused.value.expected.endswith("those that an update adds: 1.2")


def test_a_quota_that_fits_is_left_alone(settings_of: Callable[..., Settings], catalogue: Catalogue) -> None:
    """Exactly is enough."""
    check_against(settings_of("dev", "quotaCpu=400m", "quotaMemory=512Mi"), catalogue)
