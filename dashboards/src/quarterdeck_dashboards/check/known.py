"""What exists in an environment: the contract's series on its path, Prometheus' own, and named external lists."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import OVERFLOW
from quarterdeck_contract.naming import Path, Translation, series_names
from quarterdeck_dashboards.alerts import MIN_SCRAPES
from quarterdeck_dashboards.check.shape import Setting
from quarterdeck_dashboards.dashboards import foreign
from quarterdeck_dashboards.series import SYNTHETIC, by_name, contract, external, of_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.series import Series

_WORDS = {
    Path.SCRAPE: "where Prometheus scrapes the service",
    Path.COLLECTOR: "behind the collector",
    Path.OTLP: "where Prometheus receives OTLP",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """How metrics reach an environment's Prometheus, and how often."""

    scrape_interval: timedelta
    path: Path = Path.SCRAPE
    translation: Translation = Translation.ESCAPED
    """How names are spelt, on a path other than our own page."""

    @property
    def rate_window(self) -> timedelta:
        """Shortest window of a rate."""
        return MIN_SCRAPES * self.scrape_interval


def own_metrics(catalogue: Catalogue) -> tuple[Metric, ...]:
    """Return the metrics that services declare beside the contract's."""
    return tuple(metric.stated() for service in catalogue.services for metric in service.metrics)


def series_of(catalogue: Catalogue, environment: Environment) -> dict[str, Series]:
    """Return every series that a query may ask for, by name, without what rules record."""
    path, translation = environment.path, environment.translation
    own = (series for metric in own_metrics(catalogue) for series in of_metric(metric, path, translation))
    others = (series for metric in foreign.ALL for series in of_metric(metric, path, translation))
    listed = {name: series for page in _pages() for name, series in external(page).items()}
    return {**listed, **by_name(SYNTHETIC), **by_name(others), **contract(path, translation), **by_name(own)}


def _pages() -> Iterator[str]:
    """Yield the name of each recorded page of another program."""
    folder = resources.files("quarterdeck_dashboards") / "external"
    names = sorted(page.name for page in folder.iterdir())
    yield from (name.removesuffix(".prom") for name in names if name.endswith(".prom"))


def setting(catalogue: Catalogue, environment: Environment) -> Setting:
    """Return what is known of *environment*, with how all others spell the names of this one."""
    path, translation = environment.path, environment.translation
    elsewhere: dict[str, str] = {}
    for metric in (*metrics.ALL, *own_metrics(catalogue), *foreign.ALL):
        here = series_names(metric, path, translation)
        for other in Translation:
            elsewhere |= dict(zip(series_names(metric, Path.OTLP, other), here, strict=True))
        for label in (*metric.labels, OVERFLOW):
            dotted = path is not Path.SCRAPE and translation.keeps_dots
            right, wrong = (label.name, label.prometheus) if dotted else (label.prometheus, label.name)
            elsewhere[wrong] = right
    return Setting(
        environment.rate_window, {name: right for name, right in elsewhere.items() if name != right}, _WORDS[path]
    )
