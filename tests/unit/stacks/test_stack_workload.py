"""A service of the catalogue as objects of a cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_stacks.components.namespaces import Namespaces
from quarterdeck_stacks.components.workload import Place, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_stacks.capture import Registration

    Run = Callable[[Callable[[], object]], list[Registration]]

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"


@pytest.fixture
def objects(registered: Run, service: Service) -> dict[str, Registration]:
    """Return what `checkout` registers on loopback, by type."""
    return _by_type(registered, service, loopback=True)


def _by_type(registered: Run, service: Service, *, loopback: bool) -> dict[str, Registration]:
    place = Place("local", timedelta(seconds=4), loopback=loopback)
    found = registered(lambda: Workload(service, place=place, namespaces=Namespaces([service.namespace])))
    return {each.type: each for each in found}


def _pod(objects: dict[str, Registration]) -> dict[str, Any]:
    template: dict[str, Any] = objects[DEPLOYMENT].inputs["spec"]["template"]
    return template


def test_the_stable_deployment_is_named_and_labelled_as_the_contract_says(objects: dict[str, Registration]) -> None:
    """Rollouts, the Service and service discovery all go by these names."""
    inputs = objects[DEPLOYMENT].inputs

    assert (inputs["metadata"]["namespace"], inputs["metadata"]["name"]) == ("shop", "checkout")
    assert inputs["spec"]["selector"] == {
        "matchLabels": {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}
    }
    assert _pod(objects)["metadata"] == {
        "labels": {
            "app.kubernetes.io/managed-by": "quarterdeck",
            "app.kubernetes.io/name": "checkout",
            "app.kubernetes.io/version": "1.4.2",
            "quarterdeck.dev/track": "stable",
        },
        "annotations": {"quarterdeck.dev/scrape-port": "9464"},
    }


def test_no_stable_pod_goes_before_another_is_ready(objects: dict[str, Registration]) -> None:
    """A rolling update never has fewer pods than asked for, and fails when the catalogue says it is too slow."""
    spec = objects[DEPLOYMENT].inputs["spec"]

    assert spec["replicas"] == 3
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}}
    assert spec["progressDeadlineSeconds"] == 300


def test_the_service_selects_the_name_alone_so_a_canary_gets_its_share(objects: dict[str, Registration]) -> None:
    """The track is not in the Service's selector."""
    assert objects[SERVICE].inputs["spec"] == {
        "selector": {"app.kubernetes.io/name": "checkout"},
        "ports": [{"name": "http", "port": 8000, "targetPort": 8000, "appProtocol": "http"}],
    }


