"""What a probe asks, and when its answers add up to a result."""

from __future__ import annotations

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local.pods.probes import (
    LIVENESS,
    READINESS,
    HttpTarget,
    Probe,
    Tally,
    http_target,
    port_number,
    probe_of,
)

CONTAINER = {"name": "main", "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9464}]}


def _results(probe: Probe, answers: str) -> list[bool | None]:
    tally = Tally(probe)
    return [tally.observe(passed=answer == "+") for answer in answers]


def test_a_result_needs_as_many_equal_answers_in_a_row_as_its_threshold() -> None:
    """One answer of the other kind begins the count anew."""
    probe = Probe(READINESS, {}, success_threshold=2, failure_threshold=3)

    assert _results(probe, "++-+--+---") == [None, True, None, None, None, None, None, None, None, False]


def test_a_probe_has_the_kubelets_defaults() -> None:
    """Ten seconds apart, one second to answer, three failures, one success, no delay."""
    handler = {"tcpSocket": {"port": 8080}}

    assert probe_of({"livenessProbe": handler}, LIVENESS) == Probe(LIVENESS, handler, 0, 10, 1, 1, 3, None)
    assert probe_of({"livenessProbe": handler}, READINESS) is None


def test_an_http_probe_asks_the_pods_own_address_by_the_ports_name() -> None:
    """Path, headers and scheme are the manifest's."""
    handler = {
        "port": "http",
        "path": "healthz",
        "scheme": "HTTPS",
        "httpHeaders": [{"name": "X-Probe", "value": "1"}],
    }

    target = http_target(handler, CONTAINER, "127.77.1.0")

    assert target == HttpTarget("127.77.1.0", 8080, "/healthz", (("X-Probe", "1"),), tls=True)
    assert target.url == "https://127.77.1.0:8080/healthz"
    assert http_target({"port": 9464}, CONTAINER, "127.77.1.0").url == "http://127.77.1.0:9464/"


def test_a_port_that_the_container_does_not_name_is_refused_with_those_it_does() -> None:
    """A misspelt name is a failing probe that says why."""
    assert port_number("80", CONTAINER) == 80

    with pytest.raises(UsageError, match="a port of the container main: http"):
        port_number("htpp", CONTAINER)
