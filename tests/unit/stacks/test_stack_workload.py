"""A service of the catalogue as objects of a cluster."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_stacks.components.namespaces import Namespaces
from quarterdeck_stacks.components.place import Place
from quarterdeck_stacks.components.workload import Workload
from quarterdeck_stacks.reach import reach_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_stacks.capture import Registration
    from quarterdeck_stacks.settings import Settings

    Run = Callable[[Callable[[], object]], list[Registration]]

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
SCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"

Make = "Callable[..., dict[str, Registration]]"


@pytest.fixture
def make(registered: Run, catalogue: Catalogue, settings_of: Callable[..., Settings]) -> Make:
    """Return a function from a service, and what is different about its place, to what it registers, by type."""

    def made(service: Service, env: str = "local", *overrides: str, **place: Any) -> dict[str, Registration]:
        settings = settings_of(env, *overrides)
        there = replace(Place.of(settings), drain=timedelta(seconds=4), **place)
        reach = None if there.loopback else reach_of(service, catalogue)
        found = registered(
            lambda: Workload(service, reach=reach, place=there, namespaces=Namespaces([service.namespace]))
        )
        return {each.type: each for each in found}

    return made


@pytest.fixture
def objects(make: Make, service: Service) -> dict[str, Registration]:
    """Return what `checkout` registers on loopback, by type."""
    return make(service)


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


def test_the_deployment_says_its_version_as_a_rollout_would_write_it(objects: dict[str, Registration]) -> None:
    """`quarterdeck rollout` keeps this label in step with the template's; the stack begins with it."""
    assert objects[DEPLOYMENT].inputs["metadata"]["labels"]["app.kubernetes.io/version"] == "1.4.2"


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
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
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
            "k8s.namespace.name=shop,k8s.node.name=$(NODE_NAME),k8s.pod.name=$(POD_NAME),k8s.pod.uid=$(POD_UID),"
            "k8s.container.name=checkout,deployment.environment.name=local",
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


def test_a_single_replica_has_no_disruption_budget(make: Make, catalogue: Catalogue) -> None:
    """It would only keep its node from being drained."""
    assert BUDGET not in make(catalogue.service("worker"), "prod")


def test_pulumi_waits_for_endpoints_only_where_there_can_be_any(make: Make, service: Service) -> None:
    """The API server refuses endpoints with loopback addresses, so on loopback nobody waits for them."""
    elsewhere = make(service, "dev")[SERVICE]
    on_loopback = make(service)[SERVICE]

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


def test_an_autoscaler_gets_the_replicas_and_pulumi_lets_go_of_them(make: Make, service: Service) -> None:
    """They are given at creation, so that no service begins with one pod, and ignored afterwards."""
    made = make(service, "dev", "servicesAutoscale=true", "servicesMaxFactor=4", "servicesCpuTarget=60")

    assert made[SCALER].inputs["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
        "minReplicas": 3,
        "maxReplicas": 12,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            }
        ],
    }
    assert made[DEPLOYMENT].inputs["spec"]["replicas"] == 3
    assert made[DEPLOYMENT].ignored == ("spec.replicas",)


def test_without_an_autoscaler_the_replicas_are_the_stacks(make: Make, service: Service) -> None:
    """And a number changed by hand is a conflict."""
    made = make(service, "dev")

    assert SCALER not in made
    assert made[DEPLOYMENT].ignored == ()


def test_spans_go_to_the_nodes_collector_where_there_is_one(make: Make, service: Service) -> None:
    """By OTLP over HTTP, and the policy lets them through."""
    made = make(service, "dev", "collector=true")

    variables = _pod(made)["spec"]["containers"][0]["env"]
    url = "http://otel-collector-agent.quarterdeck.svc:4318"
    assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": url} in variables
    assert made[POLICY].inputs["spec"]["egress"][1] == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "quarterdeck"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "otel-collector-agent"}},
            }
        ],
        "ports": [{"port": 4318, "protocol": "TCP"}],
    }


@pytest.mark.parametrize(("env", "overrides"), [("dev", ("collector=false",)), ("local", ())])
def test_without_a_collector_services_are_told_of_none(
    make: Make, service: Service, env: str, overrides: tuple[str, ...]
) -> None:
    """They would spend their days calling it. Where pods are processes, nothing resolves a Service's name."""
    variables = _pod(make(service, env, *overrides))["spec"]["containers"][0]["env"]

    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in {each["name"] for each in variables}


def test_an_init_container_brings_the_instrumentation_where_images_have_none(make: Make, service: Service) -> None:
    """Copied into a volume that the service reads, and first on its path, as `quarterdeck-instrument` would put it."""
    image = f"registry.example/instrumentation:0.1.0@sha256:{'0a' * 32}"

    spec = _pod(make(service, "dev", "servicesInstrumentation=init", f"servicesInstrumentationImage={image}"))["spec"]

    (copying,), (serving,) = spec["initContainers"], spec["containers"]
    folder = "/opt/quarterdeck-instrumentation"
    assert (copying["image"], copying["command"]) == (image, ["cp", "-r", "/autoinstrumentation/.", folder])
    assert copying["volumeMounts"] == [{"name": "instrumentation", "mountPath": folder}]
    assert copying["securityContext"] == serving["securityContext"]
    assert {"name": "instrumentation", "mountPath": folder, "readOnly": True} in serving["volumeMounts"]
    assert {"name": "PYTHONPATH", "value": f"{folder}/quarterdeck_instrumentation/bootstrap:{folder}"} in serving["env"]
    assert {"name": "instrumentation", "emptyDir": {}} in spec["volumes"]


def test_a_service_of_grpc_is_probed_by_connecting(make: Make, service: Service) -> None:
    """It has no paths, and not every server has gRPC's health service."""
    made = make(service.model_copy(update={"framework": "grpc"}), "dev")

    container = _pod(made)["spec"]["containers"][0]
    assert [container[probe]["tcpSocket"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")] == [
        {"port": 8000}
    ] * 3
    assert made[SERVICE].inputs["spec"]["ports"] == [
        {"name": "grpc", "port": 8000, "targetPort": 8000, "appProtocol": "kubernetes.io/h2c"}
    ]


def test_what_serves_nothing_has_no_service_and_no_probe(make: Make, service: Service) -> None:
    """Nothing listens before a worker's first measurement: a probe would kill an idle one."""
    made = make(service.model_copy(update={"framework": "celery"}), "dev")

    container = _pod(made)["spec"]["containers"][0]
    assert SERVICE not in made
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & container.keys()
    assert [port["name"] for port in container["ports"]] == ["metrics"]
    assert [rule["ports"][0]["port"] for rule in made[POLICY].inputs["spec"]["ingress"]] == [9464]


def test_a_services_resources_are_the_catalogues(make: Make, service: Service) -> None:
    """There is a limit of memory and none of processor time."""
    resources = service.resources.model_copy(update={"cpu": "2", "memory": "1Gi", "memory_limit": "2Gi"})

    made = make(service.model_copy(update={"resources": resources}))

    assert _pod(made)["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"memory": "2Gi"},
    }
