"""`local`: one of each, nothing that outlives the cluster."""

from __future__ import annotations

import pulumi

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_dashboards.alerts import BUNDLED
from quarterdeck_dashboards.build import alertmanager_config, rule_files
from quarterdeck_stacks.components.alertmanager import Alertmanager
from quarterdeck_stacks.components.facts import Facts
from quarterdeck_stacks.components.namespaces import Namespaces
from quarterdeck_stacks.components.place import Place
from quarterdeck_stacks.components.prometheus import Prometheus
from quarterdeck_stacks.components.workload import Workload
from quarterdeck_stacks.environments.platform import facts
from quarterdeck_stacks.environments.shape import Environment, provider
from quarterdeck_stacks.images import LOCAL_ALERTMANAGER, LOCAL_PROMETHEUS
from quarterdeck_stacks.scraping import LOOPBACK_KUBECONFIG, Scraping


def deploy(environment: Environment) -> None:
    """Register the environment's objects."""
    settings, catalogue = environment.settings, environment.catalogue
    loopback = settings.loopback
    shops = sorted({service.namespace for service in catalogue.services})
    # The cluster of `quarterdeck local up` is thrown away whole: a new one has another certificate, so Pulumi replaces
    # the provider and everything behind it, and what was in the old one is gone.
    given = None if environment.kubeconfig is None else pulumi.Output.secret(environment.kubeconfig)
    context = settings.cluster.context or None
    opts = pulumi.ResourceOptions(provider=provider("cluster", given, context, delete_unreachable=True))
    namespaces = Namespaces([SYSTEM_NAMESPACE, *shops], opts=opts)

    Alertmanager(
        alertmanager_config(catalogue),
        image=LOCAL_ALERTMANAGER,
        url=settings.alertmanager_url,
        address=loopback.alertmanager if loopback else None,
        namespaces=namespaces,
        opts=opts,
    )
    Prometheus(
        Scraping(
            cluster=settings.environment,
            interval=settings.prometheus.scrape_interval,
            retention=settings.prometheus.retention,
            namespaces=shops,
            kubeconfig=LOOPBACK_KUBECONFIG if loopback else None,
        ),
        rules=rule_files(catalogue, scrape_interval=settings.prometheus.scrape_interval, exporters=BUNDLED),
        image=LOCAL_PROMETHEUS,
        url=settings.prometheus_url,
        address=loopback.prometheus if loopback else None,
        namespaces=namespaces,
        opts=opts,
    )
    place = Place.of(settings)
    for service in catalogue.services:
        Workload(service, reach=None, place=place, namespaces=namespaces, opts=opts)
    Facts(facts(settings, environment.catalogue_text), namespaces=namespaces, opts=opts)
    pulumi.export("prometheusUrl", settings.prometheus_url)
    pulumi.export("alertmanagerUrl", settings.alertmanager_url)
