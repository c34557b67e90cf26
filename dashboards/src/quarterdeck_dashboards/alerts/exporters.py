"""Programs whose metrics alerts may ask for: which there are, and which every environment of ours runs."""

from __future__ import annotations

import enum


class Exporter(enum.StrEnum):
    """A source of metrics outside the contract; its series are in `external/`, in the file of this name."""

    PROMETHEUS = "prometheus"
    """Of itself."""
    REMOTE_WRITE = "prometheus-remote-write"
    """Prometheus, where it also sends elsewhere."""
    ALERTMANAGER = "alertmanager"
    COLLECTOR = "otel-collector"
    """The OpenTelemetry collector's own telemetry."""
    KUBE_STATE_METRICS = "kube-state-metrics"
    """Scraped with `honor_labels: true`: its `namespace` and `pod` are those it speaks of."""
    KUBELET = "kubelet"
    """The kubelet's own page, and cAdvisor's; with `honor_labels: true` too."""
    NODE_EXPORTER = "node-exporter"
    BLACKBOX_EXPORTER = "blackbox-exporter"
    """With the probed URL as the label `instance`, as its own documentation has it."""
    RABBITMQ = "rabbitmq"
    """RabbitMQ's own plugin: queues at `/metrics/per-object`, alarms at `/metrics` alone, so that both are scraped."""
    CELERY_EXPORTER = "celery-exporter"


BUNDLED = frozenset({Exporter.PROMETHEUS, Exporter.ALERTMANAGER})
"""What runs wherever Quarterdeck's stack does. Absent data never fires, but a rule without data clutters."""
EVERY = frozenset(Exporter)
"""All: what is generated for review, and what proofs and checks are of."""
