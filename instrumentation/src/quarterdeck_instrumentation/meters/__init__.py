"""Metrics of the service's own: OpenTelemetry's instruments, the SDK's readers, `prometheus_client`'s registry.

All of them end as children of this process's registry, from which the page and OTLP take them as they take the
contract's. Belongs here: whatever turns somebody else's measurement into such a child. Does not belong here: what
instruments the service itself, and how values are kept, shown or sent.
"""
