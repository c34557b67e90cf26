"""What happens in the demo, act by act. Each runs the commands a person would type and checks what it shows."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION
from quarterdeck_contract.labels import POD, SERVICE
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_contract.naming import series_names
from quarterdeck_scripts.console import say, step
from quarterdeck_scripts.demo.service_log import Logged, ServiceLog
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, objectives_of
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_scripts.demo.releases import Release
    from quarterdeck_scripts.demo.stage import Stage
    from quarterdeck_scripts.demo.traffic import Traffic
    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.ports import Prometheus
    from quarterdeck_scripts.runbook.ports import Alertmanager

SERVED_SECONDS = 90.0
"""How long the first version may take to serve and be scraped: seven programs start at once on two cores."""

ALERT_SECONDS = 120.0
"""How long the alert may take; about 15 s at the demo's error ratio."""

LOG_SLACK_SECONDS = 0.3
"""Between a worker counting a request and it showing in its page, and between two readings of the log."""

CALM_SECONDS = 4.0
"""How long no request may fail for the fault to count as mended: two scrapes."""


@dataclass(frozen=True)
class Scene:
    """Where the acts take place."""

    stage: Stage
    environment: Environment
    prometheus: Prometheus
    alertmanager: Alertmanager
    traffic: Traffic
    service: Service
    pods: Path
    """The pod runner's folder, where the service's own log is."""

    def versions(self) -> list[str]:
        """Return the version of each pod of the service."""
        answer = self.environment.cluster.request(
            "GET",
            path("Pod", self.service.namespace),
            query={"labelSelector": f"{APP_NAME}={self.service.name}"},
        )
        return sorted(pod["metadata"]["labels"][APP_VERSION] for pod in answer["items"])

    def failed(self) -> int:
        """Return how many requests failed until now."""
        return self.traffic.count(lambda outcome: outcome.failed)


@dataclass(frozen=True)
class RolledOut:
    """How a rollout ended."""

    release: Release
    record: RolloutRecord
    judged: Logged | None
    """What the verdict counted of the canary; None when there was no verdict."""
    logged: Logged | None
    """What the canary's own request log said at the time of the verdict's newest sample."""
    seconds: float
    """From the command to its end."""
    failed: int
    """Requests that failed meanwhile."""


@dataclass(frozen=True)
class Paged:
    """How the alert came and how it was answered."""

    alert: str
    runbook_url: str
    remedy: str
    """The command that `runbook for-alert` named and that was run."""
    detected: float
    """Seconds from the first bad answer to the alert in Alertmanager."""
    mended: float
    """Seconds from running the remedy to the first second without a failed request."""
    failed: int
    """Requests that failed until then."""


def first_version_serves(scene: Scene) -> None:
    """Wait until customers are served and Prometheus counts them, pod by pod."""
    wanted = scene.service.replicas
    counter = series_names(HTTP_SERVER_DURATION)[2]
    query = f'count(count by ({POD.prometheus}) ({counter}{{{SERVICE.prometheus}="{scene.service.name}"}} > 0))'
    with step(f"{scene.service.name} {scene.service.version} serves customers and is scraped") as shown:
        scene.stage.wait_until(
            f"{wanted} pods of {scene.service.name}, and the monitoring's, to be Ready",
            SERVED_SECONDS,
            lambda: (
                scene.versions() == [scene.service.version] * wanted
                and scene.traffic.ready() == wanted
                and scene.stage.unhindered()
            ),
        )
        scene.traffic.start()
        scene.stage.wait_until(
            f"Prometheus to count requests on {wanted} pods",
            SERVED_SECONDS,
            lambda: _value(scene.prometheus, query) == wanted,
        )
        shown.update(f"{wanted} pods, no line of telemetry in its code")


