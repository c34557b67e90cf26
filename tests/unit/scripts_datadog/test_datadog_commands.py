"""`rollout plan` and `rollout analyze` of a service whose numbers are in Datadog, as they are typed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.scripts_datadog.datadog_world import EXPORT
from tests.unit.scripts_publish.datadog_server import KEYS

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_scripts import cli
from quarterdeck_scripts.datadog.metrics import PodLabels
from quarterdeck_scripts.environment import Environment
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.workloads import canary_of
from quarterdeck_scripts.ports import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.scripts_datadog.datadog_world import World

    from quarterdeck_scripts.kube.client import Json

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

CATALOGUE = """
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: localhost/checkout:v1
    replicas: 2
    slos:
      - {name: availability, kind: availability, objective: 99.5, window: 30d}
      - {name: latency, kind: latency, objective: 99, threshold: 250ms, window: 30d}
    rollout: {provider: datadog, canary_replicas: 1, max_wait: 20m}
"""

Typed = Callable[..., tuple[int, str]]


@dataclass
class Shop:
    """A cluster and a Datadog that agree on what has happened until now."""

    world: World
    stable: Json
    now: float
    others: list[Json] = field(default_factory=list)
    """What else the cluster has, as it is stored."""

    def pod(
        self, name: str, track: str, version: str, *, there: bool = True, ago: float = 4160.0, **how: float
    ) -> None:
        """Have a pod serve from *ago* seconds on until now, or until a minute ago if it is not *there* any more."""
        labels = PodLabels(track, version)
        self.world.pods[name] = labels
        self.world.clock = FakeClock(self.now - ago)
        self.world.serve(name, ago if there else ago - 2 * EXPORT, **how)
        if there:
            known = {
                "app.kubernetes.io/name": "checkout",
                "app.kubernetes.io/version": version,
                "quarterdeck.dev/track": track,
            }
            metadata = {"name": name, "namespace": "shop", "labels": known, "creationTimestamp": _time(self.now - ago)}
            status = {"conditions": [{"type": "Ready", "status": "True"}]}
            image = f"localhost/checkout:{version}"
            spec = {"containers": [{"name": "checkout", "image": image}], "nodeName": "n1"}
            self.others.append({"kind": "Pod", "metadata": metadata, "spec": spec, "status": status})

    def let_in(self, ago: float, **how: float) -> None:
        """Have a canary of v2 beside the stable pods since *ago* seconds."""
        canary = canary_of(self.stable, V2, 1)
        canary["metadata"] |= {"namespace": "shop", "creationTimestamp": _time(self.now - ago)}
        self.others.append({**canary, "apiVersion": "apps/v1", "kind": "Deployment"})
        self.pod("checkout-canary-a", "canary", "v2", ago=ago, **how)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def shop(world: World) -> Shop:
    """Return a shop in which two stable pods of v1 have served ten requests a second each for over an hour."""
    labels = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}
    versioned = {**labels, "app.kubernetes.io/version": "v1"}
    template = {"metadata": {"labels": versioned}, "spec": {"containers": [{"name": "checkout", "image": V1}]}}
    deployment: Json = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop", "labels": versioned},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        "status": {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2},
    }
    world.server.metrics.events.clear()
    world.pods.clear()
    shop = Shop(world, deployment, time.time() // 60 * 60)
    world.server.now = lambda: shop.now  # however long the test takes
    for pod in ("checkout-a", "checkout-b"):
        shop.pod(pod, "stable", "v1")
    return shop


@pytest.fixture
def typed(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Return a way to type a command; it gives the exit code and what was printed, data first."""
    facts = EnvironmentFacts("prod", "http://p.invalid", "http://a.invalid", CATALOGUE, "15s")

    def opened(*_: object) -> Environment:
        return Environment("prod", FakeCluster([shop.stable, *shop.others]), facts, "uid")

    monkeypatch.setattr("quarterdeck_scripts.environment.open_environment", opened)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DD_SITE", shop.world.server.url)
    for name, value in zip(("DD_API_KEY", "DD_APP_KEY"), KEYS.values(), strict=True):
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.run(["rollout", *arguments, "--env", "prod"])
        out, err = capsys.readouterr()
        return code, out + err

    return run


