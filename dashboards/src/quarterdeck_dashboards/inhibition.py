"""What keeps what quiet: the symptom by its cause, the ticket by the page, what is missed by who cannot see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import BURN, DOWN, SEVERITY, SILENT, UNSEEING
from quarterdeck_dashboards.alerts import service as of_service
from quarterdeck_dashboards.alerts.kubernetes import CAUSES, NODE_NOT_READY, POD_NOT_READY, REPLICAS_MISSING
from quarterdeck_dashboards.series import ALERTNAME, INSTANCE, SLO
from quarterdeck_dashboards.slo.windows import Severity

_CLUSTER = (l_.CLUSTER.prometheus,)
_SERVICE = (*_CLUSTER, l_.NAMESPACE.prometheus, l_.SERVICE.prometheus)
_POD = (*_SERVICE, l_.POD.prometheus)
TARGET_DOWN = "TargetDown"

SYMPTOMS = (BURN, *(kind.name for kind in of_service.KINDS if kind.name != DOWN), TARGET_DOWN)
"""What follows from a service that is down."""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert called one of `causes` fires, those called one of `symptoms` with the same labels are quiet."""

    causes: tuple[str, ...]
    symptoms: tuple[str, ...]
    equal: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return this as Alertmanager writes it."""
        return {
            "source_matchers": [_named(self.causes)],
            "target_matchers": [_named(self.symptoms)],
            "equal": list(self.equal),
        }


INHIBITIONS = (
    Inhibition((DOWN,), SYMPTOMS, _SERVICE),
    Inhibition(UNSEEING, (SILENT,), _CLUSTER),
    Inhibition((NODE_NOT_READY,), (POD_NOT_READY,), (*_CLUSTER, "node")),
    Inhibition(CAUSES, (POD_NOT_READY, "ContainerRestarting"), _POD),
    Inhibition((*CAUSES, POD_NOT_READY), (REPLICAS_MISSING,), _SERVICE),
    Inhibition(("VolumeFull",), ("VolumeFilling",), (*_CLUSTER, l_.NAMESPACE.prometheus, "persistentvolumeclaim")),
    Inhibition(("DiskFull",), ("DiskFilling",), (*_CLUSTER, INSTANCE.name, "device", "mountpoint")),
    Inhibition(("QueueUnconsumed",), (of_service.GROWING,), (*_CLUSTER, "namespace", "vhost", "queue", "queue_name")),
)
"""Causes before symptoms, each by the labels that both have."""


def _named(names: tuple[str, ...]) -> str:
    operator = "=~" if len(names) > 1 else "="
    return f"{ALERTNAME.name}{operator}{json.dumps('|'.join(names))}"


def inhibitions() -> list[dict[str, Any]]:
    """Return Alertmanager's rules; the first is general: a page keeps the ticket of the same alert quiet."""
    page, ticket = (f"{SEVERITY}={json.dumps(severity.value)}" for severity in (Severity.PAGE, Severity.TICKET))
    same = [ALERTNAME.name, *_SERVICE, SLO.name, INSTANCE.name]
    return [
        {"source_matchers": [page], "target_matchers": [ticket], "equal": same},
        *(each.to_dict() for each in INHIBITIONS),
    ]
