"""What of it an environment has, by its settings, and who speaks to whom. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from quarterdeck_contract.kubernetes import NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_stacks.flows import Flow, to_api_server
from quarterdeck_stacks.reach import PREVIEW, Peer
from quarterdeck_stacks.settings import ALERTMANAGER_PORT, PREVIEWED, PROMETHEUS_PORT, Scale
from quarterdeck_stacks.settings.keys import gibibytes
from quarterdeck_stacks.settings.monitoring import StoreKind
from quarterdeck_stacks.telemetry import places as p
from quarterdeck_stacks.telemetry.agent import Agent
from quarterdeck_stacks.telemetry.gateway import Gateway
from quarterdeck_stacks.telemetry.log_reader import LogReader
from quarterdeck_stacks.telemetry.loki import Loki
from quarterdeck_stacks.telemetry.tempo import Tempo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_stacks.settings import Settings

AGENT_MEMORY = "256Mi"
"""Of an agent, and of a log reader: what a node of a hundred pods sends, and a minute of it in the queue."""

PROMETHEUS, ALERTMANAGER, GRAFANA = (Peer(SYSTEM_NAMESPACE, name) for name in ("prometheus", "alertmanager", "grafana"))
AGENT, GATEWAY, TEMPO, LOKI, QUERY, STORE, COMPACT, RULE = (
    Peer(SYSTEM_NAMESPACE, name)
    for name in (p.AGENT, p.GATEWAY, p.TEMPO, p.LOKI, p.THANOS_QUERY, p.THANOS_STORE, p.THANOS_COMPACT, p.THANOS_RULE)
)
LOG_READER = Peer(NODE_NAMESPACE, p.LOG_READER)

_METADATA_PORTS = (80, 988)
"""Where a cloud tells a pod who it is: its metadata server, and GKE's, which answers beside it."""


def bytes_of(quantity: str) -> int:
    """Return a size of the settings in bytes; an empty one is 0.

    >>> bytes_of("512Mi")
    536870912
    """
    return round(gibibytes(quantity) * 1024**3)


def gateway_of(settings: Settings) -> Gateway:
    """Return what the gateways are configured with."""
    monitoring = settings.monitoring
    return Gateway(
        cluster=settings.environment,
        memory=bytes_of(monitoring.collector.memory),
        queue=bytes_of(monitoring.collector.queue),
        metrics_to=tuple(prometheus_servers(settings)),
        traces_to=p.url(p.TEMPO, p.OTLP_HTTP_PORT) if monitoring.traces.enabled else None,
        traces=monitoring.traces,
    )


def agent_of(settings: Settings) -> Agent:
    """Return what the agents are configured with."""
    logs_to = p.url(p.LOKI, p.LOKI_PORT) if settings.monitoring.logs.enabled else None
    return Agent(memory=bytes_of(AGENT_MEMORY), gateway=p.host(f"{p.GATEWAY}-peers"), logs_to=logs_to)


def log_reader_of() -> LogReader:
    """Return what the log readers are configured with."""
    return LogReader(memory=bytes_of(AGENT_MEMORY), logs_to=p.url(p.LOKI, p.LOKI_PORT))


def tempo_of(settings: Settings) -> Tempo:
    """Return what Tempo is configured with."""
    chosen = settings.monitoring
    return Tempo(chosen.traces.retention, chosen.object_store, has_secret=bool(chosen.object_store_secret))


def loki_of(settings: Settings) -> Loki:
    """Return what Loki is configured with."""
    chosen = settings.monitoring
    return Loki(chosen.logs.retention, chosen.object_store, has_secret=bool(chosen.object_store_secret))


def prometheus_servers(settings: Settings) -> Iterator[str]:
    """Yield the base URL of each Prometheus by itself: what is pushed goes to all of them, as all scrape everything."""
    if settings.monitoring.operator:
        # Whoever runs the operator decides how many there are; it must take what is pushed (`enableOTLPReceiver`).
        yield settings.prometheus_url
        return
    for number in range(settings.monitoring.prometheus_replicas):
        yield p.url(f"prometheus-{number}.prometheus-peers", PROMETHEUS_PORT)


