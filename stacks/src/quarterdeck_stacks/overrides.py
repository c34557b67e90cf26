"""An environment's catalogue: services.yaml with the stack's images and replicas in it, still as text.

As text, because the text is what the environment's facts carry: whoever reads them sees what was deployed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def in_namespaces_of(stack: str, text: str) -> str:
    """Return the catalogue *text* with each service in a namespace of *stack*'s own: `pr-42-shop` for `shop`."""
    document: Any = yaml.safe_load(text)
    for service in document["services"]:
        service["namespace"] = f"{stack}-{service.get('namespace', 'default')}"
    renamed: str = yaml.safe_dump(document, sort_keys=False)
    return renamed


def override(text: str, *, images: Mapping[str, str], replicas: Mapping[str, int]) -> str:
    """Return the catalogue *text* with *images* and *replicas* (service to value) set; without any, unchanged.

    Raises:
        UsageError: an override is for a service that the catalogue does not have.
    """
    if not images and not replicas:
        return text
    document: Any = yaml.safe_load(text)
    services = {service["name"]: service for service in document["services"]}
    for key, field, values in (("images", "image", images), ("replicas", "replicas", replicas)):
        for name, value in values.items():
            if name not in services:
                raise UsageError(
                    f"overrides for services of the catalogue: {', '.join(sorted(services))}",
                    name,
                    f"correct the stack's key `{key}`",
                )
            services[name][field] = value
    return yaml.safe_dump(document, sort_keys=False)
