"""Silences in a real Alertmanager: what they keep quiet, how they are prolonged, and that they lapse by themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.programs import free_port, started, until

from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.notices.alertmanager import AlertmanagerSilences
from quarterdeck_scripts.notices.silences import Quiet
from quarterdeck_scripts.ports import FakeClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.ports import Clock

pytestmark = pytest.mark.tools

QUIET = Quiet("prod", "shop", "checkout", ("PodNotReady", "DeploymentReplicasMissing"))
CONFIG = "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n"
OF_SERVICE = {"cluster": "prod", "namespace": "shop", "service": "checkout", "severity": "ticket"}
FIRING = {
    "named": {"alertname": "PodNotReady", **OF_SERVICE},
    "named as well": {"alertname": "DeploymentReplicasMissing", **OF_SERVICE},
    "not named": {"alertname": "ErrorBudgetBurn", **OF_SERVICE},
    "beginning like a named one": {"alertname": "PodNotReadyForHours", **OF_SERVICE},
    "paging": {"alertname": "PodNotReady", **OF_SERVICE, "severity": "page"},
    "of another service": {"alertname": "PodNotReady", **OF_SERVICE, "service": "orders"},
    "of another environment": {"alertname": "PodNotReady", **OF_SERVICE, "cluster": "staging"},
}
HOLDER = """
import sys, time
from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.audit.log import Change
from quarterdeck_scripts.notices.alertmanager import AlertmanagerSilences
from quarterdeck_scripts.notices.courier import Courier
from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone
from quarterdeck_scripts.notices.silences import LeaseSettings, Quiet, SilenceLease
from contextlib import nullcontext

silences = AlertmanagerSilences(JsonApi(sys.argv[1], {}, called="Alertmanager"), time.time)
quiet = Quiet("prod", "shop", "checkout", ("PodNotReady", "DeploymentReplicasMissing"))
lease = SilenceLease(silences, quiet, lambda **_: nullcontext(Change("1")), LeaseSettings(lapse=4, every=0.5))
courier = Courier([lease])
courier.tell(Notice(Occasion.BEGAN, Tone.INFO, "it began", "", time.time(), "run", "checkout", "shop", "prod", "v2",
                    "anna", time.time()))
time.sleep(600)
"""
"""A run that holds the lease and does nothing else, until it is killed."""


@pytest.fixture(scope="module")
def url(tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an Alertmanager."""
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "alertmanager.yml").write_text(CONFIG)
    address = f"127.0.0.1:{free_port()}"
    command = (
        tool("alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    with started(folder / "alertmanager.log", command):
        until(lambda: httpx.get(f"http://{address}/-/ready").is_success, "Alertmanager to be ready")
        yield f"http://{address}"


@pytest.fixture
def silences(url: str) -> Iterator[AlertmanagerSilences]:
    """Return its silences by its own time; none of ours is left when the test has ended."""
    silencer = made(url)
    yield silencer
    silencer.release(QUIET)


def made(url: str, clock: Clock | None = None) -> AlertmanagerSilences:
    """Return silences as a machine makes them that has *clock*."""
    clock = clock or SystemClock()
    api = JsonApi(url, {}, called="Alertmanager", clock=clock)
    return AlertmanagerSilences(api, lambda: clock.now() + api.ahead)


def ours(url: str) -> list[dict[str, Any]]:
    """Return our silences that have not expired."""
    listed = httpx.get(f"{url}/api/v2/silences", timeout=30).raise_for_status().json()
    return [
        each for each in listed if each["createdBy"] == "quarterdeck rollout" and each["status"]["state"] != "expired"
    ]


def silenced(url: str) -> set[str]:
    """Return which alerts are kept quiet; all of them fire."""
    httpx.post(
        f"{url}/api/v2/alerts", json=[{"labels": labels} for labels in FIRING.values()], timeout=30
    ).raise_for_status()
    listed = until(
        lambda: found if len(found := httpx.get(f"{url}/api/v2/alerts", timeout=30).json()) == len(FIRING) else None,
        "all alerts",
    )
    quiet = [each["labels"] for each in listed if each["status"]["silencedBy"]]
    return {name for name, labels in FIRING.items() if labels in quiet}


def test_only_what_the_catalogue_names_is_quiet_and_never_a_page(url: str, silences: AlertmanagerSilences) -> None:
    """Of one service in one environment; whole names; until it is released."""
    silences.hold(QUIET, 300)
    until(lambda: silenced(url) == {"named", "named as well"}, lambda: f"two to be quiet, not {silenced(url)}")

    silences.release(QUIET)
    until(lambda: silenced(url) == set(), "all to be told again")
    silences.release(QUIET)


def test_to_hold_it_again_moves_its_end_and_makes_no_second_one(url: str, silences: AlertmanagerSilences) -> None:
    """In place: the silence keeps its id, whoever prolongs it."""
    silences.hold(QUIET, 300)
    (before,) = ours(url)
    made(url).hold(QUIET, 600)

    (after,) = ours(url)
    assert after["id"] == before["id"]
    assert after["startsAt"] == before["startsAt"]
    assert after["endsAt"] > before["endsAt"]


@pytest.mark.parametrize("year", [2001, 2099])
def test_a_machine_whose_clock_is_off_silences_for_as_long_as_it_should(url: str, year: int) -> None:
    """Alertmanager's own time counts: it would refuse an end that is past, and believe one that is far away."""
    silencer = made(url, FakeClock(datetime(year, 1, 1, tzinfo=UTC).timestamp()))
    silencer.hold(QUIET, 300)
    (held,) = ours(url)
    silencer.release(QUIET)

    made_at, end = (datetime.fromisoformat(held[name]).timestamp() for name in ("updatedAt", "endsAt"))
    assert 240 <= end - made_at <= 302  # Date has whole seconds, and the way takes some, a busy machine's longer


def test_a_silence_lapses_when_its_run_is_killed(url: str, tmp_path: Path) -> None:
    """It is prolonged while the run lives, and nobody has to end it."""
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=log, stderr=log) as run,
    ):
        try:
            (first,) = until(lambda: ours(url), lambda: f"the run to hold it: {(tmp_path / 'log').read_text()}")
            until(lambda: [each for each in ours(url) if each["endsAt"] > first["endsAt"]], "it to be prolonged")
        finally:
            run.send_signal(signal.SIGKILL)
    until(lambda: not ours(url), "it to lapse", 60)
