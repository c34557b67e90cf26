"""The generated tree: as committed, written once, and nothing foreign touched."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards import build
from quarterdeck_dashboards.catalogue import load
from quarterdeck_dashboards.command import rules

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

SCRAPE = timedelta(seconds=15)


def test_committed_files_are_what_the_catalogue_generates(root: Path) -> None:
    """Rebuild them with `quarterdeck rules generate`."""
    tree = build.generated(load(root / "services.yaml"), scrape_interval=SCRAPE)

    assert build.differences(tree, root / "dashboards/generated") == ""


def test_there_is_a_rule_file_a_service_and_three_of_the_cluster(catalogue: Catalogue) -> None:
    """Each with its proofs: pages and tickets apart, where there are such alerts."""
    assert sorted(build.generated(catalogue, scrape_interval=SCRAPE)) == [
        "alertmanager.yaml",
        "proofs/backing.yaml",
        "proofs/kubernetes.yaml",
        "proofs/monitoring.yaml",
        "proofs/page-of-service-checkout.yaml",
        "proofs/page-of-service-mailer.yaml",
        "proofs/page-of-service-orders.yaml",
        "proofs/quiet-of-service-checkout.yaml",
        "proofs/ticket-of-service-checkout.yaml",
        "proofs/ticket-of-service-mailer.yaml",
        "rules/backing.yaml",
        "rules/kubernetes.yaml",
        "rules/monitoring.yaml",
        "rules/service-checkout.yaml",
        "rules/service-mailer.yaml",
        "rules/service-orders.yaml",
    ]


def test_generating_twice_gives_the_same_bytes(catalogue: Catalogue) -> None:
    """No clock, no order of a set."""
    assert build.generated(catalogue, scrape_interval=SCRAPE) == build.generated(catalogue, scrape_interval=SCRAPE)


def test_every_alert_of_every_rule_file_is_proved(catalogue: Catalogue) -> None:
    """To fire and to be silent, each with its severity."""
    tree = build.generated(catalogue, scrape_interval=SCRAPE)
    files = {path: yaml.safe_load(text) for path, text in tree.items()}

    alerts = {
        (rule["alert"], rule["labels"].get("service", ""), rule["labels"]["severity"], rule["labels"].get("slo"))
        for path, text in files.items()
        if path.startswith("rules/")
        for group in text["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    checks = [
        check
        for path, text in files.items()
        if path.startswith("proofs/")
        for test in text["tests"]
        for check in test["promql_expr_test"]
    ]
    for alert, service, severity, slo in alerts:
        wanted = [
            f'alertname="{alert}"',
            f'service="{service}"' if service and "{{" not in service else "",
            f'severity="{severity}"',
            f'slo="{slo}"' if slo else "",
        ]
        own = [check for check in checks if all(each in check["expr"] for each in wanted)]
        assert {bool(check["exp_samples"]) for check in own} == {True, False}


def test_writing_changes_only_what_differs_and_removes_only_its_own(catalogue: Catalogue, tmp_path: Path) -> None:
    """A service that is gone takes its files along; a rule file of the user's stays."""
    tree = build.generated(catalogue, scrape_interval=SCRAPE)
    assert build.write(tree, tmp_path) == sorted(tree)
    (tmp_path / "rules/own.yaml").write_text("groups: []\n")

    fewer = {path: text for path, text in tree.items() if "orders" not in path}
    changed = build.write(fewer, tmp_path)

    assert changed == ["proofs/page-of-service-orders.yaml", "rules/service-orders.yaml"]
    assert (tmp_path / "rules/own.yaml").exists()
    assert not (tmp_path / "rules/service-orders.yaml").exists()
    assert build.write(fewer, tmp_path) == []


def test_rates_need_four_scrapes(catalogue: Catalogue) -> None:
    """A rate over five minutes cannot be had from a scrape every two."""
    with pytest.raises(UsageError) as caught:
        build.rule_files(catalogue, scrape_interval=timedelta(minutes=2))

    assert str(caught.value) == (
        "Expected a scrape interval of at most 1m15s, so that a rate over 5m spans 4 scrapes.\n"
        "Found 2m.\nNext: scrape more often."
    )


def test_check_passes_on_what_generate_wrote_and_shows_what_changed(root: Path, tmp_path: Path) -> None:
    """Exit code 0, then 1 with a diff on stdout."""
    options = ["--services", str(root / "services.yaml"), "--out", str(tmp_path)]
    runner = CliRunner()

    generated = runner.invoke(rules, ["generate", *options], standalone_mode=False)
    fresh = runner.invoke(rules, ["check", *options], standalone_mode=False)
    path = tmp_path / "rules/service-checkout.yaml"
    path.write_text(path.read_text().replace("> 0.072", "> 0.5"))
    stale = runner.invoke(rules, ["check", *options], standalone_mode=False)

    assert (generated.return_value, len(generated.stdout.splitlines())) == (0, 11)
    assert (fresh.return_value, fresh.stdout) == (0, "")
    assert stale.return_value == 1
    assert '-      (((slo:error_ratio:1h{namespace="shop",service="checkout",slo="availability"} > 0.5)' in stale.stdout
    assert "run `quarterdeck rules generate`" in stale.stderr


def test_a_scrape_interval_that_is_none_is_a_usage_error(root: Path) -> None:
    """Click names the option."""
    result = CliRunner().invoke(
        rules, ["check", "--services", str(root / "services.yaml"), "--scrape-interval", "soon"]
    )

    assert result.exit_code == 2
    assert "Invalid value for --scrape-interval: expected a duration such as 250ms" in result.stderr


def test_the_schema_is_printed_as_committed(root: Path) -> None:
    """So that the output can be redirected to the file."""
    result = CliRunner().invoke(rules, ["schema"], standalone_mode=False)

    assert result.stdout == (root / "docs/reference/services.schema.json").read_text(encoding="utf-8")
