"""What a rollout makes of services as they really misbehave, and of healthy ones that look odd, on real processes.

Everything is what a person would run: the local environment, its Prometheus, services under `quarterdeck-instrument`,
`quarterdeck rollout start`, customers over HTTP. `make test` runs those that nothing else runs on real processes and
that end within a minute; with `QUARTERDECK_BEHAVIOURS=all`, as in `make bench`, all of them are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.demo.traffic import Target, Traffic
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.local import images, lifecycle
from quarterdeck_scripts.local.deploy import deploy
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1800)]

ALL = os.environ.get("QUARTERDECK_BEHAVIOURS") == "all"

FAILS = r"Availability: the canary failed .+ shown to happen at least"
BAD = {
    "intermittent": FAILS,
    "one-route": r"Availability of GET /export: the canary failed .+ with stable on this route",
    "crashing": r"Restarts: the canary's pods were restarted|the canary broke: .+ CrashLoopBackOff",
    "broken": FAILS,
    "slow": r"Latency: the canary was slower than 1000 ms on .+ shown to happen at least",
    "unborn": r"the canary never became Ready: .+ CrashLoopBackOff",
    "leaking": r"Saturation: the memory of the canary's pod .+ has grown without a rest",
    "logging": r"Logs: the canary has logged .+ errors within .+, all the time, .+ on 100 requests; the stable pods 0",
}
"""What each bad version is put back for, in the words of its verdict."""

LATER = ("broken", "slow", "unborn", "leaking", "logging")
"""Left out by `make test`: other tests show the first three on real processes, and the others take six minutes to show.
"""

SCRIPTS = Path(sys.executable).parent
REPLICAS = 3
CATALOGUE = f"""
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: market
    namespace: shop
    owner: traders
    framework: fastapi
    image: localhost/market:healthy
    replicas: {REPLICAS}
    slos:
      - {{name: availability, kind: availability, objective: 94, window: 30d}}
      - {{name: latency, kind: latency, objective: 94, threshold: 1s, window: 30d}}
    rollout: {{canary_replicas: 1, warm_up: 20s, ready_within: 5m, max_wait: 10m}}
