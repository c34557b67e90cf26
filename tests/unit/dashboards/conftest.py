"""A small catalogue that tests of dashboards share."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quarterdeck_dashboards.alerts import AlertSettings
from quarterdeck_dashboards.catalogue import Catalogue, parse

TEXT = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    tier: 1
    image: registry.example/checkout:v1
    slos:
      - {name: availability, kind: availability, objective: 99.5}
      - {name: fast, kind: latency, objective: 99, threshold: 1s}
  - name: orders
    namespace: shop
    owner: payments
    tier: 2
    image: registry.example/orders:v1
  - name: mailer
    namespace: post
    owner: letters
    tier: 3
    image: registry.example/mailer:v1
    slos:
      - {name: availability, kind: availability, objective: 99, window: 7d}
webhooks:
  payments: https://hooks.example/payments
"""


@pytest.fixture
def catalogue() -> Catalogue:
    """Return three services: one of each tier, two owners, both kinds of objective."""
    return parse(TEXT, "services.yaml")


@pytest.fixture
def settings(catalogue: Catalogue) -> AlertSettings:
    """Return settings with a scrape every 15 s."""
    return AlertSettings(catalogue.runbook_base_url, timedelta(seconds=15))