def test_a_plan_is_made_of_datadogs_rates(typed: Typed) -> None:
    """Of the last hour, by route and bucket; what is left of the budget it does not know, and says so."""
    code, text = typed("plan", "checkout")

    lines = text.splitlines()
    assert lines[0] == "checkout: canary, 1 pod of the new version beside 2 stable pods"
    assert lines[1] == "  traffic    20 requests/s; the new version gets 33 % of them, where every pod gets as many"
    assert lines[2].startswith(
        "  availability: failed requests, now 0 %; 0.25 % is always allowed; 6.67 requests/s are "
    )
    assert lines[3] == "    healthy    passes in about 5 min"
    assert any(line.startswith("    at 100 %") and line.endswith("(nobody knows how many are left)") for line in lines)
    assert any(line.startswith("  latency: requests over 250 ms, now 0 %") for line in lines)
    assert (lines[-1], code) == ("  in sum     a healthy canary passes within the 20 min it is given", 0)


def test_a_plan_knows_the_peak_of_the_week(shop: Shop, typed: Typed) -> None:
    """In intervals of ten minutes, of all pods there were."""
    tags = {
        "env": "prod",
        "kube_namespace": "shop",
        "service": "checkout",
        "pod_name": "checkout-gone",
        "version": "v0",
    }
    began = (shop.now - 3 * 86_400) // 600 * 600
    shop.world.server.metrics.send("http.server.request.duration", began + 1, 0.02, 60_000, **tags)

    _, text = typed("plan", "checkout")

    assert "             20 % of the last week's peak (100/s): what fails only at the peak is not shown now\n" in text


def test_a_plan_without_traffic_is_no_plan(shop: Shop, typed: Typed) -> None:
    """It says what to do, and exits as what nobody can decide."""
    shop.world.server.metrics.events.clear()

    code, text = typed("plan", "checkout")

    assert code == 3
    assert "requests to the stable pods of shop/checkout in the last hour" in text
    assert "Next: send it traffic, or see whether it is scraped" in text


def test_a_plan_from_half_an_answer_is_no_plan(shop: Shop, typed: Typed) -> None:
    """Datadog sent fewer series than it counted: what is foreseen from them would be wrong."""
    answer = shop.world.server.metrics.answer

    def cut(query: str, start: int, end: int) -> dict[str, Any]:
        whole = answer(query, start, end)
        parted = [each for each in whole["series"] if each["tag_set"]]
        return {**whole, "series": parted[1:] + [each for each in whole["series"] if not each["tag_set"]]}

    shop.world.server.metrics.answer = cut  # type: ignore[method-assign]  # what a limit does

    code, text = typed("plan", "checkout")

    assert code == 3
    assert "a warning that it may not be (Datadog sent " in text


def test_a_plan_that_datadog_refuses_says_so(shop: Shop, typed: Typed) -> None:
    """With what to do, without the keys."""
    shop.world.server.faults += [("GET", "/api/v1/query", 403)] * 9

    code, text = typed("plan", "checkout")

    assert code == 1
    assert "Next: see that the keys are valid there and may do this" in text
    assert not any(key in text for key in KEYS.values())


@pytest.mark.parametrize(("failing", "verdict", "code"), [(0.05, "FAIL", 1), (0.0, "PASS", 0)])
def test_a_canary_is_analysed_as_it_stands(shop: Shop, typed: Typed, failing: float, verdict: str, code: int) -> None:
    """From its creation until now, and again from what was kept, byte for byte, with nobody to ask."""
    shop.let_in(1800.0, failing=failing)

    live = typed("analyze", "checkout", "--bundle", "kept")
    shop.world.server.faults += [("GET", "/", 500)]
    again = typed("analyze", "--replay", "kept")

    assert (live[0], again[0]) == (code, code), live[1]
    assert again[1].startswith(f"checkout: {verdict}\n  {verdict:12} Availability: the canary failed ")
    assert live[1].startswith(again[1])
    assert shop.world.server.faults


@pytest.mark.parametrize("there", [True, False])
def test_a_window_of_the_past_is_analysed_by_version(shop: Shop, typed: Typed, *, there: bool) -> None:
    """Also when the canary is gone, of which Datadog keeps the version, and not that it was one."""
    if there:
        shop.let_in(1800.0, failing=0.05)
    else:
        shop.pod("checkout-canary-a", "canary", "v2", there=False, ago=1800.0, failing=0.05)

    code, text = typed("analyze", "checkout", "--since", "40m", "--until", "5m", "--version", "v2")

    assert text.startswith("checkout: FAIL\n  FAIL         Availability: the canary failed ")
    assert code == 1


def test_a_window_whose_canary_is_gone_needs_the_version(shop: Shop, typed: Typed) -> None:
    """What is asked for is what helps."""
    shop.pod("checkout-canary-a", "canary", "v2", there=False, ago=1800.0, failing=0.05)

    code, text = typed("analyze", "checkout", "--since", "40m", "--until", "5m")

    assert code == 2
    assert "its pods had the versions v1, v2" in text
    assert "name the new version with --version" in text