"""
VERSIONS = ("healthy", "healthier", "cold", "mixed", "too-small", *BAD)

REGULARS = 19
"""Customers of a quiet day."""

QUIET, PEAK = 120.0, 60.0
"""Requests a second of a quiet day, and what comes on top of them at the peak."""

COMMAND_SECONDS = 780.0
"""How long one rollout may take; most take half a minute."""

PEAK_SECONDS = 780.0
"""How long a peak may take to be one: the last week is looked at in steps of five minutes."""

START_SECONDS = 240.0
"""How long pods may take to serve; most take five seconds."""


def quiet_day(target: Target, turn: int) -> tuple[str, str]:
    """Return what regular customers ask for: now and then an export."""
    page = "/export?customer={}" if turn % 41 == 0 else "/stalls/{}"
    return "GET", page.format(turn % REGULARS)


def crowd(target: Target, turn: int) -> tuple[str, str]:
    """Return what those who come only at the peak ask for: nobody comes often."""
    return "GET", f"/stalls/{1000 + turn % 997}"


def searching(target: Target, turn: int) -> tuple[str, str]:
    """Return what customers ask for who search a lot where the version `mixed` serves, and seldom elsewhere."""
    searches = 6 if target.version == "mixed" else 2
    return ("GET", f"/search?customer={turn % REGULARS}") if turn * 7 % 10 < searches else quiet_day(target, turn)


@dataclass(frozen=True)
class Ended:
    """How a rollout ended."""

    exit_code: int
    record: RolloutRecord
    said: str


@dataclass(frozen=True)
class Market:
    """A running environment with the service in it."""

    folder: Path
    cluster: Cluster

    def pods(self) -> list[Json]:
        """Return its pods that are not on their way out."""
        query = {"labelSelector": f"{APP_NAME}=market"}
        found = self.cluster.request("GET", path("Pod", "shop"), query=query)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def serving(self) -> list[str]:
        """Return the version of each pod that is Ready."""
        return sorted(pod["metadata"]["labels"][APP_VERSION] for pod in self.pods() if is_ready(pod))

    def is_served_by(self, versions: list[str], traffic: Traffic) -> None:
        """Wait until pods of *versions*, and no others, are there, and each of them answers."""
        until(lambda: self.serving() == versions and len(self.pods()) == len(versions), f"{versions}", START_SECONDS)
        names = {pod["metadata"]["name"] for pod in self.pods()}
        before = traffic.outcomes()
        until(
            lambda: names <= {outcome.pod for outcome in traffic.outcomes() - before if outcome.status == 200},
            f"an answer of each of {sorted(names)}",
            START_SECONDS,
        )

    @contextmanager
    def customers(
        self, ask: Callable[[Target, int], tuple[str, str]] = quiet_day, rate: float = QUIET
    ) -> Iterator[Traffic]:
        """Let customers in while the block lasts."""
        traffic = Traffic(self.cluster, "shop", "market", rate=rate, customers=24, ask=ask)
        traffic.follow_pods()
        try:
            until(lambda: traffic.ready() >= REPLICAS, "the pods to be Ready", START_SECONDS)
            traffic.start()
            until(lambda: traffic.count() >= REPLICAS, "the first requests")
            until(lambda: self._quarterdeck("plan", "market").returncode == 0, "what Prometheus has of them")
            yield traffic
        finally:
            traffic.stop()

    def killed_at(self, step: str, version: str) -> None:
        """Run `quarterdeck rollout start`, and kill it as soon as it says that it begins *step*."""
        command = self._command("start", *start_of(version))
        with subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line.decode())
                if step in said[-1]:
                    break
            process.kill()
            assert step in said[-1], "".join(said)

    def roll_out(self, version: str) -> Ended:
        """Run `quarterdeck rollout start`."""
        done = self._quarterdeck("start", *start_of(version))
        assert done.stdout, done.stderr
        return Ended(done.returncode, RolloutRecord.from_json(done.stdout), done.stderr)

    def peak(self) -> float:
        """Return the most requests a second of the last week, as `quarterdeck rollout plan` says it."""
        done = self._quarterdeck("plan", "market")
        assert done.stdout, done.stderr
        peak: float = json.loads(done.stdout)["peak"]
        return peak

    def _quarterdeck(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(verb, *arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def _command(self, verb: str, *arguments: str) -> list[str]:
        command = str(SCRIPTS / "quarterdeck")
        return [command, "rollout", verb, *arguments, "--env", "local", "--output", "json"]


def start_of(version: str) -> tuple[str, ...]:
    """Return what `quarterdeck rollout start` is told."""
    return "market", "--image", f"localhost/market:{version}", "--yes"


@pytest.fixture(scope="module")
def market(root: Path, tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Run the environment, with every version as an image and the first one deployed."""
    tool("kube-apiserver")
    folder = tmp_path_factory.mktemp("market")
    (folder / "stacks").mkdir()
    for name in ("Pulumi.yaml", "stacks/__main__.py", "stacks/Pulumi.local.yaml"):
        shutil.copy(root / name, folder / name)
    (folder / "services.yaml").write_text(CATALOGUE)
    state = folder / ".quarterdeck" / "local"
    for version in VERSIONS:
        serve = (
            f"exec {SCRIPTS}/quarterdeck-instrument {SCRIPTS}/uvicorn market:app --app-dir {Path(__file__).parent}"
            ' --host "$POD_IP" --port "$PORT"'
        )
        variables = [f"PATH={SCRIPTS}:{os.environ.get('PATH', os.defpath)}", f"MARKET_BEHAVIOUR={version}"]
        config = {"Entrypoint": ["/bin/sh", "-c", serve], "Env": variables, "WorkingDir": "/"}
        images.add(state, f"localhost/market:{version}", {"config": config})
    running = lifecycle.up(state)
    try:
        deploy(state, project=folder)
        yield Market(folder, connect(running.kubeconfig))
    finally:
        lifecycle.down(state)


@pytest.mark.parametrize("version", [each for each in BAD if ALL or each not in LATER])
def test_a_bad_version_is_put_back(market: Market, version: str) -> None:
    """Exit code 1, the reason that is its own, and the stable pods serve as if nothing had been."""
    with market.customers() as traffic:
        stable = market.serving()
        ended = market.roll_out(version)

        assert (ended.exit_code, ended.record.ending) == (1, Ending.ROLLED_BACK), ended.said
        assert re.search(BAD[version], ended.record.reason), ended.record.reason
        market.is_served_by(stable, traffic)