def roll_out(scene: Scene, release: Release) -> RolledOut:
    """Roll *release* out, and require that it ends as its behaviour deserves.

    Raises:
        QuarterdeckError: it ended otherwise, or the verdict counted something else than the service logged.
    """
    name, namespace = scene.service.name, scene.service.namespace
    before, began = scene.failed(), time.monotonic()
    with ServiceLog(scene.pods, f"{namespace}_{name}-canary-*/*.log", health=scene.service.health) as log:
        answer = scene.stage.command(
            *("rollout", "start", name, "--image", release.image),
            *("--env", scene.environment.name, "--yes", "--output", "json"),
            expect=sorted(ending.exit_code for ending in release.deserves(_allowed(scene.service))),
        )
        seconds = time.monotonic() - began
        record = RolloutRecord.from_json(answer)
        judged, logged = compare(record, log)
    serving = release.image if record.ending == Ending.PROMOTED else record.origin
    scene.stage.wait_until(
        f"every pod of {name} to be {serving}",
        SERVED_SECONDS,
        lambda: set(scene.versions()) == {serving.rpartition(":")[2]},
    )
    return RolledOut(release, record, judged, logged, seconds, scene.failed() - before)


def page_and_mend(scene: Scene, release: Release) -> Paged:
    """Force the bad *release* past the gate, wait for the page, and do what its runbook says."""
    name = scene.service.name
    before = scene.failed()
    scene.stage.command(
        *("rollout", "start", name, "--image", release.image, "--env", scene.environment.name, "--yes"),
        *("--force", "demo: what happens when somebody does not wait for the verdict"),
    )
    with step("Waiting for the burn-rate alert in Alertmanager") as shown:
        alert = scene.stage.wait_until("a page for the service", ALERT_SECONDS, lambda: _page(scene))
        detected = time.monotonic() - scene.traffic.first_failure(release.tag)
        shown.update(alert["labels"]["alertname"])
    say(f"  runbook_url: {alert['annotations']['runbook_url']}")
    answer = scene.stage.command(
        *("runbook", "for-alert", "--alert", alert["labels"]["alertname"], "--service", name),
        *("--env", scene.environment.name, "--output", "json"),
    )
    remedy = json.loads(answer)["remedies"][0]["arguments"]
    scene.stage.command(*remedy, "--dry-run")
    began = time.monotonic()
    scene.stage.command(*remedy, "--yes", "--why", f"{alert['labels']['alertname']} pages")
    with step("Waiting until customers are served again") as shown:
        scene.stage.wait_until("no request to fail", SERVED_SECONDS, lambda: scene.traffic.calm_for(CALM_SECONDS))
        mended = time.monotonic() - CALM_SECONDS - began
        shown.update(f"versions {', '.join(sorted(set(scene.versions())))}")
    return Paged(
        alert=alert["labels"]["alertname"],
        runbook_url=alert["annotations"]["runbook_url"],
        remedy=f"quarterdeck {' '.join(remedy)}",
        detected=detected,
        mended=max(0.0, mended),
        failed=scene.failed() - before,
    )


def compare(record: RolloutRecord, log: ServiceLog) -> tuple[Logged, Logged]:
    """Return what the verdict counted of the canary and what its own log says; they agree within one scrape.

    Raises:
        QuarterdeckError: they do not, or nothing was judged.
    """
    reading = next((reading for reading in reversed(record.readings) if not reading.causes), None)
    index = next(n for n, objective in enumerate(record.objectives) if objective.bad is Bad.FAILED)
    if reading is None:
        raise QuarterdeckError("a verdict on the canary's requests", "none that could be judged", "see the record")
    counts, newest = reading.tallies[index].canary, reading.newest[0]
    judged = Logged(counts.requests, counts.bad)
    earliest, latest = log.at(newest - record.interval), log.at(newest + LOG_SLACK_SECONDS)
    if not (
        earliest.requests <= judged.requests <= latest.requests and earliest.errors <= judged.errors <= latest.errors
    ):
        raise QuarterdeckError(
            f"the verdict's counts between the service's own log a scrape earlier ({earliest}) and then ({latest})",
            f"{judged}",
            "compare the record's samples with the canary's log",
        )
    return judged, log.at(newest)


def _allowed(service: Service) -> float:
    """Return the share of failing requests, 0 to 1, that the gate always accepts."""
    return next(objective.floor for objective in objectives_of(service, Criteria()) if objective.bad is Bad.FAILED)


def _page(scene: Scene) -> dict[str, Any] | None:
    wanted = {SERVICE.prometheus: scene.service.name, "severity": "page"}
    for alert in scene.alertmanager.alerts():
        if wanted.items() <= alert["labels"].items():
            return alert
    return None


def _value(prometheus: Prometheus, query: str) -> float:
    series = prometheus.query(query).series
    return series[0].samples[-1][1] if series else 0.0