def test_everything_listens_on_the_pods_own_address(objects: dict[str, Registration]) -> None:
    """The variables are in an order in which each refers only to those before it."""
    variables = _pod(objects)["spec"]["containers"][0]["env"]

    assert variables == [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {
            "name": "POD_VERSION",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/version']"}},
        },
        {"name": "PORT", "value": "8000"},
        {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108 -- the pod's own volume
        {"name": "QUARTERDECK_METRICS_DIR", "value": "/run/quarterdeck"},
        {"name": "OTEL_SERVICE_NAME", "value": "checkout"},
        {
            "name": "OTEL_RESOURCE_ATTRIBUTES",
            "value": "service.namespace=shop,service.version=$(POD_VERSION),service.instance.id=$(POD_NAME),"
            "k8s.namespace.name=shop,k8s.pod.name=$(POD_NAME),deployment.environment.name=local",
        },
        {"name": "OTEL_EXPORTER_PROMETHEUS_HOST", "value": "$(POD_IP)"},
        {"name": "OTEL_EXPORTER_PROMETHEUS_PORT", "value": "9464"},
    ]


def test_the_workers_count_together_in_memory_of_their_own(objects: dict[str, Registration]) -> None:
    """What a killed worker leaves there goes with the pod, not with the node."""
    spec = _pod(objects)["spec"]

    assert {"name": "metrics", "mountPath": "/run/quarterdeck"} in spec["containers"][0]["volumeMounts"]
    assert {"name": "metrics", "emptyDir": {"medium": "Memory"}} in spec["volumes"]


@pytest.mark.parametrize(
    ("probe", "period", "failures"), [("startupProbe", 2, 30), ("readinessProbe", 2, 3), ("livenessProbe", 5, 6)]
)
def test_every_probe_asks_the_catalogues_health_path(
    objects: dict[str, Registration], probe: str, period: int, failures: int
) -> None:
    """A minute to start, six seconds until out of the Service, half a minute until restarted."""
    assert _pod(objects)["spec"]["containers"][0][probe] == {
        "httpGet": {"path": "/health", "port": 8000},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def test_a_stopping_pod_serves_until_clients_have_seen_it_go(objects: dict[str, Registration]) -> None:
    """The drain comes first, and the time to shut down is added to it."""
    spec = _pod(objects)["spec"]

    assert spec["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 4}}}
    assert spec["terminationGracePeriodSeconds"] == 34


def test_pods_are_spread_over_zones_and_nodes_within_one_version(objects: dict[str, Registration]) -> None:
    """Pods of the version that goes do not count, and a full node is no reason not to start."""
    spread = _pod(objects)["spec"]["topologySpreadConstraints"]

    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
    assert all(each["matchLabelKeys"] == ["pod-template-hash"] for each in spread)


def test_replicas_are_not_all_evicted_at_once(objects: dict[str, Registration]) -> None:
    """The budget counts pods of both tracks, and broken pods never keep a node from being drained."""
    assert objects[BUDGET].inputs["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def test_a_single_replica_has_no_disruption_budget(registered: Run, catalogue: Catalogue) -> None:
    """It would only keep its node from being drained."""
    assert BUDGET not in _by_type(registered, catalogue.service("worker"), loopback=False)


def test_pulumi_waits_for_endpoints_only_where_there_can_be_any(registered: Run, service: Service) -> None:
    """The API server refuses endpoints with loopback addresses, so on loopback nobody waits for them."""
    elsewhere = _by_type(registered, service, loopback=False)[SERVICE]
    on_loopback = _by_type(registered, service, loopback=True)[SERVICE]

    assert "pulumi.com/skipAwait" not in elsewhere.inputs["metadata"]["annotations"]
    assert on_loopback.inputs["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_what_rollouts_and_runbooks_change_is_never_applied_by_force(objects: dict[str, Registration]) -> None:
    """A promoted image is a conflict that `pulumi up` reports; a Service changed by hand is put right."""
    forced = {
        kind.rpartition(":")[2]: each.inputs["metadata"].get("annotations", {}).get("pulumi.com/patchForce")
        for kind, each in objects.items()
        if kind.startswith("kubernetes:")
    }

    assert forced == {
        "Namespace": "true",
        "ServiceAccount": "true",
        "Deployment": None,
        "Service": "true",
        "PodDisruptionBudget": "true",
    }


def test_every_object_is_a_child_and_waits_for_its_namespace(objects: dict[str, Registration]) -> None:
    """So the component is one thing in `pulumi up`, and nothing is made before its namespace."""
    workload = "urn:pulumi:local::quarterdeck::quarterdeck:workload:Workload::checkout"
    urn = "urn:pulumi:local::quarterdeck::quarterdeck:{}::{}"
    mine = {kind: each for kind, each in objects.items() if each.parent == workload}

    assert set(mine) == {DEPLOYMENT, SERVICE, BUDGET, "kubernetes:core/v1:ServiceAccount"}
    namespace = urn.format("namespaces:Namespaces$kubernetes:core/v1:Namespace", "shop")
    account = urn.format("workload:Workload$kubernetes:core/v1:ServiceAccount", "checkout")
    assert all(namespace in each.depends_on for each in mine.values())
    assert account in mine[DEPLOYMENT].depends_on
