"""Spans through two real gateways with the stack's configuration, split between them by the trace's id.

Two pipelines with a `filter` each stand for the load-balancing exporter, which cannot be built from the Go module
proxy; the rest is what the stack renders. `SPANS=1000000 pytest tests/cluster/telemetry` sends as many.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from gateways import PORTS, Kept, gateway, running, send, splitter
from loopback import addresses, until
from spans_load import SPANS, Truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from gateways import Process
    from loopback import Asked

pytestmark = pytest.mark.tools

SENT = int(os.environ.get("SPANS", "60000"))
SEED = 20261123
JUDGED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
"""A gateway's own counter of traces, by whether they are kept."""
KEPT = '.*sampled="true".*'
"""Of them, those that are."""
AT_ONCE = "connectors::span_metrics::metrics_flush_interval: 1s"
"""So that nobody waits a quarter of a minute for metrics."""


def test_every_trace_is_judged_whole_and_measured_before_it_is_sampled(
    tool: Callable[[str], Path], receiving_prometheus: Asked, tmp_path: Path
) -> None:
    """Failed and slow traces come whole, of the others a tenth; span metrics count every span; no trace is split."""
    binary, prometheus = tool("otelcol-contrib"), receiving_prometheus
    truth = Truth()
    agent, *gateways = addresses(3, PORTS)
    halves = dict(zip("ab", gateways, strict=True))
    with ExitStack() as stack:
        kept = {half: stack.enter_context(Kept()) for half in halves}
        running_gateways = [
            stack.enter_context(_gateway(binary, address, prometheus.url, kept[half].url, tmp_path / half))
            for half, address in halves.items()
        ]
        stack.enter_context(running(binary, agent, splitter(halves), tmp_path / "agent"))

        send(agent, SENT, SEED, truth)
        until(lambda: _judged(running_gateways) >= len(truth.traces), "every trace to be judged")
        assert _judged(running_gateways) == len(truth.traces), "each once: none is judged in pieces"
        chosen = _judged(running_gateways, KEPT)
        until(lambda: sum(len(each.spans) for each in kept.values()) >= chosen, "the traces that were chosen")
        until(lambda: sum(sum(each.spans.values()) for each in kept.values()) >= chosen * SPANS, "all of their spans")

        query = "sum by (service, span_name, status_code) (traces_span_metrics_calls_total)"
        until(
            lambda: sum(prometheus.values(query, "service", "span_name", "status_code").values()) >= SENT,
            "span metrics",
        )
        measured = prometheus.values(query, "service", "span_name", "status_code")
        timed = prometheus.values("sum(traces_span_metrics_duration_seconds_count)")

    assert measured == truth.calls
    assert timed == {(): SENT}
    counts = {half: each.spans for half, each in kept.items()}
    assert truth.must_be_kept <= counts["a"].keys() | counts["b"].keys()
    assert counts["a"].keys().isdisjoint(counts["b"].keys())
    assert {spans for each in counts.values() for spans in each.values()} == {SPANS}
    others = len(truth.traces - truth.must_be_kept)
    share = (len(counts["a"]) + len(counts["b"]) - len(truth.must_be_kept)) / others
    assert 0.08 < share < 0.12, "a tenth, by the trace's id, so the same traces again"


def test_more_traces_than_are_held_are_waited_for_and_not_for_ever(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Held to a sixth of what comes, a gateway makes senders wait, and loses no failed or slow trace.

    Once it waited for ever: what was decided against was held on to.
    """
    truth = Truth()
    (address,) = addresses(1, PORTS)
    few = "processors::tail_sampling::num_traces: 100"
    soon = "processors::tail_sampling::decision_wait_after_root_received: 1s"
    with Kept() as kept, Kept(reads=False) as metrics:
        configuration = gateway([metrics.url], kept.url, tmp_path / "queue")
        with running(tool("otelcol-contrib"), address, configuration, tmp_path / "a", few, soon):
            send(address, 6_000, SEED, truth)
            until(lambda: truth.must_be_kept <= kept.spans.keys(), "failed and slow traces")

    assert truth.must_be_kept <= kept.spans.keys()


def test_what_a_killed_gateway_had_in_its_queue_is_sent_when_it_is_back(
    tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Killed while nobody takes traces: every trace it had decided to keep arrives, whole, after it starts again."""
    binary = tool("otelcol-contrib")
    truth = Truth()
    (address,) = addresses(1, PORTS)
    with Kept() as kept, Kept(reads=False) as metrics:
        kept.is_open.clear()
        with _gateway(binary, address, metrics.url, kept.url, tmp_path / "a") as first:
            send(address, SENT // 2, SEED, truth)
            until(lambda: _judged([first]) >= len(truth.traces), "every trace to be judged")
            decided = first.own('otelcol_processor_tail_sampling_global_count_traces_sampled.*sampled="true".*')
            first.popen.send_signal(signal.SIGKILL)
            first.popen.wait()
        assert not kept.spans

        kept.is_open.set()
        with _gateway(binary, address, metrics.url, kept.url, tmp_path / "a"):
            until(lambda: sum(kept.spans.values()) >= decided * SPANS, "what was in the queue")

    assert truth.must_be_kept <= kept.spans.keys()
    assert len(kept.spans) == decided
    assert set(kept.spans.values()) == {SPANS}


def _gateway(binary: Path, address: str, metrics: str, traces: str, folder: Path) -> AbstractContextManager[Process]:
    return running(binary, address, gateway([metrics], traces, folder / "queue"), folder, AT_ONCE)


def _judged(gateways: list[Process], which: str = "") -> float:
    return sum(each.own(f"{JUDGED}{which}") for each in gateways)
