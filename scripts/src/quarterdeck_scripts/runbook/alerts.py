"""From an alert to its page, and from its labels to exact commands. Pure."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import InconclusiveError, UsageError
from quarterdeck_contract.labels import CLUSTER, SERVICE
from quarterdeck_dashboards.alerts import RUNBOOK_URL, WATCHDOG
from quarterdeck_dashboards.series import ALERTNAME
from quarterdeck_scripts.runbook.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_scripts.runbook.registry import Runbook

_GROWTH = 1.5
"""How many times the catalogue's pods `scale` is proposed with: half as many again, a step that shows."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name."""
        return self.labels.get(ALERTNAME.prometheus, "")

    @property
    def service(self) -> str:
        """The service it is about; empty when it says none."""
        return self.labels.get(SERVICE.prometheus, "")

    def __str__(self) -> str:
        return f"{self.name} of {self.service}" if self.service else self.name


@dataclass(frozen=True, slots=True)
class Command:
    """A remedy with its arguments."""

    action: str
    when: str
    arguments: tuple[str, ...]
    """After `quarterdeck`."""

    @property
    def line(self) -> str:
        """The command as a person types it."""
        return shlex.join(("quarterdeck", *self.arguments))


def parse_alerts(document: Any) -> list[Alert]:
    """Read the alerts that fire from Alertmanager's API, a webhook's payload, or a single alert.

    Raises:
        UsageError: *document* is none of these.
    """
    entries = document.get("alerts", [document]) if isinstance(document, dict) else document
    alerts = []
    for entry in entries if isinstance(entries, list) else [entries]:
        labels = entry.get("labels") if isinstance(entry, dict) else None
        annotations = (entry.get("annotations") or {}) if isinstance(entry, dict) else None
        if not isinstance(labels, dict) or not isinstance(annotations, dict):
            raise UsageError(
                "an alert as Alertmanager's API or webhook sends it, with `labels` and `annotations`",
                f"{str(entry)[:80]!r}",
                "pipe the payload itself, for example from `amtool alert --output json`",
            )
        if entry.get("status") != "resolved":
            alerts.append(Alert(_texts(labels), _texts(annotations)))
    return alerts


def _texts(entries: dict[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in entries.items()}


def choose(alerts: Iterable[Alert], name: str | None, service: str | None) -> Alert:
    """Return the one alert that is meant; several are one when they are of one name and one service.

    The watchdog always fires, so it is meant by its name alone.

    Raises:
        UsageError: none fits, or several do.
    """
    alerts = [alert for alert in alerts if alert.name != WATCHDOG or name == WATCHDOG]
    fitting = [alert for alert in alerts if name in {None, alert.name} and service in {None, alert.service}]
    distinct = sorted({str(alert) for alert in fitting})
    if len(distinct) == 1:
        return fitting[0]
    asked = " ".join(filter(None, (name, f"of {service}" if service else ""))) or "an alert"
    firing = ", ".join(sorted({str(alert) for alert in alerts})) or "none"
    if not alerts:
        raise UsageError(
            f"{asked} to fire",
            f"firing: {firing}",
            "if you were paged, it is over by now; the page's own payload is read by `quarterdeck runbook for-alert -`",
        )
    if not distinct:
        raise UsageError(f"{asked} to fire", f"firing: {firing}", "name one of these with --alert and --service")
    raise UsageError(
        f"one alert that fits {asked}", f"several: {', '.join(distinct)}", "name one with --alert and --service"
    )


def page_of(alert: Alert, base_url: str, pages: Mapping[str, Runbook]) -> Runbook:
    """Return the page that *alert*'s `runbook_url` leads to.

    Raises:
        InconclusiveError: it has none, or one that leads elsewhere: a person has to look.
    """
    url = alert.annotations.get(RUNBOOK_URL, "")
    if not url:
        raise InconclusiveError(
            f"an annotation {RUNBOOK_URL} on the alert {alert}",
            "none",
            "see the rule that raised it; `quarterdeck runbook list` shows all pages",
        )
    if not url.startswith(base_url):
        raise InconclusiveError(
            f"a {RUNBOOK_URL} below {base_url}", url, "open it in a browser: its page is not one of these"
        )
    name = url.removeprefix(base_url).partition("#")[0].strip("/")
    if name not in pages:
        raise InconclusiveError(
            f"one of the pages {', '.join(pages)}",
            f"{name!r}",
            "install the release of Quarterdeck that the stack was deployed with",
        )
    return pages[name]


def require_environment(alert: Alert, env: str) -> None:
    """Make sure that the commands are for the cluster the alert is from.

    Raises:
        UsageError: the alert's label `cluster` names another environment than *env*.
    """
    cluster = alert.labels.get(CLUSTER.prometheus, env)
    if cluster != env:
        raise UsageError(
            f"an alert of the environment {env}", f"{alert} of {cluster}", f"add --env {shlex.quote(cluster)}"
        )


def commands(
    alert: Alert, runbook: Runbook, every: Mapping[str, Runbook], catalogue: Catalogue, env: str
) -> list[Command]:
    """Return the page's remedies with their arguments; none when *alert* is about no service of the catalogue."""
    replicas = {service.name: service.replicas for service in catalogue.services}
    if alert.service not in replicas:
        return []
    found = []
    for remedy in runbook.page.remedies:
        action = every[remedy.action].action
        if action is None or action.target is not Target.SERVICE:
            continue
        arguments = ["runbook", "run", remedy.action, "--service", alert.service, "--env", env]
        if "--replicas" in action.usage:
            arguments += ["--replicas", str(math.ceil(_GROWTH * replicas[alert.service]))]
        found.append(Command(remedy.action, remedy.when, tuple(arguments)))
    return found
