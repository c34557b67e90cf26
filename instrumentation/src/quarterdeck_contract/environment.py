"""The ConfigMap `quarterdeck-environment` and its keys: what `pulumi up` tells the operator's commands."""

from __future__ import annotations

import re
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANGE = r"pr-[1-9]\d*"
"""Regular expression of the name of a change's environment, and of what its namespaces begin with before a dash."""


def is_of_a_change(environment: str) -> bool:
    """Return whether *environment* is a `pr-N`: one change's services in the cluster of another environment.

    >>> is_of_a_change("pr-42"), is_of_a_change("prod")
    (True, False)
    """
    return re.fullmatch(CHANGE, environment) is not None


def configmap_of(environment: str) -> str:
    """Return the name of the ConfigMap with *environment*'s facts: a `pr-N` has one of its own beside its cluster's.

    >>> configmap_of("prod"), configmap_of("pr-42")
    ('quarterdeck-environment', 'quarterdeck-environment-pr-42')
    """
    return f"{ENVIRONMENT_CONFIGMAP}-{environment}" if is_of_a_change(environment) else ENVIRONMENT_CONFIGMAP


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """Facts about one environment, as strings, exactly as they stand in the ConfigMap."""

    environment: str
    """`local`, `dev`, `staging`, `prod`, `pr-N`."""
    prometheus_url: str
    """Base URL, without a trailing slash."""
    alertmanager_url: str
    """Base URL, without a trailing slash."""
    catalogue: str
    """The text of `services.yaml` as deployed."""
    scrape_interval: str
    """Prometheus duration, for example `15s`: how stale a measurement may be."""
    grafana_url: str = ""
    """Where people reach Grafana, without a trailing slash; empty where there is none, or none that has an address."""
    cluster_uid: str = ""
    """UID of the namespace kube-system, by which a cluster is told from every other; empty where it was not asked."""

    def to_data(self) -> dict[str, str]:
        """Return the ConfigMap's `data`."""
        return {key.replace("_", "-"): value for key, value in asdict(self).items()}

    @classmethod
    def from_data(cls, data: Mapping[str, str]) -> EnvironmentFacts:
        """Read a ConfigMap's `data`; unknown keys are ignored, so an older command reads a newer stack.

        Raises:
            UsageError: a key is missing, which says that the stack is older than this command.
        """
        names = {field.name: field.name.replace("_", "-") for field in fields(cls)}
        needed = [names[field.name] for field in fields(cls) if field.default is MISSING]
        missing = [key for key in needed if key not in data]
        if missing:
            raise UsageError(
                f"the ConfigMap quarterdeck-environment to have the keys {', '.join(sorted(needed))}",
                f"no {', '.join(missing)}",
                "run `pulumi up` for this environment with the Quarterdeck version of this command",
            )
        return cls(**{name: data[key] for name, key in names.items() if key in data})
