"""What dev, staging and prod are configured with, read by the real programs; and prod's pairs, run for real."""

from __future__ import annotations

import functools
import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.programs import until

from quarterdeck_scripts.local.network import free_ports
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools

ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
OPTIONS = (
    'probes=["https://shop.example.com/"]',
    'remoteWrite=["near=http://store.other.svc/write","vendor=https://metrics.example.com/write"]',
    "retention=45d",
)


@dataclass(frozen=True)
class Mounted:
    """A server of an environment, with what its pod mounts as files below `folder`."""

    folder: Path
    spec: dict[str, Any]
    """Of its StatefulSet."""

    @property
    def arguments(self) -> list[str]:
        """Return what the program is started with."""
        found: list[str] = self.spec["template"]["spec"]["containers"][0]["args"]
        return found


def _mounted(root: Path, folder: Path, env: str, server: str, *overrides: str) -> Mounted:
    project = load_project(root)
    objects = [clean(each) for each in render(project, env, load_stack(project, env, overrides)).objects]
    data = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    (spec,) = [e["spec"] for e in objects if e["kind"] == "StatefulSet" and e["metadata"]["name"] == server]
    pod = spec["template"]["spec"]
    names = {v["name"]: _sources(v) for v in pod["volumes"]}
    for mount in pod["containers"][0]["volumeMounts"]:
        place = folder / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        for name in names.get(mount["name"], []):
            for file, text in data[name].items():
                (place / file).write_text(text)
    return Mounted(folder, spec)


def _sources(volume: dict[str, Any]) -> list[str]:
    if "projected" in volume:
        return [source["configMap"]["name"] for source in volume["projected"]["sources"]]
    return [volume["configMap"]["name"]] if "configMap" in volume else []


