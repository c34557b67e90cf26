"""The pages that alerts on services lead to. What the alerts mean is in `quarterdeck_dashboards.alerts`.

Those on the cluster and on what watches it are in `platform_pages`.
"""

from __future__ import annotations

from typing import ClassVar

from quarterdeck_scripts.runbook.model import Page, Remedy
from quarterdeck_scripts.runbook.queries import (
    BUSY,
    ERRORS_BY_ROUTE,
    ERRORS_BY_VERSION,
    FAILED,
    LOOPS_BUSY,
    MEMORY,
    OPEN_FILES,
    QUEUED,
    SCRAPED,
    SETS,
    SPEAKING,
    STALLED,
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
       cleared with `quarterdeck runbook run drain --node NODE --env ENV`.
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


class ServiceSaturated(Page):
    """A service has no room left: its workers, its event loops or its listen queue are full.

    ## What it means

    What comes next waits, and its users wait with it. `ListenQueueFilling` pages, because a connection that the kernel
    turns away is counted nowhere: no objective sees it. The others are tickets; the objectives page when it hurts.

    ## First look

    1. More traffic than before? Then scale now, and look for its source afterwards.
    2. The same traffic and busy workers? Then each request takes longer: something it asks is slow. See the
       service's dependencies on its dashboard, and their alerts.
    3. One pod only? Then it is that pod: `kubectl exec POD -- ps -eLf` tells what its processes do.
    4. The pool `threads` is full and `requests` is not? Plain functions of an asynchronous service wait for its 40
       threads: they call something slow.
    5. The event loops are busy and not stalled? They compute. Only more processes help, at once; a profile, later.

    ## When to escalate

    When twice the pods do not help within ten minutes: then the bottleneck is behind the service, and more pods press
    on it harder. Go to the owner of what it waits for.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_SCALE, _ROLL_BACK)
    queries: ClassVar[tuple[Query, ...]] = (TRAFFIC_BY_VERSION, BUSY, LOOPS_BUSY, QUEUED)


class EventLoopStalled(Page):
    """Something blocks the event loop of a worker: all that this worker serves stands still meanwhile.

    ## What it means

    One handler, or something it calls, keeps the loop's thread for seconds: a call of a database or of `requests`
    without `await`, a large file, a long calculation, `time.sleep`. Pods are Ready in between, so they get traffic.

    ## First look

    1. Since a new version? Roll it back.
    2. Else find the line: `kubectl exec POD -- python -m asyncio ps PID` on Python 3.14, `py-spy dump --pid PID` on
       any. The stack of the main thread shows what blocks.
    3. The route that is slow in all its requests at once, on the service's dashboard, is the victim; the culprit is the
       one in progress when it began.

    ## When to escalate

    To whoever owns the code, with the stack. Restarting helps only where something is stuck for good.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_ROLL_BACK, _RESTART)
    queries: ClassVar[tuple[Query, ...]] = (STALLED, LOOPS_BUSY, ERRORS_BY_ROUTE)


class OpenFilesNearLimit(Page):
    """A worker has nearly as many files and connections open as it may.

    ## What it means

    At the limit it accepts no connection and opens no file (`EMFILE`, "Too many open files"), and readiness probes
    fail with all else.

    ## First look

    1. Does the number climb, and never fall? Then it is a leak: connections or responses that are never closed. A
       restart buys as much time as it took to come here.
    2. Does it follow traffic? Then there are too many connections at once for one process: scale.
    3. What are they? `kubectl exec POD -- ls -l /proc/PID/fd` shows sockets, files and pipes.
    4. Is the limit itself low? `kubectl exec POD -- cat /proc/PID/limits`, the line `Max open files`.

    ## When to escalate

    A leak is a defect: to the owner of the code, with the list of what is open.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_RESTART, _SCALE)
    queries: ClassVar[tuple[Query, ...]] = (OPEN_FILES, TRAFFIC_BY_VERSION)


class TelemetryIncomplete(Page):
    """The service runs, but what its metrics and traces say is incomplete.

    ## What it means

    - `TelemetryOverflow`: a metric has as many label sets as it may. Further ones share one series with
      `otel_metric_overflow="true"`; sums are right, values by label are not.
    - `InstrumentationFailing`: the part named `component` failed. The service went on.
    - `TelemetryNotSent`: traces, or the service's own metrics, cannot be sent. The page `/metrics` is not affected.

    ## First look

    1. Overflow: the service's log names the label that has most values. It is nearly always an identifier, a path or a
       message that should not be a label. A restart empties the sets, and they fill again.
    2. Failing: the log says once per component what was the matter;
       `kubectl exec POD -- quarterdeck-instrument doctor` checks the rest.
    3. Not sent: is the collector Ready, and may the service reach it? `OTEL_EXPORTER_OTLP_ENDPOINT` says where it is;
       see `collector-unhealthy` too.

    ## When to escalate

    Not at night. Whoever owns the label, or the collector, by day.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_ROLL_BACK, _RESTART)
    queries: ClassVar[tuple[Query, ...]] = (SETS, FAILED)


class MemoryNearLimit(Page):
    """A container uses nearly all the memory it may; at the limit the kernel kills it.

    ## What it means

    The kill takes every request in flight with it, and readiness with it for as long as a start takes. One pod that is
    killed hands its traffic to the others, which are then nearer to their own limit.

    ## First look

    1. Does it climb from the start of each process? A leak, or a cache without a bound: restart, and look for it by
       day.
    2. Since a new version? Roll it back.
    3. Does it follow traffic? Then the limit is too low for so many requests at once: scale.
    4. Was something killed already? `kubectl describe pod POD` says `OOMKilled` under `Last State`.

    ## When to escalate

    When restarts come more often than hourly: then raise the limit in the stack, with the owner.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_RESTART, _ROLL_BACK, _SCALE)
    queries: ClassVar[tuple[Query, ...]] = (MEMORY, TRAFFIC_BY_VERSION)


class QueueGrowing(Page):
    """A queue becomes longer, or nobody takes from it, or its broker takes no more.

    ## What it means

    - `QueueGrowing`: it never was shorter than twice what it was an hour ago. What is put in now waits for as long as
      it takes to work off all that.
    - `QueueUnconsumed`: entries wait and there is no consumer at all.
    - `RabbitmqBlocksPublishers`: memory or disk of a node is beyond its watermark, so every publisher waits.

    ## First look

    1. Do consumers run? `kubectl get pods --selector app.kubernetes.io/name=SERVICE`. None, or all restarting: that is
       the cause.
    2. Do they work, and take longer for each entry than before? See what they ask, and what changed.
    3. Is one entry taken again and again, and never acknowledged? `rabbitmqctl list_queues name messages_ready
       messages_unacknowledged consumers`: many unacknowledged and few done mean a poisonous one; move it aside.
    4. Does more come in than before? Whoever publishes knows why; scale the consumers meanwhile.
    5. The broker blocks: `rabbitmq-diagnostics alarms` says which. Drain the longest queue, or give it disk.

    ## When to escalate

    When working it off takes longer than the promise on the queue's wait allows: the owner of what is waited for
    decides what may be dropped. Purge nothing without them.
    """

    remedies: ClassVar[tuple[Remedy, ...]] = (_SCALE, _RESTART, _ROLL_BACK)
    queries: ClassVar[tuple[Query, ...]] = (SCRAPED,)
