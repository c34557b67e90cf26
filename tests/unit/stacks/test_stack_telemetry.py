"""Configurations of what telemetry passes through: what comes before what, and what is never given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from quarterdeck_stacks.settings.monitoring import ObjectStore, StoreKind, TraceSettings
from quarterdeck_stacks.telemetry import thanos
from quarterdeck_stacks.telemetry.agent import Agent
from quarterdeck_stacks.telemetry.gateway import Gateway, decision_wait
from quarterdeck_stacks.telemetry.log_reader import LogReader
from quarterdeck_stacks.telemetry.loki import Loki
from quarterdeck_stacks.telemetry.storing import for_loki, for_tempo, for_thanos
from quarterdeck_stacks.telemetry.tempo import Tempo

MEBIBYTE = 1024**2
S3 = ObjectStore(StoreKind.S3, "kept", {"region": "eu-central-1"})


def _gateway(*, queue: int = 1024 * MEBIBYTE, traces_to: str | None = "http://tempo:4318") -> dict[str, Any]:
    traces = TraceSettings(
        enabled=True, retention=timedelta(days=7), storage="", sampled_percent=5, slow=timedelta(seconds=2)
    )
    made = Gateway("prod", 512 * MEBIBYTE, queue, ("http://a:9090", "http://b:9090"), traces_to, traces)
    document: dict[str, Any] = yaml.safe_load(made.to_yaml())
    return document


def test_spans_are_measured_before_traces_are_chosen() -> None:
    """The sampler gets what the connector has counted, through one limiter before both."""
    pipelines = _gateway()["service"]["pipelines"]

    assert pipelines["traces/measured"] == {
        "receivers": ["otlp"],
        "processors": ["memory_limiter"],
        "exporters": ["span_metrics", "forward/measured"],
    }
    assert pipelines["traces/kept"]["receivers"] == ["forward/measured"]
    assert pipelines["traces/kept"]["processors"] == ["tail_sampling"]


def test_failed_and_slow_traces_are_kept_and_a_share_of_the_rest() -> None:
    """By the settings' numbers."""
    policies = _gateway()["processors"]["tail_sampling"]["policies"]

    assert [policy["type"] for policy in policies] == ["status_code", "latency", "probabilistic"]
    assert policies[1]["latency"] == {"threshold_ms": 2000}
    assert policies[2]["probabilistic"] == {"sampling_percentage": 5}


@pytest.mark.parametrize(("slow", "wait"), [(1, 8), (10, 17), (60, 30)])
def test_a_trace_is_held_until_it_is_known_to_be_slow(slow: int, wait: int) -> None:
    """And no longer than memory allows."""
    assert decision_wait(timedelta(seconds=slow)) == timedelta(seconds=wait)


def test_without_a_place_for_traces_spans_are_measured_all_the_same() -> None:
    """And nothing is held."""
    document = _gateway(traces_to=None)

    assert list(document["service"]["pipelines"]) == ["traces/measured", "metrics"]
    assert document["service"]["pipelines"]["traces/measured"]["exporters"] == ["span_metrics"]
    assert "tail_sampling" not in document["processors"]


def test_metrics_go_to_each_prometheus() -> None:
    """A pair scrapes the same; what is pushed reaches both, too."""
    exporters = _gateway()["exporters"]

    assert [exporters[f"otlp_http/prometheus-{number}"]["metrics_endpoint"] for number in (0, 1)] == [
        "http://a:9090/api/v1/otlp/v1/metrics",
        "http://b:9090/api/v1/otlp/v1/metrics",
    ]


def test_queues_are_on_the_volume_where_there_is_one_and_never_given_up_for_their_age() -> None:
    """All of them together take half of it: a database's file is larger than what is in it."""
    exporters = _gateway()["exporters"].values()

    assert {each["sending_queue"]["storage"] for each in exporters} == {"file_storage"}
    assert {each["retry_on_failure"]["max_elapsed_time"] for each in exporters} == {0}
    assert sum(each["sending_queue"]["queue_size"] for each in exporters) == pytest.approx(512 * MEBIBYTE, abs=3)


def test_without_a_volume_queues_are_in_a_tenth_of_the_memory() -> None:
    """And no extension asks for a folder."""
    document = _gateway(queue=0)

    queues = [each["sending_queue"] for each in document["exporters"].values()]
    assert not any("storage" in queue for queue in queues)
    assert sum(queue["queue_size"] for queue in queues) == pytest.approx(51.2 * MEBIBYTE, abs=3)
    assert document["service"]["extensions"] == ["health_check"]


def test_pushed_metrics_get_the_labels_that_scraped_ones_have() -> None:
    """So that a rule that selects by service and cluster finds both."""
    (group,) = _gateway()["processors"]["transform/labels"]["metric_statements"]
    set_ones = {each.split('"')[1] for each in group["statements"] if each.startswith("set(")}

    assert set_ones == {"cluster", "namespace", "service", "pod", "version", "track"}


