"""What every service of the catalogue is given, unless the catalogue says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quarterdeck_stacks.images import has_digest
from quarterdeck_stacks.settings.keys import choice, count, flag, key


class Instrumentation(StrEnum):
    """How the instrumentation gets into a service's process."""

    IMAGE = "image"
    """The image has it: its command is `quarterdeck-instrument …`."""
    INIT = "init"
    """An init container copies it into a volume, which the service's Python finds first."""


def _image(value: str) -> str:
    if value and not has_digest(value):
        raise ValueError(f"expected an image as registry/name:tag@sha256:…, found {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Numbers of services."""

    autoscale: bool = key("servicesAutoscale", flag)
    """Whether services with more than one replica get a HorizontalPodAutoscaler, which needs metrics-server."""
    max_factor: int = key("servicesMaxFactor", count(1, 20))
    """The autoscaler's upper bound, as a multiple of the catalogue's replicas, which are its lower bound."""
    cpu_target: int = key("servicesCpuTarget", count(10, 95))
    """Percent of the requested processor time at which the autoscaler adds pods: below the knee of latency."""
    instrumentation: Instrumentation = key("servicesInstrumentation", choice(Instrumentation))
    """`image` where images have the instrumentation in them, `init` where an init container brings it."""
    instrumentation_image: str = key("servicesInstrumentationImage", _image)
    """With `init`: the image that holds the instrumentation, with its digest: another one would be in every service."""