def _checked(*command: Path | str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"POD_NAME": "prometheus-0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=variables)


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_prometheus_accepts_the_configuration_and_the_rules_of_each_environment(
    tool: Callable[[str], Path], root: Path, tmp_path: Path, env: str
) -> None:
    """With every job, with what is sent elsewhere, and with the alerts on what is scraped."""
    mounted = _mounted(root, tmp_path, env, "prometheus", *OPTIONS)
    (tmp_path / ACCOUNT).mkdir(parents=True)
    (tmp_path / ACCOUNT / "token").touch()
    (tmp_path / "etc/prometheus-remote-write/vendor/token").touch()

    checked = _checked(
        tool("promtool"), "check", "config", "--lint=all", mounted.folder / "etc/prometheus/prometheus.yml"
    )

    assert checked.returncode == 0, checked.stderr
    assert checked.stderr == ""
    assert "SUCCESS: 4 rule files found" in checked.stdout


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_alertmanager_accepts_the_configuration_of_each_environment(
    tool: Callable[[str], Path], root: Path, tmp_path: Path, env: str
) -> None:
    """The routes are the catalogue's, everywhere."""
    mounted = _mounted(root, tmp_path, env, "alertmanager")

    checked = _checked(tool("amtool"), "check-config", mounted.folder / "etc/alertmanager/alertmanager.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@dataclass(frozen=True)
class Pairs:
    """Two Prometheus and two Alertmanagers, as prod describes them."""

    prometheus: tuple[str, str]
    """Base URLs."""
    alertmanagers: tuple[str, str]


@pytest.fixture(scope="module")
def pairs(tool: Callable[[str], Path], root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    """Run prod's pairs on loopback: their names are addresses, and what is discovered in a cluster is written down."""
    *ports, first, second = free_ports(6)
    gossip = first, second
    hosts = [f"127.0.0.1:{port}" for port in ports]
    with ExitStack() as stack:
        for number in (0, 1):
            folder = tmp_path_factory.mktemp(f"alertmanager-{number}")
            mounted = _mounted(root, folder, "prod", "alertmanager", "alertmanagerReplicas=2", *OPTIONS)
            changes = {
                ":9093": hosts[2 + number],
                ":9094": f"127.0.0.1:{gossip[number]}",
                "$(POD_IP):9094": f"127.0.0.1:{gossip[number]}",
                **{
                    f"alertmanager-{n}.alertmanager-peers.quarterdeck.svc:9094": f"127.0.0.1:{gossip[n]}"
                    for n in (0, 1)
                },
            }
            stack.enter_context(_running(tool("alertmanager"), mounted, changes))
        for number in (0, 1):
            folder = tmp_path_factory.mktemp(f"prometheus-{number}")
            mounted = _mounted(root, folder, "prod", "prometheus", "scrapeInterval=1s", "alertmanagerReplicas=2")
            _write_down(folder / "etc/prometheus/prometheus.yml", hosts[number], hosts[2:])
            stack.enter_context(
                _running(tool("prometheus"), mounted, {":9090": hosts[number]}, POD_NAME=f"prometheus-{number}")
            )
        urls = [f"http://{host}" for host in hosts]
        for url in urls:
            until(functools.partial(_ready, url), f"{url} to be ready")
        yield Pairs((urls[0], urls[1]), (urls[2], urls[3]))


def test_each_of_the_pair_says_which_it_is(pairs: Pairs) -> None:
    """The name of its pod is in its place, so that a receiver can tell duplicates from two clusters."""
    loaded = [
        yaml.safe_load(httpx.get(f"{url}/api/v1/status/config", timeout=10).json()["data"]["yaml"])
        for url in pairs.prometheus
    ]

    assert [config["global"]["external_labels"] for config in loaded] == [
        {"cluster": "prod", "replica": "prometheus-0"},
        {"cluster": "prod", "replica": "prometheus-1"},
    ]


def test_an_alert_that_both_fire_is_one_alert(pairs: Pairs) -> None:
    """Each Alertmanager has heard it from both, and has it once."""
    for url in pairs.prometheus:
        until(functools.partial(_has_told_both, url), "both to be told")

    for url in pairs.alertmanagers:
        (watchdog,) = until(functools.partial(_watchdogs, url), "the alert, which need not be the first that is told")
        assert (watchdog["labels"]["cluster"], watchdog["labels"].get("replica")) == ("prod", None)


def test_what_is_silenced_at_one_is_silenced_at_the_other(pairs: Pairs) -> None:
    """They find each other by the names that the stack gives them, and gossip."""
    first, second = pairs.alertmanagers
    until(lambda: len(httpx.get(f"{first}/api/v2/status", timeout=10).json()["cluster"]["peers"]) == 2, "a peer")
    silence = {
        "matchers": [{"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2100-01-01T00:00:00Z",
        "createdBy": "a test",
        "comment": "",
    }
    made = httpx.post(f"{first}/api/v2/silences", json=silence, timeout=10).raise_for_status().json()["silenceID"]

    until(
        lambda: [each["id"] for each in httpx.get(f"{second}/api/v2/silences", timeout=10).json()] == [made],
        "the silence at the other",
    )


def _ready(url: str) -> bool:
    return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200


def _watchdogs(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(
        f"{url}/api/v2/alerts", params={"filter": 'alertname="Watchdog"'}, timeout=10
    ).json()
    return found


def _has_told_both(url: str) -> bool:
    query = {"query": "prometheus_notifications_sent_total"}
    result = httpx.get(f"{url}/api/v1/query", params=query, timeout=10).raise_for_status().json()["data"]["result"]
    return [float(each["value"][1]) > 0 for each in result] == [True, True]


def _write_down(config: Path, own: str, alertmanagers: list[str]) -> None:
    """Replace what Kubernetes would say by what is here: the Alertmanagers, and Prometheus itself to scrape."""
    document = yaml.safe_load(config.read_text())
    document["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": alertmanagers}]}]
    itself = {"job_name": "itself", "static_configs": [{"targets": [own], "labels": {"cluster": "prod"}}]}
    document["scrape_configs"] = [itself]
    config.write_text(yaml.safe_dump(document))


@contextmanager
def _running(program: Path, mounted: Mounted, changes: dict[str, str], **variables: str) -> Iterator[None]:
    """Run *program* with the arguments of its pod, mounted paths and *changes* replaced."""
    arguments = [_placed(each, mounted.folder, changes) for each in mounted.arguments]
    with (mounted.folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=os.environ | variables)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def _placed(argument: str, folder: Path, changes: dict[str, str]) -> str:
    name, _, value = argument.partition("=")
    if value.startswith("/"):
        return f"{name}={folder}{value}"
    return f"{name}={changes.get(value, value)}" if value else argument
