"""Who is told, by what this machine's environment variables say: that is where the secrets are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.adapters.json_api import JsonApi, checked_url
from quarterdeck_scripts.datadog.connection import (
    API_KEY,
    API_KEY_HEADER,
    APP_KEY,
    DEFAULT_SITE,
    SITE,
    headers_of,
    url_of,
)
from quarterdeck_scripts.datadog.store import DatadogStore
from quarterdeck_scripts.grafana import connection as grafana
from quarterdeck_scripts.notices.alertmanager import AlertmanagerSilences
from quarterdeck_scripts.notices.annotations import GrafanaAnnotations
from quarterdeck_scripts.notices.datadog_downtimes import DatadogDowntimes
from quarterdeck_scripts.notices.datadog_events import DatadogEvents
from quarterdeck_scripts.notices.kubernetes_events import KubernetesEvents
from quarterdeck_scripts.notices.silences import Quiet, SilenceLease
from quarterdeck_scripts.notices.webhooks import Webhook, for_slack, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.resource import Json
    from quarterdeck_scripts.audit import AuditLog
    from quarterdeck_scripts.environment import Environment
    from quarterdeck_scripts.notices.notice import Notice
    from quarterdeck_scripts.notices.ports import Listener
    from quarterdeck_scripts.notices.silences import Silencer
    from quarterdeck_scripts.ports import Clock

SLACK = "QUARTERDECK_SLACK_WEBHOOK"
"""Environment variable of the URL of an incoming webhook of Slack's, or of a chat that takes the same."""
WEBHOOK = "QUARTERDECK_WEBHOOK"
"""Environment variable of a URL that takes notices as JSON."""
_TIMEOUT, _WITHIN = 5.0, 7.0
"""Seconds for one try, and for a call with all its tries: a run waits for the last notices."""
_LOCAL = "local"
"""The environment of one machine: what happens there is nothing to tell an organisation's Datadog of."""


@dataclass
class Hearing:
    """Who is told of one service's run, and who cannot be."""

    listeners: list[Listener] = field(default_factory=list)
    deaf: list[str] = field(default_factory=list)
    """Sentences: who was to be told and cannot be, and why."""


@dataclass(frozen=True)
class Opening:
    """Finds who is told of a run on one service."""

    environment: Environment
    service: Service
    """What is rolled out; its catalogue entry says what is kept quiet meanwhile."""
    environ: Mapping[str, str]
    """Environment variables."""
    clock: Clock
    audit: Callable[[], AuditLog]
    """Makes a log of its own for each entry: a lease writes it from a thread of its own."""

    def hearing(self) -> Hearing:
        """Return who is told. Calls nobody."""
        found = Hearing([KubernetesEvents(self.environment.cluster)])
        for look in (self._slack, self._webhook, self._grafana, self._events, self._downtimes, self._silences):
            try:
                listener = look()
            except UsageError as error:
                found.deaf.append(f"Expected {error.expected}, found {error.found}: {error.next_step}.")
            else:
                found.listeners += [listener] if listener else []
        return found

    def _slack(self) -> Listener | None:
        return self._posted(SLACK, "Slack", for_slack)

    def _webhook(self) -> Listener | None:
        return self._posted(WEBHOOK, "the webhook", plain)

    def _posted(self, variable: str, name: str, written: Callable[[Notice], Json]) -> Listener | None:
        url = self._said(variable)
        if not url:
            return None
        try:
            address = checked_url(url)
        except UsageError as error:  # without what was found: it is a secret
            raise UsageError(f"{error.expected} in {variable}", "something else", error.next_step) from None
        # Whatever is answered, it was taken: Slack says `ok`, others nothing.
        return Webhook(name, self._api(address, {}, name, secret_url=True, decode=lambda _: None), written)

    def _grafana(self) -> Listener | None:
        url = self._said(grafana.URL) or self.environment.facts.grafana_url
        if not url or not self._said(grafana.TOKEN):
            return None
        return GrafanaAnnotations(self._api(checked_url(url), grafana.headers_of(self.environ), "Grafana"))

    def _events(self) -> Listener | None:
        if self.environment.name == _LOCAL or not self._said(API_KEY):
            return None
        return DatadogEvents(self._api(self._datadog(), {API_KEY_HEADER: self._said(API_KEY)}, "Datadog"))

    def _downtimes(self) -> Listener | None:
        keys = self._said(API_KEY) and self._said(APP_KEY)
        if self.environment.name == _LOCAL or not keys or not self.service.rollout.silence:
            return None
        api = self._api(self._datadog(), headers_of(self.environ), "Datadog")
        store = DatadogStore(api, self.environment.name)
        return self._lease(DatadogDowntimes(store, lambda: self.clock.now() + api.ahead))

    def _silences(self) -> Listener | None:
        if not self.service.rollout.silence:
            return None
        api = self._api(self.environment.facts.alertmanager_url, {}, "Alertmanager")
        return self._lease(AlertmanagerSilences(api, lambda: self.clock.now() + api.ahead))

    def _lease(self, silencer: Silencer) -> SilenceLease:
        service = self.service
        quiet = Quiet(self.environment.name, service.namespace, service.name, service.rollout.silence)
        return SilenceLease(silencer, quiet, lambda **told: self.audit().change(**told))

    def _datadog(self) -> str:
        return checked_url(url_of(self._said(SITE) or DEFAULT_SITE))

    def _said(self, variable: str) -> str:
        return self.environ.get(variable, "").strip()

    def _api(self, url: str, headers: Mapping[str, str], called: str, **more: Any) -> JsonApi:
        return JsonApi(url, headers, called=called, clock=self.clock, timeout=_TIMEOUT, within=_WITHIN, **more)
