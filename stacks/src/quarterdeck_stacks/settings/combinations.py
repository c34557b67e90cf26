"""What is right by itself and wrong together: refused before any resource is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_stacks.reach import reach_of
from quarterdeck_stacks.settings.monitoring import Scale
from quarterdeck_stacks.settings.quota import too_small
from quarterdeck_stacks.settings.services import Instrumentation

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings.stack import Settings

_RESERVED_NAMESPACES = frozenset({"kube-node-lease", "kube-public", "kube-system"})
"""The cluster's own. What runs there could not run under the PodSecurity level that ours enforce."""


def check_against(settings: Settings, catalogue: Catalogue) -> None:
    """Refuse *settings* that do not fit the *catalogue*.

    Raises:
        UsageError: a service calls something on a port that nobody has said, samples are deleted before an SLO's
            window has passed, a service wants a reserved namespace, or an init container has no image.
    """
    if settings.services.instrumentation is Instrumentation.INIT and not settings.services.instrumentation_image:
        raise UsageError(
            "servicesInstrumentationImage, which holds what the init container copies",
            "none",
            "`pulumi config set servicesInstrumentationImage …`, or servicesInstrumentation to image",
        )
    for refusal in too_small(settings.quota, catalogue, settings.services):
        raise refusal
    key, kept = _kept(settings)
    for service in catalogue.services:
        if settings.loopback is None:
            reach_of(service, catalogue)
        if service.namespace in _RESERVED_NAMESPACES:
            raise UsageError(
                f"service {service.name} in a namespace of its own",
                f"{service.namespace}, which is the cluster's",
                f"choose another `namespace` for it in {settings.catalogue}",
            )
        if service.name in {"prometheus", "alertmanager"} and service.namespace == SYSTEM_NAMESPACE:
            raise UsageError(
                f"no service {service.name} in the namespace {SYSTEM_NAMESPACE}",
                "one, which would replace the environment's own",
                f"rename it or move it in {settings.catalogue}",
            )
        for slo in service.slos:
            window = format_duration(slo.window)
            if slo.window > kept:
                raise UsageError(
                    f"{key} of at least {window}, the window of {service.name}'s SLO {slo.name}",
                    format_duration(kept),
                    f"`pulumi config set {key} {window}` or longer",
                )


def _kept(settings: Settings) -> tuple[str, timedelta]:
    """Return how long samples are kept for who asks about an SLO, and the key that says so."""
    if settings.monitoring.scale is Scale.DISTRIBUTED:
        return "longTermRetention", settings.monitoring.long_term_retention
    return "retention", settings.prometheus.retention