def test_what_fails_at_the_peak_alone_is_put_back_when_it_is_judged_there(market: Market) -> None:
    """Once there are more customers than it has room for, its failures count, whoever they happen to."""
    with market.customers() as traffic, market.customers(crowd, PEAK):
        stable = market.serving()
        ended = market.roll_out("too-small")

        assert (ended.exit_code, ended.record.ending) == (1, Ending.ROLLED_BACK), ended.said
        assert re.search(FAILS, ended.record.reason), ended.record.reason
        market.is_served_by(stable, traffic)


def test_a_cold_version_is_promoted(market: Market) -> None:
    """It answers slowly at first, as long as the catalogue lets a new pod be cold."""
    with market.customers() as traffic:
        ended = market.roll_out("cold")

        assert (ended.exit_code, ended.record.ending) == (0, Ending.PROMOTED), ended.said
        assert slow_in_all(ended.record) >= 1, "it was never cold"
        market.is_served_by(["cold"] * REPLICAS, traffic)


def test_a_version_with_another_mix_of_routes_is_promoted(market: Market) -> None:
    """It fails more often on the whole, because it is asked more for what fails with every version."""
    with market.customers(searching) as traffic:
        ended = market.roll_out("mixed")

        assert (ended.exit_code, ended.record.ending) == (0, Ending.PROMOTED), ended.said
        tally = next(each for each in reversed(ended.record.readings) if not each.causes).tallies[0]
        assert tally.canary.share > 1.5 * tally.stable.share, "its mix was not another"
        market.is_served_by(["mixed"] * REPLICAS, traffic)


def test_a_command_that_is_killed_at_one_step_after_the_other_is_gone_on_with(market: Market) -> None:
    """SIGKILL, and the same command again: each time it goes on where the one before died, and comes to the end."""
    with market.customers() as traffic:
        for step in ("Create the canary", "Wait until the canary", "Judge the canary", "Promote"):
            market.killed_at(step, "healthier")
        ended = market.roll_out("healthier")

        assert (ended.exit_code, ended.record.ending) == (0, Ending.PROMOTED), ended.said
        market.is_served_by(["healthier"] * REPLICAS, traffic)


def test_a_bad_version_is_put_back_by_a_command_after_the_one_that_found_it_was_killed(market: Market) -> None:
    """What the dead one has noted stands: the canary is not judged again."""
    with market.customers() as traffic:
        stable = market.serving()
        market.killed_at("Remove the canary", "intermittent")
        ended = market.roll_out("intermittent")

        assert (ended.exit_code, ended.record.ending) == (1, Ending.ROLLED_BACK), ended.said
        assert re.search(FAILS, ended.record.reason), ended.record.reason
        market.is_served_by(stable, traffic)


if ALL:  # for five minutes at the peak before

    def test_what_fails_at_the_peak_alone_passes_before_it_and_it_is_said(market: Market) -> None:
        """A verdict is about the traffic that it was made of, and says how far from the peak that was."""
        with market.customers(), market.customers(crowd, PEAK):
            until(lambda: market.peak() > QUIET / 2, "the peak to be known", PEAK_SECONDS)
        with market.customers(rate=QUIET / 4) as traffic:
            ended = market.roll_out("too-small")

            assert (ended.exit_code, ended.record.ending) == (0, Ending.PROMOTED), ended.said
            assert re.search(
                r"Judged at \d+ % of the last week's peak: what fails only at the peak is not shown\.$",
                ended.record.reason,
            ), ended.record.reason
            market.is_served_by(["too-small"] * REPLICAS, traffic)


def slow_in_all(record: RolloutRecord) -> float:
    """Return how many of the canary's requests took longer than a second, from the first one on."""
    last = [(each["labels"], each["samples"][-1][1]) for each in record.samples]
    counted = {
        bound: sum(value for labels, value in last if (labels["track"], labels["le"]) == ("canary", bound))
        for bound in ("+Inf", "1.0")
    }
    return counted["+Inf"] - counted["1.0"]
