"""`services.yaml`: what is run, what is promised, how it is rolled out.

`model` holds the frozen models, `load` reads them from a file with errors that name the line.
"""

from quarterdeck_dashboards.catalogue.load import load, parse
from quarterdeck_dashboards.catalogue.model import Catalogue, RolloutPlan, Service, Slo, SloKind

__all__ = ["Catalogue", "RolloutPlan", "Service", "Slo", "SloKind", "load", "parse"]
