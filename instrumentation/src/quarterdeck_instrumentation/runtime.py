"""One worker's telemetry: begun when a server first calls an application, written down as it changes, ended with it.

Nothing is inherited over a fork: a child has no values, no threads and no files of its parent's, and begins anew if
a server calls an application in it, or something is measured.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from quarterdeck_contract import VERSION, metrics
from quarterdeck_contract.labels import FAILED_COMPONENT
from quarterdeck_instrumentation import declarative, exits, failures, native
from quarterdeck_instrumentation.cardinality import Watch
from quarterdeck_instrumentation.decision import Decision
from quarterdeck_instrumentation.exposition import session, snapshot, store
from quarterdeck_instrumentation.exposition.collector import Collector
from quarterdeck_instrumentation.exposition.reader import Reader
from quarterdeck_instrumentation.exposition.server import PageServer, text
from quarterdeck_instrumentation.exposition.writer import Writer
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.http_server import HttpServerMetrics
from quarterdeck_instrumentation.logs import LogRecords
from quarterdeck_instrumentation.meters import takeover
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.observer import Observer
from quarterdeck_instrumentation.registry import Registry
from quarterdeck_instrumentation.settings import Settings, effective
from quarterdeck_instrumentation.vitals.worker import Vitals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from quarterdeck_instrumentation.exposition.page import Format
    from quarterdeck_instrumentation.push.pusher import Pusher

_PATIENCE = 0.5
"""Seconds that a page waits for metrics that have to be asked for; an end no longer than half its deadline."""


class Runtime:
    """Telemetry of this process."""

    def __init__(self, settings: Settings, registry: Registry | None = None) -> None:
        """Begin with *registry*, which the service's own metrics are in already; without it, with an empty one."""
        self.settings = settings
        self.registry = registry if registry is not None else Registry(settings.label_sets)
        self._observer = Observer(home, self.registry)
        self.http = HttpServerMetrics(self.registry)
        self._own = _Own(self.registry)
        self.vitals = Vitals(self.registry, self.http, settings.metrics_port)
        self.http.noticed = self.vitals.loops.notice
        self._logs = LogRecords(self.registry) if settings.log_records else None
        self._label_sets = Watch(self.registry, settings.label_sets)
        self._name = store.worker_name()
        self._folder = ""
        self._writer = Writer(self.registry, self._update)
        self.spans = Decision(settings, _reconsider)
        # Bound here, because each request asks the first.
        self.tracing, self.trace_with, self.adopt = self.spans.tracing, self.spans.trace_with, self.spans.adopt
        self._page: PageServer | None = None
        self._elected: int | None = None
        self._pusher: Pusher | None = None
        self._reader: Reader | None = None
        self._reading = native.lock()

    def start(self) -> None:
        """Take a place in the session's folder, start the threads, and see that they are not needed at the end."""
        atexit.register(self._at_exit, os.getpid())
        exits.watch(end, self.settings.flush_timeout)
        if not getattr(sys, "_is_gil_enabled", lambda: True)():  # from Python 3.13; see `registry`
            failed("requests", "this Python has no global lock, so counts by several threads may be too low")
        if not (self.settings.metrics_page or self.settings.metrics_push):
            return
        takeover.begin()
        self.vitals.start()
        if self._logs is not None:
            self._logs.start()
        self._observer.begin()
        if self.settings.metrics_push:
            self._push()
        if self.settings.metrics_page:
            self._show()

    def _show(self) -> None:
        try:
            self._folder = session.of_this_process(os.environ)
            self._writer.pair = store.Pair(self._folder, self._name)
        except OSError as error:
            failed("store", "there is no folder to share, so the page shows one worker", error)
        self._writer.start()
        failures.listen(self.registry.touch)
        address = (self.settings.metrics_host, self.settings.metrics_port) if self.settings.metrics_server else None
        self._page = PageServer(address, self._elect, self._collector, created=self.settings.created_timestamps)
        self._page.start()

    def write(self) -> None:
        """Write the values down where they survive this process."""
        self._writer.write()

    def begin_end(self) -> None:
        """Begin to send what there is: the server has been told to end, and ends when it has served what it serves."""
        if self._pusher is not None:
            self._pusher.begin_flush(self.settings.flush_timeout)
        if self.spans.made is not None:
            self.spans.made.begin_flush(self.settings.flush_timeout)

    def end(self) -> None:
        """Write and send what is left: the server says that it is about to end."""
        deadline = time.monotonic() + self.settings.flush_timeout
        if self.settings.metrics_page:
            self.write()
            if self._observer.refresh(min(_PATIENCE, self.settings.flush_timeout / 2)):
                self.write()
        counted = failures.counts()
        if self._pusher is not None:
            self._pusher.begin_flush(deadline - time.monotonic())
        if self.spans.made is not None:
            self.spans.made.flush(deadline - time.monotonic())
        if self._pusher is not None:
            self._pusher.finish_flush()
        if self.settings.metrics_page and (self.registry.changed or failures.counts() != counted):
            self.write()  # what was served meanwhile, and lost at the end, is on the page of the workers that go on
        leads = self._folder and session.leader(self._folder) == os.getpid()
        if leads and session.is_deserted(self._folder, self._name):
            # Should it go on all the same, it needs no folder for its page.
            folder, self._folder = self._folder, ""
            self._writer.detach()
            session.remove(folder)

    def abandon(self) -> None:
        """Let go of what a forked child inherited. The parent's locks stay: they are the parent process's own."""
        self.vitals.stop()
        if self._logs is not None:
            self._logs.stop()
        if self._writer.pair is not None:
            self._writer.pair.close()
        if self._elected is not None:
            os.close(self._elected)
        if self._page is not None:
            self._page.abandon()
        if self.spans.made is not None:
            # Its provider is the child's too, as OpenTelemetry has it: what the child traces itself must get out.
            flush = partial(self.spans.made.flush, self.settings.flush_timeout)
            exits.watch(flush, self.settings.flush_timeout)
            atexit.register(flush)

    def own_snapshot(self) -> snapshot.Snapshot:
        """Return this worker's values, with what has to be asked for, written down first."""
        self._observer.refresh(_PATIENCE)
        return self._writer.values()

    def page(self, form: Format) -> str:
        """Return the page of all workers, for a service that mounts it; any worker may be asked.

        Raises:
            UnreadableError: there is no truthful one at this moment.
        """
        with self._reading:
            if self._reader is None:
                folder = store.Folder(self._folder) if self._folder else None
                self._reader = Reader(folder, self._name, self.own_snapshot)
            return text(*self._reader.collect(), form, created=self.settings.created_timestamps)

    def _push(self) -> None:
        from quarterdeck_instrumentation.push import pusher  # noqa: PLC0415 -- few services push

        try:
            self._pusher = pusher.make(declarative.asked(os.environ), self._taken)
        except Exception as error:  # noqa: BLE001 -- no HTTP URL, or what a detector of resource attributes raised
            failed("metrics", "metrics are not pushed", error)

    def _taken(self) -> tuple[snapshot.Snapshot, Mapping[int, Mapping[str, Any]]]:
        self.write()
        return self.own_snapshot(), self.registry.attributes

    def _at_exit(self, pid: int) -> None:
        if os.getpid() == pid:
            end()

    def _update(self) -> None:
        self._own.update()
        self.vitals.update()
        self._label_sets.update()

    def _elect(self) -> None:
        if self._folder and self._elected is None:
            try:
                self._elected = store.await_election(self._folder)
            except FileNotFoundError:
                if self._folder:
                    raise
                # Else this process has removed it, because it ends: a brief one, before it was elected.

    def _collector(self) -> Collector:
        folder = store.Folder(self._folder) if self._folder else None
        return Collector(folder, self._name, self.own_snapshot)


