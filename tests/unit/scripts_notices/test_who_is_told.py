"""Who is told, by environment variables; and that no secret of theirs is ever said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_scripts.environment import Environment
from quarterdeck_scripts.notices.opening import Hearing, Opening
from quarterdeck_scripts.ports import FakeClock

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.fake import FakeCluster

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: registry.example/checkout:v1
    rollout: {silence: [PodNotReady, DeploymentReplicasMissing]}
  - {name: orders, namespace: shop, owner: payments, image: registry.example/orders:v1}
"""
EVERYTHING = {
    "QUARTERDECK_SLACK_WEBHOOK": "https://hooks.slack.com/services/T0/B0/secret",
    "QUARTERDECK_WEBHOOK": "https://hooks.example/secret",
    "GRAFANA_TOKEN": "secret",
    "DD_API_KEY": "secret",
    "DD_APP_KEY": "secret",
    "DD_SITE": "datadoghq.eu",
}
ALERTMANAGER = "Alertmanager (silences)"
EVENTS = "the cluster's log of Events"


def hearing(cluster: FakeCluster, environ: dict[str, str], *, env: str = "prod", service: str = "checkout") -> Hearing:
    """Return who is told of a rollout."""
    facts = EnvironmentFacts(
        env, "http://p.invalid", "http://a.invalid", CATALOGUE, "15s", grafana_url="https://grafana.example"
    )
    environment = Environment(env, cluster, facts, "uid")

    def audit() -> None:
        raise AssertionError("nothing is written before anything is done")

    opening = Opening(
        environment,
        environment.service(service),
        environ,
        FakeClock(),
        audit,  # type: ignore[arg-type]  # is not to be called
    )
    return opening.hearing()


def names(found: Hearing) -> list[str]:
    """Return who is told."""
    return [listener.name for listener in found.listeners]


def test_everybody_is_told_who_has_a_secret_for_it(cluster: FakeCluster) -> None:
    """And whatever tells of alerts is kept quiet about those that the catalogue names."""
    found = hearing(cluster, EVERYTHING)

    assert names(found) == [EVENTS, "Slack", "the webhook", "Grafana", "Datadog", "Datadog (silences)", ALERTMANAGER]
    assert found.deaf == []


def test_without_any_secret_the_cluster_is_told(cluster: FakeCluster) -> None:
    """Its Events need no other right than the rollout's own."""
    assert names(hearing(cluster, {})) == [EVENTS, ALERTMANAGER]
    assert cluster.requests[-1:] != [("POST", "/api/v1/namespaces/shop/events")]


def test_nothing_is_silenced_that_the_catalogue_does_not_name(cluster: FakeCluster) -> None:
    """Whatever keys there are."""
    assert not [name for name in names(hearing(cluster, EVERYTHING, service="orders")) if "silences" in name]


def test_datadog_is_not_told_of_what_happens_on_one_machine(cluster: FakeCluster) -> None:
    """A key in a developer's shell is no wish to post demonstrations."""
    assert "Datadog" not in names(hearing(cluster, EVERYTHING, env="local"))


@pytest.mark.parametrize("variable", ["QUARTERDECK_SLACK_WEBHOOK", "QUARTERDECK_WEBHOOK"])
def test_a_webhook_that_would_be_read_on_the_way_is_refused_and_not_repeated(
    cluster: FakeCluster, variable: str
) -> None:
    """The others are still told."""
    found = hearing(cluster, {**EVERYTHING, variable: "http://hooks.example/secret"})

    assert len(found.listeners) == 6
    (line,) = found.deaf
    assert line == (
        f"Expected an https URL; http for this machine alone in {variable}, found something else: "
        "name one: keys are not sent in the clear."
    )


def test_a_token_is_not_sent_to_a_grafana_in_the_clear(cluster: FakeCluster) -> None:
    """The address inside the cluster, which the stack notes where there is no other, is none for a laptop."""
    found = hearing(cluster, {**EVERYTHING, "GRAFANA_URL": "http://grafana.quarterdeck.svc:3000"})

    assert "Grafana" not in names(found)
    (line,) = found.deaf
    assert line == (
        "Expected an https URL; http for this machine alone, found http://grafana.quarterdeck.svc:3000: "
        "name one: keys are not sent in the clear."
    )


def test_silences_name_alerts(cluster: FakeCluster) -> None:
    """What cannot be one is refused where the catalogue is read."""
    with pytest.raises(Exception, match="the name of an alert, such as ErrorBudgetBurn"):
        parse(CATALOGUE.replace("PodNotReady", "pods not ready"), "services.yaml")
