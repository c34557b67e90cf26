"""`quarterdeck contract check`: generated rules, registered queries, a user's own files, pages and routes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards import build
from quarterdeck_dashboards.alerts import RUNBOOKS
from quarterdeck_dashboards.catalogue import parse as parse_catalogue
from quarterdeck_dashboards.check import rules
from quarterdeck_dashboards.check.known import Environment, series_of
from quarterdeck_dashboards.check.run import Sources, check, examine
from quarterdeck_dashboards.command import contract as command

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

SCRAPE = timedelta(seconds=15)
KNOWN = series_of(
    parse_catalogue(
        "version: 1\nrunbook_base_url: https://example.org/\nservices: [{name: a, owner: a, image: 'a:v1'}]\n", "a.yaml"
    ),
    Environment(SCRAPE),
)
PAGES = frozenset(RUNBOOKS.values())


def _generated(catalogue: Catalogue) -> Sources:
    files = build.rule_files(catalogue, scrape_interval=SCRAPE)
    found = [rule for name, text in files.items() for rule in rules.parse(text, f"rules/{name}")]
    return Sources(tuple(found), pages=PAGES, known=KNOWN)


def _of(catalogue: Catalogue, text: str) -> tuple[str, ...]:
    found = examine(catalogue, Sources(tuple(rules.parse(text, "own.yaml")), pages=PAGES, known=KNOWN)).findings
    return tuple(map(str, found))


def test_everything_generated_asks_for_what_is_emitted(catalogue: Catalogue) -> None:
    """Each rule's query, each alert's page and route."""
    result = examine(catalogue, _generated(catalogue))

    assert result.findings == ()
    assert result.queries == len(_generated(catalogue).rules) > result.alerts > 0


def test_a_metric_renamed_in_the_contract_is_found_wherever_it_was_used(catalogue: Catalogue) -> None:
    """Every rule that reads the series, and none that does not."""
    sources = _generated(catalogue)
    name = "http_server_request_duration_seconds_bucket"
    renamed = {("http_server_duration_seconds_bucket" if key == name else key): each for key, each in KNOWN.items()}

    findings = [str(finding) for finding in examine(catalogue, replace(sources, known=renamed)).findings]

    assert len(findings) == sum(name in rule.expr for rule in sources.rules) == 1
    assert findings[0].startswith("rules/service-checkout.yaml:")
    assert "checkout-fast/slo:errors:rate5m" in findings[0]


def test_a_label_that_a_rule_aggregates_away_is_missed_by_its_readers(catalogue: Catalogue) -> None:
    """A recorded series has the labels its query yields, wherever it is recorded."""
    findings = _of(
        catalogue,
        """\
groups:
  - name: own
    rules:
      - record: service:up:max
        expr: max by (service) (up)
      - record: shop:up:max
        expr: max(service:up:max{pod="a"})
      - record: later:up:max
        expr: max by (service) (sooner:up:max)
      - record: sooner:up:max
        expr: max by (pod) (up)
        labels: {service: checkout}
""",
    )

    assert findings == (
        'own.yaml:7: own/shop:up:max: service:up:max{pod="a"}: expected a label of service:up:max, found pod',
    )


def test_an_alert_without_page_severity_or_owner_is_found(catalogue: Catalogue) -> None:
    """Each reason by itself."""
    findings = _of(
        catalogue,
        """\
groups:
  - name: own
    rules:
      - alert: NoPage
        expr: up{service="checkout"} == 0
        labels: {severity: page}
      - alert: OtherPage
        expr: up{service="checkout"} == 0
        labels: {severity: page}
        annotations: {runbook_url: "https://wiki.example/down"}
      - alert: GonePage
        expr: up{service="checkout"} == 0
        labels: {severity: page}
        annotations: {runbook_url: "https://example.org/runbooks/service-dwn/"}
      - alert: NoSeverity
        expr: up == 0
        annotations: &page {runbook_url: "https://example.org/runbooks/service-down/"}
      - alert: OtherSeverity
        expr: up == 0
        labels: {severity: tickets}
        annotations: *page
      - alert: NobodysService
        expr: up{service="basket"} == 0
        labels: {severity: page}
        annotations: *page
      - alert: NoService
        expr: sum(up) == 0
        labels: {severity: page}
        annotations: *page
      - alert: AnyService
        expr: up == 0
        labels: {severity: page}
        annotations: *page
