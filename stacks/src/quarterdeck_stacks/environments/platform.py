"""What dev, staging and prod are made of: the same components, in the shape that each of them states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from quarterdeck_contract.access import IDENTITY_NAMESPACE
from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_contract.kubernetes import NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_stacks.components.facts import Facts
from quarterdeck_stacks.components.isolation import Isolation
from quarterdeck_stacks.components.namespaces import Namespaces
from quarterdeck_stacks.components.operators import Operators
from quarterdeck_stacks.components.place import Place
from quarterdeck_stacks.components.quota import Quota
from quarterdeck_stacks.components.workload import Workload
from quarterdeck_stacks.environments.connection import connect
from quarterdeck_stacks.environments.monitoring import monitoring
from quarterdeck_stacks.reach import reach_of

if TYPE_CHECKING:
    from quarterdeck_stacks.environments.shape import Environment
    from quarterdeck_stacks.settings import Settings


@dataclass(frozen=True, slots=True)
class Shape:
    """What differs between environments and is not a number."""

    disposable: bool
    """Whether the cluster may be thrown away whole: what is in one that does not answer is then forgotten."""


def deploy(environment: Environment, shape: Shape) -> None:
    """Register the environment's objects."""
    settings, catalogue = environment.settings, environment.catalogue
    connection = connect(environment, disposable=shape.disposable)
    opts = connection.opts
    services = sorted({service.namespace for service in catalogue.services})
    namespaces = Namespaces(
        [SYSTEM_NAMESPACE, NODE_NAMESPACE, *services], protect=settings.monitoring.protect, opts=opts
    )
    monitoring(environment, namespaces, opts)
    workloads(environment, namespaces, opts)
    granted = [*services, SYSTEM_NAMESPACE, IDENTITY_NAMESPACE]
    Operators(granted, settings.operators, namespaces=namespaces, opts=opts)
    Facts(facts(settings, environment.catalogue_text), uid=connection.uid, namespaces=namespaces, opts=opts)
    pulumi.export("prometheusUrl", settings.prometheus_url)
    pulumi.export("alertmanagerUrl", settings.alertmanager_url)
    pulumi.export("clusterUid", connection.uid)
    pulumi.export("clusterIssuer", connection.issuer)
    pulumi.export("kubeconfig", connection.kubeconfig)


def workloads(environment: Environment, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    """Register the catalogue's services, each namespace without any connection but those that they are given."""
    catalogue = environment.catalogue
    place = Place.of(environment.settings)
    for namespace in sorted({service.namespace for service in catalogue.services} - {SYSTEM_NAMESPACE}):
        namespaces.guard(namespace, [Isolation(namespace, namespaces=namespaces, opts=opts)])
        if environment.settings.quota.hard:
            Quota(namespace, environment.settings.quota.hard, namespaces=namespaces, opts=opts)
    for service in catalogue.services:
        Workload(service, reach=reach_of(service, catalogue), place=place, namespaces=namespaces, opts=opts)


def facts(settings: Settings, catalogue: str) -> EnvironmentFacts:
    """Return what the operator's commands are told."""
    return EnvironmentFacts(
        environment=settings.environment,
        prometheus_url=settings.prometheus_url,
        alertmanager_url=settings.alertmanager_url,
        catalogue=catalogue,
        scrape_interval=format_duration(settings.prometheus.scrape_interval),
        grafana_url=settings.grafana_url,
    )