class _Own:
    """What a worker says of itself, brought up to date before each write."""

    def __init__(self, registry: Registry) -> None:
        registry.cell(metrics.BUILD_INFO, VERSION).set(1.0)
        registry.cell(metrics.WORKERS).set(1.0)
        self._failures = {part: registry.cell(metrics.FAILURES, part) for part in FAILED_COMPONENT.values}

    def update(self) -> None:
        for part, count in failures.counts().items():
            self._failures[part].set(count)


class _Process:
    """The runtime of this process, if it has one."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None
        self.broken = False
        self.traced = False
        """Whether a process that this one was forked from made spans: this one has its provider."""
        self.lock = threading.Lock()
        os.register_at_fork(after_in_child=self.forked)

    def start(self) -> Runtime | None:
        with self.lock:
            if self.runtime is None and not self.broken:
                try:
                    with native.Uncollected():
                        self.runtime = self._begun()
                except Exception as error:  # noqa: BLE001 -- the service must start, whatever this machine is like
                    self.broken = True
                    failed("store", "telemetry could not be started", error)
            return self.runtime

    def _begun(self) -> Runtime:
        settings = effective(os.environ)
        runtime = Runtime(settings, home.taken_over(settings.label_sets))
        runtime.start()
        if self.traced:
            runtime.tracing()  # or else the end would flush nothing: no request and no proxy asks for it
        return runtime

    def forked(self) -> None:
        inherited, self.runtime, self.broken = self.runtime, None, False
        self.lock = threading.Lock()
        failures.forget()
        exits.forked()
        home.move(None)
        if inherited is not None:
            self.traced = self.traced or inherited.spans.made is not None
            inherited.abandon()
            home.when_measured(self.start)


_process = _Process()


def current() -> Runtime | None:
    """Return this process's telemetry, begun if need be; None when it could not be."""
    runtime = _process.runtime
    return runtime if runtime is not None else _process.start()


def forked() -> None:
    """Let go of what was inherited: for servers that fork without Python's knowing."""
    if _process.runtime is not None:
        _process.forked()


def _reconsider() -> None:
    if _process.runtime is not None:
        _process.runtime.spans.reconsider()


def begun() -> bool:
    """Say whether telemetry has begun in this process."""
    return _process.runtime is not None


def begin_end() -> None:
    """Begin to send what there is, if telemetry has begun in this process; returns at once, never raises."""
    if _process.runtime is not None:
        try:
            _process.runtime.begin_end()
        except Exception as error:  # noqa: BLE001 -- ours: called by the handler of a signal
            failed("traces", "what was left could not be sent early", error)


def end() -> None:
    """Write and send what is left, if telemetry has begun in this process; never raises."""
    if _process.runtime is not None:
        try:
            _process.runtime.end()
        except Exception as error:  # noqa: BLE001 -- ours: the server must end as it would
            failed("store", "the last values could not be written down", error)


def replace(runtime: Runtime | None) -> Runtime | None:
    """Have *runtime* record from now on, and return what did before: for tests."""
    before, _process.runtime = _process.runtime, runtime
    home.move(runtime.registry if runtime is not None else None)
    return before