def is_distributed(settings: Settings) -> bool:
    """Return whether Thanos is asked, and evaluates the rules, instead of a Prometheus."""
    return settings.monitoring.scale is Scale.DISTRIBUTED


def telemetry_flows(settings: Settings, services: Iterable[str]) -> list[Flow]:
    """Return every connection that is needed here.

    Args:
        settings: which of it there is.
        services: namespaces of the catalogue's services.
    """
    monitoring = settings.monitoring
    flows: list[Flow] = []
    if monitoring.collector.enabled:
        flows += _collectors(settings, services)
        if monitoring.traces.enabled:
            flows += [Flow(GATEWAY, TEMPO, p.OTLP_HTTP_PORT)]
        if monitoring.logs.enabled:
            flows += [Flow(AGENT, LOKI, p.LOKI_PORT)]
    if monitoring.logs.enabled:
        flows += [Flow(LOG_READER, LOKI, p.LOKI_PORT), Flow(PROMETHEUS, LOG_READER, p.COLLECTOR_METRICS_PORT)]
        flows += _kept(settings, LOKI, p.LOKI_PORT)
    if monitoring.traces.enabled:
        flows += _kept(settings, TEMPO, p.TEMPO_PORT)
    if is_distributed(settings):
        flows += _thanos(settings)
    return flows


def _collectors(settings: Settings, services: Iterable[str]) -> Iterator[Flow]:
    senders = [Peer(namespace) for namespace in sorted(services)]
    if settings.shape == PREVIEWED:
        senders.append(Peer("", label=PREVIEW))
    for sender in senders:
        for port in (p.OTLP_GRPC_PORT, p.OTLP_HTTP_PORT):
            yield Flow(sender, AGENT, port)
    yield from to_api_server(AGENT)
    yield Flow(AGENT, GATEWAY, p.OTLP_GRPC_PORT)
    if settings.monitoring.operator:
        # In a namespace that the stack does not know.
        yield Flow(GATEWAY, None, urlsplit(settings.prometheus_url).port or PROMETHEUS_PORT)
    else:
        yield Flow(GATEWAY, PROMETHEUS, PROMETHEUS_PORT)
    for collector in (AGENT, GATEWAY):
        yield Flow(PROMETHEUS, collector, p.COLLECTOR_METRICS_PORT)


def _kept(settings: Settings, keeper: Peer, port: int) -> Iterator[Flow]:
    """Yield who asks *keeper*, and where it keeps what it is sent."""
    yield Flow(PROMETHEUS, keeper, port)
    if settings.monitoring.grafana:
        yield Flow(GRAFANA, keeper, port)
    yield from _object_store(settings, keeper)


def _thanos(settings: Settings) -> Iterator[Flow]:
    for keeper in (PROMETHEUS, STORE, RULE):
        yield Flow(QUERY, keeper, p.THANOS_GRPC_PORT)
    yield Flow(RULE, QUERY, p.THANOS_HTTP_PORT)
    yield Flow(RULE, ALERTMANAGER, ALERTMANAGER_PORT)
    for part in (QUERY, STORE, COMPACT, RULE):
        yield Flow(PROMETHEUS, part, p.THANOS_HTTP_PORT)
    if settings.monitoring.grafana:
        yield Flow(GRAFANA, QUERY, p.THANOS_HTTP_PORT)
    for keeper in (PROMETHEUS, STORE, COMPACT, RULE):
        yield from _object_store(settings, keeper)


def _object_store(settings: Settings, keeper: Peer) -> Iterator[Flow]:
    store = settings.monitoring.object_store
    if store is None or store.kind is StoreKind.FILE:
        return
    endpoint = urlsplit(f"//{store.options.get('endpoint', '')}")
    for port in sorted({443, endpoint.port or 443, *_METADATA_PORTS}):
        yield Flow(keeper, None, port)
