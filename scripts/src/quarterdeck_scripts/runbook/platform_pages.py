"""The pages that alerts on the cluster, and on what watches it, lead to."""

from __future__ import annotations

from typing import ClassVar

from quarterdeck_scripts.runbook.model import Page, Remedy

_ROLL_BACK = Remedy("roll-back", "it began with a new version")
_DRAIN = Remedy("drain", "it is one node, and the pods on it can run elsewhere")


class PodNotRunning(Page):
    """Pods crash, cannot be started, find no node, or are not Ready.

    ## What it means

    The service has fewer pods than it should. Whether users feel it, its objectives say: this is a ticket, and
    `service-down` the page when none is left.

    ## First look

    `kubectl describe pod --namespace NAMESPACE POD`, and its last lines first:

    1. `ContainerCrashLooping`, `ContainerRestarting`: `kubectl logs --previous POD` shows the last words. `OOMKilled`
       under `Last State`: see `memory-near-limit`. `Error` after a new version: roll back.
    2. `ImagePullFailing`: a tag that does not exist, a registry that is down, or no right to read it. The event names
       which. Old pods go on as long as they are not moved.
    3. `ContainerConfigInvalid`: the Secret, ConfigMap or key that is missing is in the event.
    4. `PodUnschedulable`: the event counts the nodes by reason: too little CPU or memory, taints, a volume in another
       zone. Free some room, or add a node.
    5. `PodNotReady`: it runs, and its probe says no: `kubectl logs POD`, and ask the probe's path yourself.
    6. `DeploymentReplicasMissing` and no other of these: a rollout that goes no further (`kubectl rollout status`), a
       quota (`kubectl get events --namespace NAMESPACE`), or nodes that are gone.

    ## When to escalate

    When pods of several services are affected: then it is the platform's, not the service's owner.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (
        _ROLL_BACK,
        Remedy("restart", "a Secret or ConfigMap was mended, and pods have to be made anew"),
    )


class NodeNotReady(Page):
    """The control plane does not hear from a node that it is well.

    ## What it means

    After five minutes its pods are made anew elsewhere, where there is room; those of StatefulSets wait until it is
    certain that the old ones are gone. Alerts on single pods of the node are quiet meanwhile.

    ## First look

    1. `kubectl describe node NODE`: the conditions say what the kubelet said last. `Unknown` means that it says
       nothing: the machine, its network or the kubelet itself.
    2. Several nodes of one zone? The cloud's status page, first.
    3. One machine: its console and `journalctl -u kubelet`. `PLEG is not healthy` and "disk pressure" are the usual.
    4. Do services have enough pods without it? If so there is time.

    ## What to do

    A managed node is replaced rather than repaired: drain it if it still answers, then delete the machine, and its
    group makes a new one. Force the deletion of a pod only when the machine is certainly off: else two of one
    StatefulSet run.

    ## When to escalate

    A second node within the hour: the provider, and whoever runs the platform.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_DRAIN,)


class StorageFilling(Page):
    """A volume or a node's disk is full, or will be within days.

    ## What it means

    `VolumeFull` and `DiskFull` page: whatever writes there fails at any moment, and databases stop for good.
    `VolumeFilling` and `DiskFilling` are tickets: as it fills now, it is full within four days.

    ## First look

    1. A volume: `kubectl describe pvc --namespace NAMESPACE CLAIM` names the pod that uses it;
       `kubectl exec POD -- df -h` and `du -xh --max-depth=2 PATH | sort -h` what fills it.
    2. Can it grow? If `kubectl get storageclass` says `ALLOWVOLUMEEXPANSION true`, raise
       `spec.resources.requests.storage` of the claim: most drivers do it while it is in use. A volume never shrinks
       again.
    3. Prometheus' own volume: shorten the retention, or find the metric that grew (page `/tsdb-status`).
    4. A node's disk: images and logs. `crictl rmi --prune` frees what is unused; a pod's log that grows is in
       `/var/log/pods`. Draining moves pods, and frees what their `emptyDir` held.

    ## When to escalate

    Before deleting anything that you did not write: its owner.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_DRAIN,)


class CertificateExpiring(Page):
    r"""A TLS certificate ends soon, and has not been renewed.

    ## What it means

    After its end no client connects. What renews by itself does so 30 days before, so it has failed for weeks: waiting
    mends nothing.

    ## First look

    1. Which one is it, and until when? `openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509
       -noout -dates -issuer -subject`.
    2. Was it renewed, and is the old one still served? Compare with the Secret:
       `kubectl get secret NAME -o jsonpath='{.data.tls\.crt}' | base64 -d | openssl x509 -noout -dates`. Then whatever
       serves it has to read it again.
    3. cert-manager: `kubectl describe certificate`, then the `order` and the `challenge` it names: the reason is in the
       events. A DNS record or a firewall that changed is the usual one.
    4. An intermediate of the chain counts too: the probe reports whichever ends first.

    ## When to escalate

    With three days left, to whoever may order a certificate by hand.
    """


class TargetDown(Page):
    """One pod does not answer Prometheus, while others of the service may.

    ## What it means

    What it does is in no metric: the objectives of its service are judged by the other pods alone.

    ## First look

    1. `kubectl get pod POD`: is it Ready? If not, see `pod-not-running`.
    2. Ready: page `/targets` of Prometheus shows the error. `context deadline exceeded`: the page takes longer than the
       scrape's timeout, or a NetworkPolicy drops it. `connection refused`: nothing listens on the port the pod's
       annotation names. `expected a valid start token`: what answers is no metrics page.
    3. Ask it from inside: `kubectl port-forward POD 9464` and `curl localhost:9464/metrics`.

    ## When to escalate

    By day, to the owner of the service.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (Remedy("restart", "the page alone is stuck, and the service is not"),)


