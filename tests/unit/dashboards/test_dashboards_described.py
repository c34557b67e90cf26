"""Every dashboard of a small catalogue: what it asks for exists, and it can be read."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quarterdeck_dashboards import build, dashboards
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.check import expression, rules
from quarterdeck_dashboards.check.run import check
from quarterdeck_dashboards.dashboards import foreign, outside
from quarterdeck_dashboards.dashboards.description import COLUMNS, Draw, Level, Panel, Threshold
from quarterdeck_dashboards.series import SYNTHETIC, Series, SeriesKind, by_name, contract, external, of_metric
from quarterdeck_dashboards.uid import TAG

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue


CALLING = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    owner: payments
    image: a/checkout:v1
    dependencies:
      - {name: orders}
      - {name: ledger, kind: postgresql}
      - {name: carts, kind: redis}
  - {name: orders, owner: payments, image: 'a/orders:v1', framework: grpc}
  - {name: mailer, owner: letters, image: 'a/mailer:v1', framework: celery}
  - name: biller
    owner: letters
    image: a/biller:v1
    framework: batch
    dependencies:
      - {name: bills, kind: rabbitmq}
    metrics:
      - {name: bills.sent, kind: counter, unit: "{bill}"}
      - {name: bills.wait, kind: histogram, unit: s, labels: [queue.name], buckets: [1, 10]}
      - {name: bills.newest, kind: gauge, unit: s, description: When the newest was made.}
"""
"""Services with every kind of dependency that panels know, and those that nobody asks."""


def _known(catalogue: Catalogue) -> dict[str, Series]:
    generated = build.rule_files(catalogue, scrape_interval=timedelta(seconds=15))
    recorded = {rule.name for name, text in generated.items() for rule in rules.parse(text, name) if not rule.is_alert}
    others = by_name(series for metric in foreign.ALL for series in of_metric(metric))
    pages = {name: series for page in outside.PAGES for name, series in external(page).items()}
    made = {name: Series(name, SeriesKind.GAUGE, None) for name in recorded}
    return {**contract(), **by_name(SYNTHETIC), **pages, **others, **made}


def test_every_query_asks_for_series_that_exist(catalogue: Catalogue) -> None:
    """With labels that they have: panels, and what is marked on them."""
    known = _known(catalogue)
    asked = dashboards.queries(catalogue)

    assert len(asked) > 50
    assert {name: expression.examine(query, known)[1] for name, query in asked.items()} == {key: [] for key in asked}


def test_dashboards_of_clients_and_workers_keep_the_contract_in_both_languages() -> None:
    """What contrib's clients and Celery emit is foreign to the contract, and known all the same."""
    result = check(parse(CALLING, "services.yaml"), scrape_interval=timedelta(seconds=15))

    assert [str(finding) for finding in result.findings if finding.where.startswith(TAG)] == []


def test_without_promises_nothing_is_shown_of_any() -> None:
    """No panel of objectives that could never have data, no report, and no link to it."""
    made = dashboards.of(parse(CALLING, "services.yaml"))

    assert [panel.title for dashboard in made for panel in dashboard.panels() if panel.is_of_objectives] == []
    uids = {dashboard.uid for dashboard in made}
    assert {link.dashboard for dashboard in made for link in dashboard.links if link.dashboard} - uids == set()


def test_a_dashboard_has_a_name_of_its_own_that_fits_in_urls(catalogue: Catalogue) -> None:
    """Grafana takes 40 characters; two dashboards of one uid would overwrite each other."""
    uids = [dashboard.uid for dashboard in dashboards.of(catalogue)]

    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40


def test_links_between_dashboards_lead_somewhere(catalogue: Catalogue) -> None:
    """To dashboards that exist."""
    made = dashboards.of(catalogue)
    linked = {link.dashboard for dashboard in made for link in dashboard.links if link.dashboard}

    assert linked - {dashboard.uid for dashboard in made} == set()


def test_alerts_lead_to_dashboards_that_exist(catalogue: Catalogue) -> None:
    """A service's own, the cluster's, or whoever's who is on call."""
    published = catalogue.model_copy(update={"dashboard_base_url": "https://grafana.example/"})
    generated = build.rule_files(published, scrape_interval=timedelta(seconds=15))
    linked = set(re.findall(r"grafana\.example/d/([\w-]+)", "".join(generated.values())))

    assert linked - {dashboard.uid for dashboard in dashboards.of(catalogue)} == set()
    assert {"quarterdeck-service-checkout", "quarterdeck-kubernetes", "quarterdeck-on-call"} <= linked


def test_rows_fill_the_width_with_few_panels(catalogue: Catalogue) -> None:
    """At most four side by side: more cannot be read on a laptop."""
    rows = [row for dashboard in dashboards.of(catalogue) for row in dashboard.rows]

    assert {sum(panel.width for panel in row.panels) for row in rows} == {COLUMNS}
    assert max(len(row.panels) for row in rows) <= 4


def test_every_panel_says_what_it_shows(catalogue: Catalogue) -> None:
    """In whole sentences, and short enough to be read at night."""
    panels = [panel for dashboard in dashboards.of(catalogue) for panel in dashboard.panels()]

    measured = [panel for panel in panels if panel.draw is not Draw.TEXT]
    assert {panel.title for panel in measured if not panel.says.endswith((".", "?"))} == set()
    assert {panel.title for panel in measured if not 20 < len(panel.says) <= 240} == set()
    assert {panel.title for panel in panels if len(panel.title) > 40} == set()


def test_a_panel_that_nobody_could_draw_is_refused() -> None:
    """Thresholds that descend, and a picture of nothing."""
    with pytest.raises(ValueError, match="thresholds that ascend"):
        Panel("x", "y", Draw.TEXT, thresholds=(Threshold(2, Level.BAD), Threshold(1, Level.WARNING)))
    with pytest.raises(ValueError, match="queries, or a text alone"):
        Panel("x", "y", Draw.LINES)
