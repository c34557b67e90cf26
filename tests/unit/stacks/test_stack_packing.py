"""Files in ConfigMaps, which have a limit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.build import rule_files
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_stacks.packing import LIMIT, pack

MEBIBYTE = 1024**2


def test_few_files_stay_together() -> None:
    """One ConfigMap is one thing to look at."""
    assert pack({"b": "2", "a": "1"}) == [{"a": "1", "b": "2"}]


def test_no_file_is_one_empty_part() -> None:
    """The folder that it is mounted as is there all the same."""
    assert pack({}) == [{}]


def test_files_are_divided_in_the_order_of_their_names() -> None:
    """The same files give the same parts, so nothing is rolled for nothing. Names count."""
    assert pack({"c": "345", "a": "345", "b": "345"}, limit=8) == [{"a": "345", "b": "345"}, {"c": "345"}]


def test_bytes_count_and_not_characters() -> None:
    """The API server counts bytes."""
    assert len(pack({"a": "€", "b": "€"}, limit=7)) == 2


def test_a_file_that_fits_nowhere_is_refused_before_anything_is_registered() -> None:
    """It says which, and what to do."""
    with pytest.raises(UsageError) as refused:
        pack({"service-checkout.yaml": "x" * 100}, limit=50)

    assert refused.value.expected == "service-checkout.yaml to fit into a ConfigMap, 50 bytes"
    assert refused.value.found == "121 bytes"


def test_the_rules_of_a_hundred_services_with_three_objectives_fit() -> None:
    """Each part is below the API server's limit, and no rule is lost."""
    service = """\
  - name: service-{0}
    namespace: shop
    owner: payments
    image: registry.example.com/shop/service:1
    slos:
      - {{name: availability, kind: availability, objective: 99.5, window: 30d}}
      - {{name: latency, kind: latency, objective: 99, window: 30d, threshold: 250ms}}
      - {{name: week, kind: availability, objective: 99.9, window: 7d}}
"""
    text = "version: 1\nrunbook_base_url: https://example.com/\nservices:\n" + "".join(map(service.format, range(100)))
    rules = rule_files(parse(text, origin="services.yaml"), scrape_interval=timedelta(seconds=15))

    parts = pack(rules)

    assert len(parts) > 1
    assert {name: text for part in parts for name, text in part.items()} == rules
    assert max(sum(len(n.encode()) + len(t.encode()) for n, t in part.items()) for part in parts) <= LIMIT < MEBIBYTE
