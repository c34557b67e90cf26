"""The gateway's configuration: every span measured, then whole traces kept or not, then sent. Pure text.

A gateway gets all spans of a trace, because agents choose it by the trace's id. The order is the point: metrics are
counted from every span before any is dropped, so they are true whatever is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import SECONDS_BUCKETS
from quarterdeck_stacks.telemetry import collector
from quarterdeck_stacks.telemetry.collector import LIMITER, OTLP, Part, Pipelines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_stacks.settings.monitoring import TraceSettings

SPAN_METRICS = "span_metrics"
"""The connector that counts and times spans: `traces_span_metrics_calls_total`, `…_duration_seconds`."""
_KEPT = "forward/measured"
"""From where spans are measured to where traces are chosen."""
_SAMPLER = "tail_sampling"
_LABELS = "transform/labels"

_ARRIVAL = timedelta(seconds=7)
"""Between a span's end and its arrival here: five seconds in OpenTelemetry's batches, one in an agent's, one more."""
_MAX_WAIT = timedelta(seconds=30)
"""The longest that traces are held for late spans. What is slower is decided by the spans that have come, and by those
that come later as a trace of their own: a slow or failed one is kept, if not whole."""
_TRACE_BYTES = 10 * 1024
"""Memory of one held trace: ten spans of a kibibyte. Measured with spans of twelve attributes."""
_HELD = 0.4
"""Share of the memory for held traces."""
_REMEMBERED = 10
"""Sampled ids remembered, as a multiple of the traces held, so that late spans follow their trace."""
_SERIES = 2000
"""Series of span metrics for each service; what is beyond them counts as one more."""
_IN_MEMORY = 0.1
"""Share of the memory for queues, where there is no volume for them."""
_ON_DISK = 0.5
"""Share of the volume for queues: the database's file grows to twice what is in it."""
_TRACES_SHARE = 0.8
"""Of the queues' room, what traces get; metrics get the rest, and are small."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What a gateway's configuration depends on."""

    cluster: str
    """Value of the label `cluster` on what is pushed, as it is on what is scraped."""
    memory: int
    """Bytes of memory of its pod."""
    queue: int
    """Bytes of its volume; 0 keeps queues in memory."""
    metrics_to: Sequence[str]
    """Base URLs of the Prometheus servers: each gets everything, as each scrapes everything."""
    traces_to: str | None
    """Base URL of OTLP over HTTP where traces are kept; None keeps none, and measures all the same."""
    traces: TraceSettings
    directory: str = collector.QUEUE_DIRECTORY
    """Where the queues are."""

    def to_yaml(self) -> str:
        """Return the configuration."""
        metrics = {f"otlp_http/prometheus-{number}": url for number, url in enumerate(self.metrics_to)}
        kept = [_KEPT] if self.traces_to else []
        pipelines: Part = {
            # One limiter before the two ways part: what is refused is refused whole, and not counted when sent again.
            "traces/measured": {
                "receivers": [OTLP],
                "processors": [LIMITER],
                "exporters": [SPAN_METRICS, *kept],
            },
            "metrics": {
                "receivers": [OTLP, SPAN_METRICS],
                "processors": [LIMITER, _LABELS],
                "exporters": list(metrics),
            },
        }
        exporters: Part = {
            name: {"metrics_endpoint": f"{url}/api/v1/otlp/v1/metrics", **self._sending(1 / len(metrics))}
            for name, url in metrics.items()
        }
        if self.traces_to:
            pipelines["traces/kept"] = {
                "receivers": kept,
                "processors": [_SAMPLER],
                "exporters": ["otlp_http/traces"],
            }
            exporters["otlp_http/traces"] = {"endpoint": self.traces_to, **self._sending(None)}
        return collector.to_yaml(
            Pipelines(
                receivers={OTLP: collector.otlp_receiver()},
                processors={
                    LIMITER: collector.memory_limiter(self.memory),
                    _LABELS: _labels(self.cluster),
                    **({_SAMPLER: _sampler(self.traces, self.memory)} if self.traces_to else {}),
                },
                connectors={SPAN_METRICS: _span_metrics(), **({_KEPT: {}} if self.traces_to else {})},
                exporters=exporters,
                pipelines=pipelines,
                storage=self.directory if self.queue else None,
            )
        )

    def _sending(self, of_metrics: float | None) -> Part:
        """Return how to wait for a back end: that of traces for None, else with this share of what metrics get."""
        room = self.queue * _ON_DISK if self.queue else self.memory * _IN_MEMORY
        share = _TRACES_SHARE if of_metrics is None else (1 - _TRACES_SHARE) * of_metrics
        return collector.sending(storage=bool(self.queue), size=int(room * share))