class PrometheusUnhealthy(Page):
    """Prometheus does not do its work: rules, configuration, storage, or its way to Alertmanager.

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
       pods in its namespace? `PrometheusNotificationsLost`: it is discovered, and does not take what is sent.
    5. `PrometheusDiscoveryFailing`: the API server refuses or does not answer. Has a role been changed?
       `kubectl auth can-i list pods --as system:serviceaccount:quarterdeck:prometheus --namespace NAMESPACE`.
    6. `PrometheusStorageFailing`: a full disk first (`storage-filling`), then the log. A damaged write-ahead log is
       repaired at the next start, and loses minutes.
    7. `PrometheusScrapesRefused`: a target is beyond a limit, and all of it is dropped; page `/targets` names it.
    8. `PrometheusSamplesRefused`: two targets give the same series (look for a scrape job that is there twice), or a
       clock is wrong.
    9. `PrometheusRemoteWriteBehind`: the other end is slow or refuses; the log says which. Two hours are kept.

    There is no action that mends these: the cause is in the stack, and its next deployment is the way.

    ## When to escalate

    At once to whoever runs the platform, when pages may be missed: until then look at the dashboards yourself.
    """


class AlertmanagerUnhealthy(Page):
    """Alertmanager does not deliver, or does not agree with its peers.

    ## What it means

    Somebody is not told of alerts, or is told twice. Look at what fires yourself, until this is mended:
    `amtool alert --alertmanager.url=URL`.

    ## First look

    1. `AlertmanagerNotificationsFailing`: the log names the receiver and what it answered. A webhook that moved, a
       secret that has expired, or no way out of the cluster.
    2. `AlertmanagerConfigInvalid`: `amtool check-config` names the line; what was in force goes on.
    3. `AlertmanagerMembersDisagree`: may the pods reach each other at port 9094, by TCP and UDP? Page `/#/status` shows
       whom each one knows.

    ## When to escalate

    At once, when the receiver is the one that pages: call whoever is on call for it by another way.
    """


class CollectorUnhealthy(Page):
    """The OpenTelemetry collector loses traces or metrics, or refuses them.

    ## What it means

    Services go on. Traces are incomplete, and so are metrics that come this way; what Prometheus scrapes itself is not
    affected.

    ## First look

    1. `CollectorSendingFails`: its log names the destination and the answer: an expired key (401), a limit (429), or no
       network. `CollectorQueueFilling` beside it says how long it can wait.
    2. `CollectorQueueFilling` alone: the destination is slower than what comes in. More consumers of the queue
       (`sending_queue.num_consumers`), more collectors, or a sampler in front.
    3. `CollectorRefuses`: the memory limiter is at work: too little memory for the traffic, or a queue that grows
       behind it. `kubectl top pod` and the collector's own `zpages`.

    ## When to escalate

    By day, unless objectives are measured from what comes through the collector: then now.
    """


class Watchdog(Page):
    """This alert always fires, and nothing is wrong while it does.

    ## What it means

    It proves that rules are evaluated and that Alertmanager delivers. Its receiver `watchdog` expects it every five
    minutes, and raises the alarm itself when it stays away: a dead man's switch. Without a URL for `watchdog` under
    `webhooks` in the catalogue nobody waits for it.

    ## First look

    Only when the switch was triggered, because this alert stayed away:

    1. Does Prometheus run? `kubectl get pods --namespace quarterdeck`. Is its disk full, was it killed for its memory?
    2. Does Alertmanager run, and have the alert? `amtool alert query alertname=Watchdog`.
    3. Both are well: then it is the way out, from Alertmanager to the receiver; see `alertmanager-unhealthy`.

    ## When to escalate

    At once. Until it is mended nobody is told of anything.
    """
