"""Names that manifests, service discovery, rollouts and runbooks share in a cluster."""

from __future__ import annotations

DOMAIN = "quarterdeck.dev"
"""Prefix of our own labels and annotations."""

# Labels on pods

APP_NAME = "app.kubernetes.io/name"
"""The service's name in the catalogue. Becomes the target label `service`."""
APP_VERSION = "app.kubernetes.io/version"
"""The version: the image's tag. Becomes the target label `version`."""
MANAGED_BY = "app.kubernetes.io/managed-by"
"""Which tool owns the object."""
TRACK = f"{DOMAIN}/track"
"""`stable`, `canary` or `baseline`. Becomes the target label `track`."""
TRACK_STABLE = "stable"
TRACK_CANARY = "canary"
TRACK_BASELINE = "baseline"
"""Fresh pods of the stable version, which a canary is compared with instead of the stable ones."""

# Annotations

SCRAPE_PORT = f"{DOMAIN}/scrape-port"
"""On a pod: the port, on the pod's own address, where Prometheus finds `/metrics`."""
SCRAPE_ADDRESS = f"{DOMAIN}/scrape-address"
"""On a pod, written by the local environment's pod runner: `host:port` where this pod's process really
listens. Without it the pod's IP and SCRAPE_PORT are the address."""
POD_ADDRESS = f"{DOMAIN}/address"
"""On a pod of the local environment: the loopback address it asks for, so that its URL is known before it
runs. Only for single-replica workloads; without it the pod runner chooses. Real kubelets ignore it."""
ROLLOUT_STATE = f"{DOMAIN}/rollout"
"""On a Deployment: the running rollout's state, JSON. Everything else is derived from the cluster."""
ROLLOUT_ASK = f"{DOMAIN}/rollout-ask"
"""Beside ROLLOUT_STATE, JSON: what somebody asks of the running rollout (pause, promote), until it was done."""
HELD = f"{DOMAIN}/held"
"""On a workload whose own update a rollout holds, and on a Service that it switches, JSON: the fields of its
specification that do so, as they were."""
STOP_THE_LINE = f"{DOMAIN}/stop-the-line"
"""On the ConfigMap of the environment's facts, JSON: for which services nothing is rolled out, who said so and why."""
KEPT_OF = f"{DOMAIN}/kept-of"
"""On a ConfigMap that is a copy, a label: the service that reads what it is a copy of."""
KEPT = f"{DOMAIN}/kept"
"""On the same, JSON: the name, labels and kind of what it is a copy of, and the pod template that reads it."""
ROLLED_BACK = f"{DOMAIN}/rolled-back"
"""On a Deployment, JSON: which version was taken back and which one restored, so that rolling back twice does
not bring the bad version back. It holds until another template is deployed."""

# Objects

SYSTEM_NAMESPACE = "quarterdeck"
"""Where monitoring, the environment's facts, locks and the audit log live."""
NODE_NAMESPACE = "quarterdeck-node"
"""Where agents live that read their node's own files. It is apart because PodSecurity's levels `restricted` and
`baseline` allow no such volume: everything else runs under `restricted`."""
ENVIRONMENT_CONFIGMAP = "quarterdeck-environment"
"""Written by the stack; read by every command. Keys are in `quarterdeck_contract.environment`."""
AUDIT_CONFIGMAP_PREFIX = "quarterdeck-audit"
"""The audit log's ConfigMaps, one a segment."""

# Environment variables of an instrumented service

METRICS_DIR = "QUARTERDECK_METRICS_DIR"
"""The folder in which the workers of a service keep their counts for each other. In a pod: a volume of its own in
memory, so that what a killed process leaves goes with the pod."""

# Ports, on the pod's own address

METRICS_PORT = 9464
"""`/metrics` of an instrumented service (OpenTelemetry's registered Prometheus port)."""
