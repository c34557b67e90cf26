"""The telemetry contract: every name that code, rules, dashboards, gates and runbooks share.

Belongs here: metrics with unit, kind, labels and buckets; label names; the derivation of Prometheus
names; names of Kubernetes labels, annotations and ConfigMap keys; the error type all commands raise.

Does not belong here: anything that measures, queries, renders or connects. Standard library only, so a
service may import it without importing an SDK, and an operator without installing one.
"""

VERSION = "1"
"""Contract version, exported by the instrumentation as `quarterdeck_build_info{contract_version}`.

Raised when a metric, label, unit or bucket changes meaning, so that a rollout can refuse a service that
speaks another contract than its gates ask about.
"""