""",
    )

    where = "https://example.org/runbooks/<page>/"
    assert findings == (
        f"own.yaml:5: own/NoPage: annotation runbook_url: expected {where}, found none",
        f"own.yaml:8: own/OtherPage: annotation runbook_url: expected {where}, found https://wiki.example/down",
        (
            "own.yaml:12: own/GonePage: annotation runbook_url: expected the page of a runbook that exists, "
            "found service-dwn; did you mean service-down?"
        ),
        "own.yaml:16: own/NoSeverity: label severity: expected page or ticket, found none",
        (
            "own.yaml:19: own/OtherSeverity: label severity: expected page or ticket, found 'tickets'; "
            "did you mean ticket?"
        ),
        (
            "own.yaml:23: own/NobodysService: route: expected a service of the catalogue, so that its owner is told, "
            "found the service basket"
        ),
        (
            "own.yaml:27: own/NoService: route: expected a service of the catalogue, so that its owner is told, "
            "found no label service on the alert"
        ),
    )


def test_registered_queries_are_checked_by_name(catalogue: Catalogue) -> None:
    """Gates and runbooks ask too."""
    sources = Sources((), {"rollout/errors": "rate(up[1m])", "rollout/scrapes": "up"}, PAGES, KNOWN)

    assert [str(finding) for finding in examine(catalogue, sources).findings] == [
        "rollout/errors: rate(up[1m]): expected a counter in rate(), found the gauge up",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: 3\n", "own.yaml:1:9: groups: expected a list, found 3"),
        ("- a\n", "own.yaml:1:1: expected a mapping, found a list"),
        (
            "groups:\n  - name: a\n    rules:\n      - expr: up\n",
            "own.yaml:4:9: groups[0].rules[0]: expected either the key record or the key alert, found neither",
        ),
        (
            "groups:\n  - name: a\n    rules:\n      - {record: a, expr: [up]}\n",
            "own.yaml:4:27: groups[0].rules[0].expr: expected text, found a list",
        ),
        (
            "groups: [\n",
            (
                "own.yaml:2:1: expected YAML, found a syntax error while parsing a flow node: "
                "expected the node content, but found '<stream end>'"
            ),
        ),
    ],
)
def test_a_file_that_holds_no_rules_is_a_usage_error(text: str, message: str) -> None:
    """With the place, as for the catalogue."""
    with pytest.raises(UsageError) as caught:
        rules.parse(text, "own.yaml")

    assert message in str(caught.value)


def test_a_users_file_and_their_exporters_page_are_checked_together(root: Path, tmp_path: Path) -> None:
    """Exit code 1 with the finding on stdout, and without it once the page is given."""
    own = tmp_path / "own.yaml"
    own.write_text("groups: [{name: own, rules: [{record: jobs:rate5m, expr: 'rate(jobs_total[5m])'}]}]\n")
    page = tmp_path / "jobs.prom"
    page.write_text("# TYPE jobs_total counter\njobs_total 3\n")
    options = ["check", "--services", str(root / "services.yaml"), str(own)]

    without = CliRunner().invoke(command, options, standalone_mode=False)
    with_page = CliRunner().invoke(command, [*options, "--external", str(page)], standalone_mode=False)

    finding = f"{own}:1: own/jobs:rate5m: jobs_total: expected a series of the contract, a recorded rule or an external"
    assert without.return_value == 1
    assert [line.startswith(finding) for line in without.stdout.splitlines() if "own.yaml" in line] == [True]
    assert str(own) not in with_page.stdout


def test_a_missing_file_is_a_usage_error(catalogue: Catalogue, tmp_path: Path) -> None:
    """Nothing is checked then."""
    with pytest.raises(UsageError, match="No such file"):
        check(catalogue, scrape_interval=SCRAPE, files=[tmp_path / "own.yaml"])


def test_a_file_in_another_encoding_is_a_usage_error(catalogue: Catalogue, tmp_path: Path) -> None:
    """It says which byte is none of UTF-8's."""
    path = tmp_path / "own.yaml"
    path.write_bytes(b"groups: \xff")

    with pytest.raises(UsageError, match="the byte 0xff"):
        check(catalogue, scrape_interval=SCRAPE, files=[path])


def test_a_hundred_services_are_checked_as_one_is() -> None:
    """Nothing depends on how many there are."""
    slos = "".join(f"      - {{name: slo-{n}, kind: latency, objective: 99, threshold: 1s}}\n" for n in range(3))
    services = "".join(f"  - name: service-{n}\n    owner: a\n    image: a/b:v1\n    slos:\n{slos}" for n in range(100))
    catalogue = parse_catalogue(
        f"version: 1\nrunbook_base_url: https://example.org/runbooks/\nservices:\n{services}", "services.yaml"
    )

    result = examine(catalogue, _generated(catalogue))

    assert result.findings == ()
    assert result.queries == len(_generated(catalogue).rules) > 100 * 3 * 17
