"""The demo from curtain to curtain: bring the parts up, play the acts, say what happened, leave nothing behind."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_scripts.adapters.alertmanager import AlertmanagerApi
from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.console import emit, say, step
from quarterdeck_scripts.demo import acts
from quarterdeck_scripts.demo.hindrances import PodHindrances
from quarterdeck_scripts.demo.releases import Release
from quarterdeck_scripts.demo.stage import Stage
from quarterdeck_scripts.demo.summary import summarize
from quarterdeck_scripts.demo.traffic import Traffic
from quarterdeck_scripts.environment import open_environment
from quarterdeck_scripts.local import images, lifecycle
from quarterdeck_scripts.local.deploy import check, deploy
from quarterdeck_scripts.local.state import Phase
from quarterdeck_scripts.rollout.report import render
from quarterdeck_scripts.workspace import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENVIRONMENT = "local"
"""The environment the demo runs in."""

SERVICE = "checkout"
"""The service it is about."""

REQUESTS_PER_SECOND = 240.0
"""What the customers ask for: 60 a second of each of four pods, well within two cores, and enough for a
verdict in half a minute."""

FORCED_FAILURES = 0.8
"""Share of payments that the version forced past the gate loses: bad enough that nobody waits long for the page."""


def show(*, keep: bool, v2_failures: float, report: Path) -> None:
    """Run the demo.

    Args:
        keep: leave the environment running when all went well.
        v2_failures: share of payments that v2 loses, 0 to 1.
        report: where the HTML report goes.

    Raises:
        RefusedError: an environment is running already.
        QuarterdeckError: something did not happen as it must.
    """
    state = state_of(ENVIRONMENT)
    if lifecycle.status(state).phase is Phase.RUNNING:
        raise RefusedError(
            "no running local environment", f"one in {state}", "end it with `quarterdeck local down`, then try again"
        )
    first, second = Release("v1", 0), Release("v2", v2_failures)
    third, forced = Release("v3", 0), Release("v4", FORCED_FAILURES)
    with _environment(state, [first, second, third, forced], keep=keep), _scene(state) as scene:
        began = time.monotonic()
        acts.first_version_serves(scene)
        rollouts = [acts.roll_out(scene, second), acts.roll_out(scene, third)]
        paged = acts.page_and_mend(scene, forced)
        seconds = time.monotonic() - began
        scene.traffic.stop()
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(render([each.record for each in rollouts]), encoding="utf-8")
        emit(summarize(rollouts, paged, requests=scene.traffic.count(), failed=scene.failed(), seconds=seconds))
        emit(f"\nReport: {report}")
        if keep:
            emit(f"Prometheus: {scene.environment.facts.prometheus_url}")
            emit(f"Alertmanager: {scene.environment.facts.alertmanager_url}")
            emit("The environment is still running: `quarterdeck local status`, `quarterdeck local down`.")


@contextmanager
def _environment(state: Path, releases: list[Release], *, keep: bool) -> Iterator[None]:
    """Have the stack `local` running in *state*; take it down at the end, unless it is to be kept and all went well."""
    with step("Looking at the stack `local`"):
        check(ENVIRONMENT)
    _start(state)
    finished = False
    try:
        for release in releases:
            images.add(state, release.image, release.config())
        with step("Deploying the stack `local`") as shown:
            shown.update(str(deploy(state)))
        yield
        finished = True
    except QuarterdeckError:
        lifecycle.require_running(state)  # a dead part is the reason behind whatever else failed
        raise
    finally:
        if keep and finished:
            say("")
        else:
            with step("Taking everything down"):
                lifecycle.down(state)


def _start(state: Path) -> None:
    try:
        with step("Starting a control plane of real parts") as shown:
            running = lifecycle.up(state, progress=shown.update)
            shown.update(f"{running.server}, pods on {running.loopback_prefix}.0.0/16")
    except Exception:
        raise  # `up` has left nothing; or it was refused, and what runs there is somebody else's
    except BaseException:  # Ctrl-C: `up` may have been done when it came, and the step not yet
        lifecycle.down(state)
        raise


@contextmanager
def _scene(state: Path) -> Iterator[acts.Scene]:
    environment = open_environment(ENVIRONMENT)
    service = environment.service(SERVICE)
    traffic = Traffic(environment.cluster, service.namespace, service.name, rate=REQUESTS_PER_SECOND)
    traffic.follow_pods()
    try:
        yield acts.Scene(
            stage=Stage(
                lambda: lifecycle.require_running(state),
                PodHindrances(environment.cluster, (service.namespace, SYSTEM_NAMESPACE), state / "pods"),
            ),
            environment=environment,
            prometheus=PrometheusApi(environment.facts.prometheus_url),
            alertmanager=AlertmanagerApi(environment.facts.alertmanager_url),
            traffic=traffic,
            service=service,
            pods=state / "pods",
        )
    finally:
        traffic.stop()
