"""Alerts that are the cluster's: which there are where, and what they never ask for."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from quarterdeck_contract.metrics import FAILURES
from quarterdeck_dashboards import build, dashboards
from quarterdeck_dashboards.alerts import BUNDLED, GROUPS, Exporter, cluster_alerts, groups, kinds
from quarterdeck_dashboards.over_time import greatest, is_more_than, least
from quarterdeck_dashboards.promql import QueryError, Selector, sum_by
from quarterdeck_dashboards.series import INSTANCE, UP, external, only
from quarterdeck_dashboards.uid import uid_of

if TYPE_CHECKING:
    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Catalogue

SCRAPE = timedelta(seconds=15)


def test_a_managed_control_plane_makes_no_alert_false(settings: AlertSettings) -> None:
    """EKS, GKE and AKS show nothing of scheduler, controller manager and etcd: no alert of ours asks."""
    hidden = re.compile(r"scheduler|controller[-_]manager|etcd|kube[-_]proxy|apiserver", re.IGNORECASE)

    for group in groups():
        for alert in cluster_alerts(settings, group):
            assert not hidden.search(alert.expr)
            assert "absent" not in alert.expr
            assert not hidden.search(alert.alert)


def test_an_environment_gets_alerts_on_what_it_has(catalogue: Catalogue) -> None:
    """What ours all run is Prometheus and Alertmanager: nothing on pods' states, nodes or queues."""
    files = build.rule_files(catalogue, scrape_interval=SCRAPE, exporters=BUNDLED)

    assert [name for name in files if not name.startswith("service-")] == ["monitoring.yaml"]
    assert [group["name"] for group in yaml.safe_load(files["monitoring.yaml"])["groups"]] == [
        "monitoring",
        "alertmanager",
    ]


def test_memory_is_watched_where_both_of_its_sources_are(catalogue: Catalogue) -> None:
    """The limit is kube-state-metrics', what is used the kubelet's."""

    def names(*exporters: Exporter) -> list[str]:
        files = build.rule_files(catalogue, scrape_interval=SCRAPE, exporters=exporters)
        return [group["name"] for group in yaml.safe_load(files["kubernetes.yaml"])["groups"]]

    assert names(Exporter.KUBE_STATE_METRICS) == ["state"]
    assert names(Exporter.KUBELET) == ["volumes"]
    assert names(Exporter.KUBELET, Exporter.KUBE_STATE_METRICS) == ["state", "memory", "volumes"]


def test_every_exporter_has_a_recorded_page_and_an_alert() -> None:
    """One without either would be a word that means nothing."""
    assert {exporter for group in GROUPS for exporter in group.needs} == set(Exporter)
    assert all(external(exporter) for exporter in Exporter)


def test_every_kind_says_why_it_fires_when_it_does() -> None:
    """One sentence at least, which its runbook page shows."""
    assert [kind.name for kind in kinds() if not kind.reason.endswith(".")] == []


def test_every_dashboard_that_an_alert_leads_to_is_there(catalogue: Catalogue) -> None:
    """A service's own, Kubernetes', and that of whoever is on call."""
    there = {dashboard.uid for dashboard in dashboards.of(catalogue)}

    assert {group.dashboard for group in GROUPS} <= there
    assert {uid_of("service", service.name) for service in catalogue.services} <= there


def test_names_of_alerts_are_what_runbooks_may_be_given_for() -> None:
    """The catalogue accepts capitals and letters only."""
    assert [kind.name for kind in kinds() if not re.fullmatch(r"[A-Z][A-Za-z]*", kind.name)] == []


@pytest.mark.parametrize("ask", [lambda each: greatest(each, SCRAPE), lambda each: least(each, SCRAPE)])
def test_the_past_of_a_counter_is_not_asked_for_as_if_it_were_a_gauge(ask: object) -> None:
    """Its greatest value says only when it began."""
    with pytest.raises(QueryError, match="expected a gauge, found the counter"):
        ask(Selector(only(FAILURES)))  # type: ignore[operator]  # pytest's parameters have no types


def test_two_sides_that_have_other_labels_are_not_compared() -> None:
    """No sample would match."""
    with pytest.raises(QueryError, match="expected the same labels"):
        is_more_than(Selector(UP).now, sum_by([INSTANCE], Selector(UP).now))
