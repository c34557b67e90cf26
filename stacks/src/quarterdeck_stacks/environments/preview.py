"""`pr-N`: one change's services, beside dev's in dev's cluster, for as long as the change is looked at.

It has namespaces of its own (`pr-42-shop`) and facts of its own beside dev's; no monitoring, no cluster. Its spans go
to the collector of the node that a pod is on, which is dev's, and say which environment they are from; dev's Prometheus
finds its pods by the names of their namespaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from quarterdeck_dashboards.duration import format_duration
from quarterdeck_stacks.components.facts import Facts
from quarterdeck_stacks.components.namespaces import Namespaces
from quarterdeck_stacks.components.operators import Operators
from quarterdeck_stacks.environments.connection import connect
from quarterdeck_stacks.environments.platform import facts, workloads
from quarterdeck_stacks.expiry import TTL
from quarterdeck_stacks.reach import PREVIEW

if TYPE_CHECKING:
    from quarterdeck_stacks.environments.shape import Environment


def deploy(environment: Environment) -> None:
    """Register the change's services."""
    settings = environment.settings
    connection = connect(environment, disposable=True)
    namespaces = Namespaces(
        {service.namespace for service in environment.catalogue.services},
        marks={PREVIEW: settings.stack, TTL: format_duration(settings.preview_ttl)},
        opts=connection.opts,
    )
    workloads(environment, namespaces, connection.opts)
    Operators(namespaces.names, settings.operators, namespaces=namespaces, opts=connection.opts)
    told = facts(settings, environment.catalogue_text)
    Facts(told, uid=connection.uid, namespaces=None, opts=connection.opts)
    pulumi.export("clusterUid", connection.uid)
