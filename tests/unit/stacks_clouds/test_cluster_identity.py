"""A cluster is asked who it is before anything is put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tools


ELSEWHERE = "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize("kind", ["existing", "eks", "gke", "aks"])
def test_a_context_that_points_elsewhere_is_refused(up: Callable[..., Any], clouds: Any, uid: str, kind: str) -> None:
    """Before anything is put into that cluster, and before there is a provider that could."""
    with pytest.raises(pulumi.RunError) as refused:
        up("prod", kind, f"clusterUid={ELSEWHERE}", clouds=clouds)

    assert str(refused.value).splitlines()[:2] == [
        f"Expected the cluster whose namespace kube-system has the UID {ELSEWHERE}.",
        f"Found one with {uid}.",
    ]
    assert not [each.type for each in clouds.registered if each.type.startswith("kubernetes:")]
    providers = [each.name for each in clouds.registered if each.type == "pulumi:providers:kubernetes"]
    assert providers == ["identity"]


def test_a_cluster_that_is_the_one_is_written_to(up: Callable[..., Any], uid: str) -> None:
    """Its UID is what the settings say."""
    assert up("prod", "existing", f"clusterUid={uid}").kubernetes
