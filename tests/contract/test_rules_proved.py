"""Generated rules, proofs and routes, read and run by the real promtool and amtool."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quarterdeck_dashboards import build
from quarterdeck_dashboards.alertmanager import routes
from quarterdeck_dashboards.catalogue import load, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

pytestmark = pytest.mark.tools

EXTREMES = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: week
    owner: letters
    tier: 3
    image: a/b:v1
    slos: [{name: availability, kind: availability, objective: 99, window: 7d}]
  - name: lax
    owner: payments
    tier: 2
    image: a/b:v1
    slos: [{name: availability, kind: availability, objective: 93.5, window: 28d}]
  - name: strict
    owner: payments
    tier: 1
    image: a/b:v1
    slos: [{name: fast, kind: latency, objective: 99.95, threshold: 10s}]
webhooks:
  payments: /etc/alertmanager/payments
"""
"""Short and odd periods, objectives at both ends, the last bucket, each tier."""

WORKER = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: mailer
    owner: letters
    framework: celery
    image: a/b:v1
    metrics:
      - {name: mails.wait, kind: histogram, unit: s, buckets: [1, 60]}
      - {name: mails.length, kind: gauge}
    slos: [{name: soon, kind: queue-wait, metric: mails.wait, threshold: 60s, objective: 99}]
"""
"""A worker that says how long its queue is, and promises how long one waits in it."""


@pytest.fixture(scope="module")
def extremes() -> Catalogue:
    """Return a catalogue of unusual objectives."""
    return parse(EXTREMES, "services.yaml")


@pytest.fixture(scope="module")
def tree(extremes: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of everything generated from it, for a scrape a minute."""
    folder = tmp_path_factory.mktemp("generated")
    build.write(build.generated(extremes, scrape_interval=timedelta(minutes=1)), folder)
    return folder


def _run(program: Path, *arguments: str | Path) -> tuple[int, str]:
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=240, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "proof",
    [
        *("page-of-service-checkout", "quiet-of-service-checkout", "ticket-of-service-checkout"),
        *("backing", "kubernetes", "monitoring"),
    ],
)
def test_committed_proofs_hold(tool: Callable[[str], Path], root: Path, proof: str) -> None:
    """Each alert fires by the closed formula's time, is silent just below and when idle, and resets."""
    path = root / "dashboards/generated/proofs" / f"{proof}.yaml"

    status, output = _run(tool("promtool"), "test", "rules", path)

    assert (status, "SUCCESS" in output) == (0, True), output


@pytest.mark.parametrize("proof", ["ticket-of-service-week", "page-of-service-lax", "page-of-service-strict"])
def test_proofs_of_unusual_objectives_hold(tool: Callable[[str], Path], tree: Path, proof: str) -> None:
    """The formula is no accident of 99.5 % over 30 days."""
    status, output = _run(tool("promtool"), "test", "rules", tree / "proofs" / f"{proof}.yaml")

    assert (status, "SUCCESS" in output) == (0, True), output


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("> 0.072) and", "> 0.08) and"),
        ("> 0.072) and", "> 0.065) and"),
        ("\n      or\n      ((", "\n      and\n      (("),
        (
            'slo:events:rate5m{namespace="shop",service="checkout",slo="availability"}[1h]',
            'slo:events:rate5m{namespace="shop",service="checkout",slo="availability"}[6h]',
        ),
    ],
    ids=["threshold-too-high", "threshold-too-low", "both-rows-at-once", "other-window"],
)
def test_a_proof_fails_when_its_rule_is_wrong(
    tool: Callable[[str], Path], root: Path, tmp_path: Path, change: str, to: str
) -> None:
    """A proof that no mistake can break proves nothing."""
    for folder in ("rules", "proofs"):
        (tmp_path / folder).mkdir()
    rules = (root / "dashboards/generated/rules/service-checkout.yaml").read_text()
    assert change in rules
    (tmp_path / "rules/service-checkout.yaml").write_text(rules.replace(change, to))
    proof = tmp_path / "proofs/page.yaml"
    proof.write_text((root / "dashboards/generated/proofs/page-of-service-checkout.yaml").read_text())

    status, output = _run(tool("promtool"), "test", "rules", "--run=page for availability", proof)

    assert status == 1, output


