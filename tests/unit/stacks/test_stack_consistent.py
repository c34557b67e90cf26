"""Settings that contradict each other are refused before anything is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.settings import check_against
from quarterdeck_stacks.settings.cloud import Day, NodePool, Ranges, UpgradeWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings

EKS = (
    "clusterKind=eks",
    "clusterAccount=123456789012",
    "clusterRegion=eu-central-1",
    'clusterZones=["eu-central-1a", "eu-central-1b"]',
    'nodePools=["general type=m7g.xlarge max=6"]',
)
VOLUMES = "alertmanagerStorage, collectorQueue, logsStorage, prometheusStorage, tracesStorage"
SPOT = 'nodePools=["cheap type=m7g.xlarge max=3 spot"]'


@pytest.mark.parametrize("env", ["local", "dev", "staging", "prod"])
def test_the_environments_of_the_project_are_consistent(settings_of: Callable[..., Settings], env: str) -> None:
    """Each is read, and is named after itself."""
    assert settings_of(env).shape == env


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("logs", "true"),
        ("traces", "true"),
        ("datadog", "true"),
        ("metricsServer", "true"),
        ("prometheusOperator", "true"),
        ("monitoringScale", "ha"),
        ("grafana", "true"),
        ("kubeStateMetrics", "true"),
        ("nodeExporter", "true"),
        ("collector", "true"),
        ("probes", '["https://shop.example.com/"]'),
        ("remoteWrite", '["vendor=https://metrics.example.com/write"]'),
        ("objectStore", "gs://kept"),
        ("alertmanagerReplicas", "2"),
        ("prometheusStorage", "10Gi"),
        ("quotaCpu", "64"),
        ("protectData", "true"),
        ("clusterUid", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_local_does_not_leave_out_in_silence_what_only_nodes_can_run(
    settings_of: Callable[..., Settings], key: str, value: str
) -> None:
    """Its rendering was the same with and without."""
    with pytest.raises(UsageError) as refused:
        settings_of("local", f"{key}={value}")

    assert refused.value.expected.startswith(f"no {key} in the environment local: ")
    command = f"set {key} false" if value == "true" else f"rm {key}"
    assert refused.value.next_step == f"`pulumi config {command}`, or the shape of another environment"


@pytest.mark.parametrize(
    ("env", "changes", "expected", "found"),
    [
        ("prod", ["context="], "a kubeconfig or a context, which says what cluster this stack belongs to", "neither"),
        (
            "prod",
            ["prometheusReplicas=1"],
            "prometheusReplicas of at least 2 with monitoringScale ha",
            "1",
        ),
        (
            "prod",
            ["alertmanagerReplicas=1"],
            "alertmanagerReplicas of at least 2 with monitoringScale ha",
            "1",
        ),
        ("dev", ["prometheusReplicas=2"], "one Prometheus with monitoringScale single", "prometheusReplicas 2"),
        (
            "prod",
            ["monitoringScale=distributed", "objectStore="],
            "an objectStore, which monitoringScale distributed keeps samples in",
            "none",
        ),
        (
            "dev",
            ["collector=false", "logs=true", "traces=false"],
            "the collector, which logs come through",
            "logs without it",
        ),
        (
            "prod",
            [*EKS, SPOT],
            "a node pool that the cloud does not take back, for what holds data and for the cluster's own pods",
            f"spot pools alone, cheap, with {VOLUMES}",
        ),
        (
            "dev",
            [*EKS, 'nodePools=["general type=t3.large max=3"]'],
            "a machine for the pool general that is neither burstable nor bare metal, such as m7g.xlarge",
            "t3.large",
        ),
        (
            "dev",
            [*EKS, 'nodePools=["general type=m7g.xlarge min=2 max=6"]'],
            "no `min` for the pool general on EKS, whose nodes follow the pods: there is none without any",
            "2",
        ),
        ("dev", [*EKS, 'clusterZones=["eu-central-1a"]'], "2 to 3 clusterZones for a cluster of kind eks", "1"),
        (
            "dev",
            [*EKS, "clusterAccount="],
            "a value for clusterAccount, which a cluster of kind eks is made with",
            "none",
        ),
        ("dev", [*EKS, "kubeconfig=a"], "no kubeconfig where the stack makes the cluster (clusterKind eks)", "one"),
        (
            "dev",
            [*EKS, "clusterPrivateApi=true", 'clusterApiFrom=["203.0.113.0/24"]'],
            "clusterApiFrom for a public API alone",
            "203.0.113.0/24 with clusterPrivateApi",
        ),
        (
            "dev",
            [*EKS, "clusterKind=aks"],
            "clusterAdmins: a group of Entra, since a cluster of kind aks has no accounts of its own",
            "none",
        ),
        (
            "prod",
            [*EKS, "clusterKind=gke"],
            "no metricsServer of the stack's in a cluster of kind gke, which has its own",
            "one, which would take its API from it",
        ),
        ("dev", ["clusterVersion=1.29"], "the key clusterVersion to be Kubernetes 1.30 or newer", "'1.29'"),
        (
            "dev",
            ["clusterUid=prod"],
            "the key clusterUid to be the UID of the namespace kube-system",
            "'prod'",
        ),
        (
            "dev",
            ["upgradeWindow=Sun 03:00 2h"],
            "the key upgradeWindow to be a weekly window in UTC such as Sun 03:00 4h, of 4 to 23 hours",
            "'Sun 03:00 2h'",
        ),
        (
            "dev",
            ["clusterNetwork=8.8.0.0/16"],
            "the key clusterNetwork to be a private IPv4 network of /16",
            "'8.8.0.0/16'",
        ),
        (
            "dev",
            ['nodePools=["general type=a max=2", "general type=b max=2"]'],
            "the key nodePools to be every pool to have a name of its own",
            "general, general",
        ),
    ],
)
def test_a_contradiction_is_refused(
    settings_of: Callable[..., Settings], env: str, changes: list[str], expected: str, found: str
) -> None:
    """With what would be right, and what is."""
    with pytest.raises(UsageError) as refused:
        settings_of(env, *changes)

    assert (refused.value.expected, refused.value.found) == (expected, found)


@pytest.mark.parametrize(
    "pool", ["general", "general type=a", "General type=a max=1", "a type=b min=3 max=2", "a type=b max=1 size=2"]
)
def test_a_pool_that_is_none_is_refused(settings_of: Callable[..., Settings], pool: str) -> None:
    """It is quoted."""
    with pytest.raises(UsageError) as refused:
        settings_of("dev", f'nodePools=["{pool}"]')

    assert refused.value.found == repr(pool)


def test_a_cluster_to_make_is_read(settings_of: Callable[..., Settings]) -> None:
    """Its pools, its window, its networks."""
    cloud = settings_of("dev", *EKS, SPOT, "upgradeWindow=Sat 22:30 6h", "logs=false", "traces=false").cluster.cloud

    assert cloud.pools == (NodePool("cheap", "m7g.xlarge", None, 3, spot=True, disk=100),)
    assert cloud.upgrade_window == UpgradeWindow(Day.SATURDAY, 22, 30, 6)


@pytest.mark.parametrize(("written", "floor"), [("", 1), ("min=0", 0), ("min=2", 2)])
def test_a_pool_keeps_one_node_unless_it_says_otherwise(
    settings_of: Callable[..., Settings], written: str, floor: int
) -> None:
    """Where the cloud keeps any."""
    (pool,) = settings_of("dev", f'nodePools=["general type=e2-standard-4 {written} max=3"]').cluster.cloud.pools

    assert pool.floor == floor


def test_a_network_is_cut_into_pieces_that_do_not_overlap() -> None:
    """Nodes and ways out of three zones; or nodes, services and pods."""
    ranges = Ranges("10.64.0.0/16")

    assert ranges.nodes == ["10.64.0.0/18", "10.64.64.0/18", "10.64.128.0/18"]
    assert ranges.ways_out == ["10.64.192.0/24", "10.64.193.0/24", "10.64.194.0/24"]
    assert (ranges.services, ranges.name_server, ranges.pods) == ("10.64.64.0/20", "10.64.64.10", "10.64.128.0/17")


def test_long_term_storage_may_outlive_prometheus(settings_of: Callable[..., Settings], catalogue: Catalogue) -> None:
    """With Thanos, an SLO's window is asked of the object store."""
    distributed = ("monitoringScale=distributed", "objectStore=gs://samples", "retention=2d")

    check_against(settings_of("prod", *distributed), catalogue)
    with pytest.raises(UsageError) as refused:
        check_against(settings_of("prod", *distributed, "longTermRetention=29d"), catalogue)

    assert refused.value.expected == "longTermRetention of at least 30d, the window of checkout's SLO availability"


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("s3://bucket", "a URL with ?region=…"),
        ("azblob://container", "a URL with ?account=…"),
        ("ftp://bucket", "s3://bucket?region=…, gs://bucket or azblob://container?account=…"),
    ],
)
def test_a_bucket_without_its_place_is_refused(settings_of: Callable[..., Settings], url: str, missing: str) -> None:
    """S3 needs a region, Azure an account."""
    with pytest.raises(UsageError) as refused:
        settings_of("dev", f"objectStore={url}")

    assert refused.value.expected == f"the key objectStore to be {missing}"