def test_an_agent_sends_each_trace_to_one_gateway_and_knows_pods_without_more_rights() -> None:
    """By the trace's id, among the addresses of a DNS name; a Deployment's name comes from its ReplicaSet's."""
    document = yaml.safe_load(Agent(256 * MEBIBYTE, "gateways.svc", None).to_yaml())

    balanced = document["exporters"]["load_balancing/traces"]
    assert balanced["routing_key"] == "traceID"
    assert balanced["resolver"] == {"dns": {"hostname": "gateways.svc", "port": "4317", "interval": "5s"}}
    assert document["processors"]["k8s_attributes"]["extract"]["deployment_name_from_replicaset"] is True
    assert "logs" not in document["service"]["pipelines"]


def test_a_log_reader_goes_on_where_it_was_and_does_not_read_itself() -> None:
    """How far each file has been read is kept, as is what Loki has not taken."""
    document = yaml.safe_load(LogReader(256 * MEBIBYTE, "http://loki:3100").to_yaml())

    receiver = document["receivers"]["file_log"]
    assert receiver["storage"] == "file_storage"
    assert receiver["exclude"] == ["/var/log/pods/*_otel-collector-*/*/*.log"]
    assert document["exporters"]["otlp_http/loki"]["endpoint"] == "http://loki:3100/otlp"


@pytest.mark.parametrize(
    ("store", "told"),
    [
        (
            S3,
            {
                "type": "S3",
                "config": {
                    "bucket": "kept",
                    "endpoint": "s3.eu-central-1.amazonaws.com",
                    "region": "eu-central-1",
                    "aws_sdk_auth": True,
                },
            },
        ),
        (ObjectStore(StoreKind.GCS, "kept", {}), {"type": "GCS", "config": {"bucket": "kept"}}),
        (
            ObjectStore(StoreKind.AZURE, "kept", {"account": "ours"}),
            {"type": "AZURE", "config": {"storage_account": "ours", "container": "kept"}},
        ),
        (ObjectStore(StoreKind.FILE, "/kept", {}), {"type": "FILESYSTEM", "config": {"directory": "/kept"}}),
    ],
    ids=["s3", "gcs", "azure", "file"],
)
def test_thanos_is_told_where_the_bucket_is_and_no_credential(store: ObjectStore, told: dict[str, Any]) -> None:
    """Who the pod is comes from its service account."""
    assert yaml.safe_load(for_thanos(store)) == told


def test_loki_and_tempo_keep_on_their_own_volumes_without_a_bucket() -> None:
    """Below the one folder that they may write to."""
    loki = yaml.safe_load(Loki(timedelta(days=14), None).to_yaml())
    tempo = yaml.safe_load(Tempo(timedelta(days=7), None).to_yaml())

    assert loki["storage_config"] == {"filesystem": {"directory": "/var/loki/chunks"}}
    assert loki["limits_config"]["retention_period"] == "336h"
    assert tempo["storage"]["trace"]["local"] == {"path": "/var/tempo/blocks"}
    assert tempo["compactor"]["compaction"]["block_retention"] == "604800s"


@pytest.mark.parametrize("kind", [StoreKind.S3, StoreKind.GCS, StoreKind.AZURE], ids=str)
def test_loki_and_tempo_share_one_bucket_with_thanos(kind: StoreKind) -> None:
    """Tempo below a folder of its own; Loki's names begin otherwise."""
    store = ObjectStore(kind, "kept", {"region": "eu-central-1", "account": "ours"})
    name, section = for_loki(store, "unused")
    tempo = for_tempo(store, "unused")

    assert "kept" in yaml.safe_dump(section)
    assert tempo[tempo["backend"]]["prefix"] == "traces"
    assert name == tempo["backend"]


def test_azures_key_is_named_where_a_secret_has_it_and_never_written() -> None:
    """Loki and Tempo put it in from their environment."""
    store = ObjectStore(StoreKind.AZURE, "kept", {"account": "ours"})

    _, loki = for_loki(store, "unused", has_secret=True)
    tempo = for_tempo(store, "unused", has_secret=True)

    assert loki["azure"]["account_key"] == tempo["azure"]["storage_account_key"] == "${AZURE_STORAGE_KEY}"


def test_one_ruler_is_told_from_another_but_not_by_alertmanager() -> None:
    """Else each alert would be sent twice."""
    ruler = thanos.Ruler(
        query="http://thanos-query:10902",
        alertmanagers=("dns+http://alertmanager-peers:9093",),
        rules="/etc/thanos-rules/*.yaml",
        interval=timedelta(seconds=15),
        cluster="prod",
        replica="$(POD_NAME)",
    )

    assert '--label=ruler_replica="$(POD_NAME)"' in ruler.arguments
    assert "--alert.label-drop=ruler_replica" in ruler.arguments
    assert f"--query.replica-label={thanos.RULER_REPLICA}" in thanos.query([], replica_label="replica")
