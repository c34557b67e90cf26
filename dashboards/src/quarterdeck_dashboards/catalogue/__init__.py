"""`services.yaml`: what is run, what is promised, how it is rolled out.

`model` holds the frozen models with `objective` and `own`, `load` reads them from a file with errors that name the
line, `openapi` makes objectives of a service's operations.
"""

from quarterdeck_dashboards.catalogue.load import load, parse, portable
from quarterdeck_dashboards.catalogue.model import (
    Catalogue,
    Dependency,
    Freeze,
    OwnMetric,
    RolloutPlan,
    Service,
    Slo,
    SloKind,
)

__all__ = [
    "Catalogue",
    "Dependency",
    "Freeze",
    "OwnMetric",
    "RolloutPlan",
    "Service",
    "Slo",
    "SloKind",
    "load",
    "parse",
    "portable",
]