def decision_wait(slow: timedelta) -> timedelta:
    """Return how long a trace is held: until whatever is not slow by then has come.

    >>> decision_wait(timedelta(seconds=1)).total_seconds()
    8.0
    """
    return min(slow + _ARRIVAL, _MAX_WAIT)


def _sampler(traces: TraceSettings, memory: int) -> Part:
    held = int(memory * _HELD) // _TRACE_BYTES
    return {
        "decision_wait": _seconds(decision_wait(traces.slow)),
        # The root ends last: from then on only what others have not sent yet is waited for.
        "decision_wait_after_root_received": _seconds(min(_ARRIVAL, decision_wait(traces.slow))),
        "num_traces": held,
        # Whoever sends waits when too many are held. By default the oldest would be dropped, failed or not.
        "block_on_overflow": True,
        # Of those that were dropped but one is remembered: a late span of theirs, if slow or failed, is a trace of its
        # own. None cannot be: without this cache what was dropped is never let go of, and whoever waits waits for ever.
        "decision_cache": {"sampled_cache_size": held * _REMEMBERED, "non_sampled_cache_size": 1},
        "sample_on_first_match": True,
        "policies": [
            {"name": "failed", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": round(traces.slow.total_seconds() * 1000)}},
            {
                "name": "share",
                "type": "probabilistic",
                # By the trace's id: every gateway, and every restart, decides alike.
                "probabilistic": {"sampling_percentage": traces.sampled_percent},
            },
        ],
    }


def _span_metrics() -> Part:
    return {
        "histogram": {"unit": "s", "explicit": {"buckets": [f"{bound * 1000:g}ms" for bound in SECONDS_BUCKETS]}},
        "dimensions": [{"name": "k8s.namespace.name"}, {"name": "service.version"}],
        # One set of series a service, not one a pod and process.
        "resource_metrics_key_attributes": ["service.name", "service.version", "k8s.namespace.name"],
        "exemplars": {"enabled": True, "max_per_data_point": 1},
        "aggregation_cardinality_limit": _SERIES,
        "metrics_flush_interval": "15s",
        # Series that nothing adds to are forgotten: routes and versions of the past.
        "metrics_expiration": "1h",
        "series_expiration": "1h",
    }


def _labels(cluster: str) -> Part:
    """Return what gives pushed metrics the labels that service discovery gives scraped ones."""
    given = {
        l_.SERVICE: "service.name",
        l_.NAMESPACE: "k8s.namespace.name",
        l_.POD: "k8s.pod.name",
        l_.VERSION: "service.version",
        l_.TRACK: "quarterdeck.track",
    }
    statements = [f'set(datapoint.attributes["{l_.CLUSTER.name}"], "{cluster}")']
    for label, attribute in given.items():
        # Span metrics say it of each point, pushed ones of their resource.
        for place in ("resource", "datapoint"):
            source = f'{place}.attributes["{attribute}"]'
            statements.append(f'set(datapoint.attributes["{label.name}"], {source}) where {source} != nil')
        statements.append(f'delete_key(datapoint.attributes, "{attribute}")')
    return {"error_mode": "propagate", "metric_statements": [{"context": "datapoint", "statements": statements}]}


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g}s"
