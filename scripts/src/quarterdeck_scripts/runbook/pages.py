"""The pages that alerts lead to. What the alerts mean is in `quarterdeck_dashboards.alerts`."""

from __future__ import annotations

from typing import ClassVar

from quarterdeck_scripts.runbook.model import Page, Remedy
from quarterdeck_scripts.runbook.queries import (
    ERRORS_BY_ROUTE,
    ERRORS_BY_VERSION,
    SCRAPED,
    SPEAKING,
    TRAFFIC_BY_VERSION,
    Query,
)

_ROLL_BACK = Remedy("roll-back", "it began with a new version")
_RESTART = Remedy("restart", "a process is stuck and a fresh one would not be")
_SCALE = Remedy("scale", "there is more traffic than the pods can serve")


class ErrorBudgetBurn(Page):
    """A service spends the error budget of one of its objectives too fast.

    ## What it means

    The label `slo` names the promise. At the present rate of bad requests (server errors, or answers that are
    too slow) the budget of its whole window is gone long before the window ends: a `page` burns 14.4 or 6 times
    as fast as the promise allows, a `ticket` just as fast, for days. Users see it now.

    ## First look

    1. Is one version the cause? Then roll it back. `quarterdeck rollout status SERVICE` tells whether a rollout is
       under way, `kubectl rollout history deployment/SERVICE` when the last one was.
    2. Is one route the cause, in all versions? Then something that this route alone needs has changed.
    3. Is there more traffic than before? Then the pods may be saturated.
    4. Do all versions and many routes fail at once? Then it is likely something the service asks: roll nothing
       back, and go to that service's alerts.

    ## Afterwards

    Every change made here is in the audit log. What was rolled back in the cluster comes again with the next
    deployment of the stack: change `services.yaml` too.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_ROLL_BACK, _RESTART, _SCALE)
    queries: ClassVar[tuple[Query, ...]] = (ERRORS_BY_VERSION, ERRORS_BY_ROUTE, TRAFFIC_BY_VERSION)


class ServiceDown(Page):
    """No pod of a service answers Prometheus.

    ## What it means

    Service discovery knows pods of the service, or should, and not one of them could be scraped for a minute.
    Most often no pod runs; it may also be that pods run and only their port for `/metrics` cannot be reached.

    ## First look

    1. `kubectl get pods --namespace NAMESPACE --selector app.kubernetes.io/name=SERVICE`: `CrashLoopBackOff` and
       `ImagePullBackOff` after a new version mean: roll back. `Pending` means: no node has room, or none is left.
    2. `kubectl describe pod …`: the last lines say why, for example a probe that fails or a Secret that is not
       there.
    3. Are all pods of one node gone? Then it is the node: `kubectl get nodes`. One that fails in part can be
       cleared with `quarterdeck runbook run drain --node NODE`.
    4. Pods run and are Ready: then ask one for `/metrics` on port 9464. A NetworkPolicy or a changed port stops
       Prometheus, not the service's users.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_ROLL_BACK, _RESTART)
    queries: ClassVar[tuple[Query, ...]] = (SCRAPED,)


class TelemetryAbsent(Page):
    """Pods of a service answer Prometheus, but without the metrics of the contract.

    ## What it means

    Nobody knows how the service fares: its objectives have no data, so no other alert of it can fire, and a
    rollout cannot be judged. Its users may be served well all the same.

    ## First look

    1. Is the service started under `quarterdeck-instrument`? A changed start command in a new version is the
       most frequent cause: compare the pod's `command` with that of the version before.
    2. Does the page of one pod have series that begin with `http_server_`? If it has others only, the
       instrumentation runs, but does not know the service's framework; its log says what failed to load.
    3. Does the contract's version fit? `quarterdeck_build_info` on the page says it.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (
        _ROLL_BACK,
        Remedy("restart", "the instrumentation failed once, at the start of the process"),
    )
    queries: ClassVar[tuple[Query, ...]] = (SCRAPED, SPEAKING)


class PrometheusUnhealthy(Page):
    """Prometheus does not do its work: rules, configuration or its way to Alertmanager.

    ## What it means

    Alerts may come late or not at all. Until this is mended, silence says nothing.

    ## First look

    1. `PrometheusConfigInvalid`: the last configuration was refused, the one before it is in force. The log of
       the pod names the line; `quarterdeck rules check` and `promtool check config` find it offline.
    2. `PrometheusRulesFailing`: the page `/rules` of Prometheus shows the rule and its error. A query that
       matches several series on one side is the usual one.
    3. `PrometheusRulesLate`: an evaluation takes longer than its interval. Look at memory and CPU of the pod, and
       for a metric with too many series (page `/tsdb-status`).
    4. `PrometheusWithoutAlertmanager`: no Alertmanager is discovered. Is its pod Ready, and may Prometheus list
       pods in its namespace?

    There is no action that mends these: the cause is in the stack, and its next deployment is the way.
    """
