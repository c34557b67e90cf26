"""The agent's configuration: what services send is given its pod's names, and sent on. Pure text."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck_contract.kubernetes import APP_VERSION, TRACK
from quarterdeck_stacks.telemetry import collector
from quarterdeck_stacks.telemetry.collector import LIMITER, OTLP, Part, Pipelines
from quarterdeck_stacks.telemetry.places import OTLP_GRPC_PORT

NODE = "KUBE_NODE_NAME"
"""Environment variable with the node's name: an agent watches the pods of its own node, and no others."""
_PODS = "k8s_attributes"
_IN_MEMORY = 0.15
"""Share of the memory for each queue: a minute of a busy node's spans."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What an agent's configuration depends on."""

    memory: int
    """Bytes of memory of its pod."""
    gateway: str
    """DNS name that has the address of each gateway."""
    logs_to: str | None
    """Base URL of Loki; None takes no logs."""

    def to_yaml(self) -> str:
        """Return the configuration."""
        size = int(self.memory * _IN_MEMORY)
        exporters = {
            # Spans of one trace to one gateway, whichever agents they come from, or none could judge it whole.
            "traces": ("load_balancing/traces", self._balanced("traceID", size)),
            # Points of one series to one gateway, or they would overtake each other.
            "metrics": ("load_balancing/metrics", self._balanced("service", size)),
        }
        if self.logs_to is not None:
            # Nothing is decided about several lines together: they need no gateway.
            sent = {"endpoint": f"{self.logs_to}/otlp", **collector.sending(storage=False, size=size)}
            exporters["logs"] = ("otlp_http/loki", sent)
        return collector.to_yaml(
            Pipelines(
                receivers={OTLP: collector.otlp_receiver()},
                processors={LIMITER: collector.memory_limiter(self.memory), _PODS: _pods()},
                connectors={},
                exporters=dict(exporters.values()),
                pipelines={
                    signal: {"receivers": [OTLP], "processors": [LIMITER, _PODS], "exporters": [name]}
                    for signal, (name, _) in exporters.items()
                },
                storage=None,
            )
        )

    def _balanced(self, routing_key: str, size: int) -> Part:
        return {
            "routing_key": routing_key,
            # By DNS, which needs no role: asked again every five seconds, so that a new gateway gets its share.
            "resolver": {"dns": {"hostname": self.gateway, "port": str(OTLP_GRPC_PORT), "interval": "5s"}},
            "protocol": {"otlp": {"tls": {"insecure": True}, "sending_queue": {"enabled": False}}},
            # The queue is before the choice of a gateway: what one has not taken is sent to who has its share next.
            **collector.sending(storage=False, size=size),
        }


def _pods() -> Part:
    """Return what tells whose telemetry it is by the address it comes from, as the API server knows it."""
    return {
        "auth_type": "serviceAccount",
        "filter": {"node_from_env_var": NODE},
        "pod_association": [{"sources": [{"from": "connection"}]}],
        "extract": {
            "metadata": [
                "k8s.namespace.name",
                "k8s.pod.name",
                "k8s.pod.uid",
                "k8s.node.name",
                "k8s.deployment.name",
            ],
            # The name of a ReplicaSet says its Deployment's: no right to read either is needed.
            "deployment_name_from_replicaset": True,
            "labels": [
                {"from": "pod", "key": APP_VERSION, "tag_name": "service.version"},
                {"from": "pod", "key": TRACK, "tag_name": "quarterdeck.track"},
            ],
        },
    }
