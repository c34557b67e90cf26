"""Whom a rollout asks for numbers, by the catalogue and this machine's environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_scripts.adapters.prometheus import PrometheusApi, headers_of
from quarterdeck_scripts.datadog.metrics import DatadogMetrics
from quarterdeck_scripts.environment import Environment
from quarterdeck_scripts.ports import FakeClock, Prometheus
from quarterdeck_scripts.rollout.judge.provider import interval_of, provider_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.office import Office

    from quarterdeck_scripts.kube.fake import FakeCluster

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - {name: checkout, namespace: shop, owner: payments, image: "a/checkout:v1"}
  - {name: orders, namespace: shop, owner: payments, image: "a/orders:v1", rollout: {provider: datadog}}
"""


def environment(cluster: FakeCluster, url: str = "http://127.0.0.1:9090") -> Environment:
    """Return an environment with a Prometheus at *url*."""
    return Environment("prod", cluster, EnvironmentFacts("prod", url, "http://a.invalid", CATALOGUE, "15s"), "uid")


def provider(cluster: FakeCluster, service: str, environ: Mapping[str, str], url: str = "") -> Prometheus:
    """Return whom a rollout of *service* asks."""
    there = environment(cluster, url or "http://127.0.0.1:9090")
    return provider_of(there, there.service(service), environ, FakeClock())


def test_the_catalogue_says_who_is_asked_and_how_often(cluster: FakeCluster) -> None:
    """A Prometheus as often as it scrapes, Datadog as often as the SDK exports to it."""
    there = environment(cluster)
    keys = {"DD_API_KEY": "a", "DD_APP_KEY": "b"}

    assert isinstance(provider(cluster, "checkout", {}), PrometheusApi)
    assert isinstance(provider(cluster, "orders", keys), DatadogMetrics)
    assert [interval_of(there, there.service(name)) for name in ("checkout", "orders")] == [15.0, 60.0]


def test_without_keys_nothing_can_be_asked_but_everything_put_back(cluster: FakeCluster) -> None:
    """An abort opens the same session, and asks nobody."""
    nobody = provider(cluster, "orders", {"DD_API_KEY": "a"})

    with pytest.raises(UsageError) as raised:
        nobody.query("time()")
    assert raised.value.found == "no DD_APP_KEY"


def test_a_tenant_is_named_with_every_question(cluster: FakeCluster, office: Office) -> None:
    """As Mimir wants it; Thanos and others take it for nothing."""
    office.answers = [(200, b'{"status":"success","data":{"resultType":"vector","result":[]}}', {})]
    environ = {"QUARTERDECK_PROMETHEUS_HEADERS": "X-Scope-OrgID=shop,Authorization=Bearer%20a%2Cb"}

    assert provider(cluster, "checkout", environ, f"{office.url}/prometheus").query("up").series == ()

    (headers,) = office.headers
    assert (headers["X-Scope-OrgID"], headers["Authorization"]) == ("shop", "Bearer a,b")


def test_a_token_is_not_sent_in_the_clear(cluster: FakeCluster) -> None:
    """Its tenant may be."""
    url = "http://mimir.example/prometheus"
    secret = provider(cluster, "checkout", {"QUARTERDECK_PROMETHEUS_HEADERS": "authorization=Bearer%20a"}, url)

    with pytest.raises(UsageError, match="keys are not sent in the clear"):
        secret.query("up")
    assert isinstance(provider(cluster, "checkout", {"QUARTERDECK_PROMETHEUS_HEADERS": "X-A=b"}, url), PrometheusApi)


def test_a_token_that_is_sent_back_is_in_no_message(cluster: FakeCluster, office: Office) -> None:
    """Proxies like to say what they were asked."""
    office.answers = [(403, b"Bearer very-secret is not allowed", {})]
    environ = {"QUARTERDECK_PROMETHEUS_HEADERS": "Authorization=Bearer%20very-secret"}

    with pytest.raises(QuarterdeckError) as raised:
        provider(cluster, "checkout", environ, office.url).query("up")
    assert raised.value.found == "HTTP 403 with a body that is not JSON: … is not allowed"


@pytest.mark.parametrize("text", ["X-Scope-OrgID", "a b=c", "=c"])
def test_headers_that_cannot_be_read_are_refused_without_being_repeated(text: str) -> None:
    """One of them may be a secret with a comma in it."""
    with pytest.raises(UsageError) as raised:
        headers_of({"QUARTERDECK_PROMETHEUS_HEADERS": f"X-A=b,{text}"})
    assert text not in str(raised.value)
    assert raised.value.next_step == (
        "write `export QUARTERDECK_PROMETHEUS_HEADERS=X-Tenant=shop`, with a comma between headers"
    )