@pytest.mark.parametrize(
    "mistake",
    [
        ("kubernetes", '{resource="memory"})) > 0.9', '{resource="memory"})) > 0.92'),
        ("kubernetes", '{resource="memory"})) > 0.9', '{resource="memory"})) > 0.89'),
        ("kubernetes", "for: 15m", "for: 2m"),
        ("kubernetes", '{{ reReplaceAll "-canary$" "" $labels.deployment }}', "{{ $labels.deployment }}"),
        ("kubernetes", "345600", "345"),
        ("kubernetes", "[1h])) > 3", "[1h])) > 2"),
        ("backing", "< 259200", "< 345600"),
        ("backing", "offset 1h)) * 2", "offset 1h)) * 3"),
        ("monitoring", "> 120", "> 100"),
        ("monitoring", "otelcol_exporter_send_failed_spans_total[5m]", "otelcol_exporter_send_failed_spans[5m]"),
        (
            "monitoring",
            "min by (cluster) (alertmanager_cluster_members)",
            "max by (cluster) (alertmanager_cluster_members)",
        ),
    ],
)
def test_a_proof_of_the_clusters_fails_when_its_rule_is_wrong(
    tool: Callable[[str], Path], root: Path, tmp_path: Path, mistake: tuple[str, str, str]
) -> None:
    """Threshold, patience, label, window, series: whichever is wrong."""
    file, change, to = mistake
    for folder in ("rules", "proofs"):
        (tmp_path / folder).mkdir()
        text = (root / f"dashboards/generated/{folder}/{file}.yaml").read_text()
        assert folder == "proofs" or change in text
        (tmp_path / folder / f"{file}.yaml").write_text(text.replace(change, to) if folder == "rules" else text)

    status, output = _run(tool("promtool"), "test", "rules", tmp_path / f"proofs/{file}.yaml")

    assert status == 1, output


def test_an_alert_on_a_services_own_queue_is_proved(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """By the gauge that it declares."""
    worker = parse(WORKER, "services.yaml")
    build.write(build.generated(worker, scrape_interval=timedelta(seconds=15)), tmp_path)

    status, output = _run(
        tool("promtool"), "test", "rules", "--run=QueueGrowing", tmp_path / "proofs/page-of-service-mailer.yaml"
    )

    assert (status, "SUCCESS" in output) == (0, True), output
    assert "QueueGrowing (ticket) fires after 19 min" in (tmp_path / "proofs/page-of-service-mailer.yaml").read_text()


def test_promtool_accepts_every_rule_file_without_a_complaint(
    tool: Callable[[str], Path], root: Path, tree: Path
) -> None:
    """All its lints are on, and count as errors."""
    for folder in (root / "dashboards/generated/rules", tree / "rules"):
        files = sorted(folder.glob("*.yaml"))
        status, output = _run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files)
        assert (status, output.count("SUCCESS")) == (0, len(files)), output


def test_amtool_accepts_the_configuration_and_routes_as_we_do(
    tool: Callable[[str], Path], tree: Path, extremes: Catalogue, root: Path
) -> None:
    """Alertmanager's own routing agrees with the function that the contract check uses."""
    config = tree / build.ALERTMANAGER
    for path in (config, root / "dashboards/generated" / build.ALERTMANAGER):
        status, output = _run(tool("amtool"), "check-config", path)
        assert (status, "SUCCESS" in output) == (0, True), output

    cases = [
        {"service": service, "severity": severity}
        for service in ("week", "lax", "strict", "prometheus", "stricter")
        for severity in ("page", "ticket", "other")
    ]
    cases += [
        {"area": area, "severity": "page", "namespace": namespace, "service": service}
        for area in ("monitoring", "kubernetes", "backing")
        for namespace, service in (("default", "week"), ("default", "data"), ("kube-system", "coredns"))
    ]
    cases.append({"alertname": "Watchdog", "area": "monitoring", "severity": "ticket"})
    found = [
        _run(
            tool("amtool"),
            "config",
            "routes",
            "test",
            f"--config.file={config}",
            *(f"{k}={v}" for k, v in case.items()),
        )
        for case in cases
    ]
    assert [output.strip() for _, output in found] == [routes(extremes).receiver_of(case) for case in cases]


def test_the_repositorys_catalogue_is_what_the_proofs_are_of(root: Path) -> None:
    """The names in this file are all there are: a new service adds its proofs here by failing this."""
    tree = build.generated(load(root / "services.yaml"), scrape_interval=timedelta(seconds=15))

    assert sorted(path for path in tree if path.startswith("proofs/")) == [
        "proofs/backing.yaml",
        "proofs/kubernetes.yaml",
        "proofs/monitoring.yaml",
        "proofs/page-of-service-checkout.yaml",
        "proofs/quiet-of-service-checkout.yaml",
        "proofs/ticket-of-service-checkout.yaml",
    ]
