"""What a service measures with `prometheus_client` is on our page, with nothing set up for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import prometheus_client
import prometheus_client.openmetrics.exposition
import prometheus_client.openmetrics.parser
import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client.core import CounterMetricFamily, GaugeHistogramMetricFamily, GaugeMetricFamily

from quarterdeck_contract.metrics import ALL
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.exposition.collector import Sums
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.foreign import page_names
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Names
from quarterdeck_instrumentation.meters.prometheus import Collectors, Metrics
from quarterdeck_instrumentation.meters.provider import LeanMeterProvider
from quarterdeck_instrumentation.registry import Registry
from quarterdeck_instrumentation.testing import Page, Recording, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = {name for metric in ALL for name in page_names(metric)}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """Return a default registry of the test's own, which is read."""
    mine = CollectorRegistry()
    monkeypatch.setattr(prometheus_client.registry, "REGISTRY", mine)
    monkeypatch.setattr(home, "names", Names())
    monkeypatch.setattr(home, "sources", [Metrics(), Collectors()])
    failures.forget()
    return mine


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Return what is recorded."""
    with recording() as made:
        yield made


def foreign(page: Page) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what is not the contract's: value by name and labels."""
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for each in page.samples if each.name not in OURS
    }


def test_each_kind_is_on_the_page_as_on_its_own(recorded: Recording, registry: CollectorRegistry) -> None:
    """Names, labels and values are those that `generate_latest` writes, times of creation included."""
    Counter("orders", "Orders.", ["kind"], registry=registry).labels("a").inc(3)
    Gauge("depth", "Depth.", multiprocess_mode="livesum", registry=registry).set(2.5)
    Histogram("wait", "Waiting.", ["queue"], unit="seconds", buckets=(0.1, 1), registry=registry).labels("x").observe(
        0.5
    )
    Summary("size", "Size.", registry=registry).observe(4)
    Info("build", "Build.", registry=registry).info({"version": "1.2"})
    Enum("state", "State.", states=["up", "down"], registry=registry).state("down")

    page = recorded.page(Format.OPENMETRICS)

    own = prometheus_client.openmetrics.exposition.generate_latest(registry).decode()
    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in prometheus_client.openmetrics.parser.text_string_to_metric_families(own)
        for sample in family.samples
    }
    assert foreign(page) == theirs
    assert {name: page.types[name] for name in ("orders", "depth", "wait_seconds", "size", "build", "state")} == {
        "orders": "counter",
        "depth": "gauge",
        "wait_seconds": "histogram",
        "size": "summary",
        "build": "info",
        "state": "stateset",
    }
    assert page.units["wait_seconds"] == "seconds"


def test_the_plain_format_has_words_of_its_own(recorded: Recording, registry: CollectorRegistry) -> None:
    """It knows neither info nor state set, and no time of creation."""
    Info("build", "Build.", registry=registry).info({"version": "1.2"})
    Enum("state", "State.", states=["up", "down"], registry=registry)
    Counter("orders", "Orders.", registry=registry)

    page = recorded.page()

    assert (page.types["build_info"], page.types["state"]) == ("gauge", "gauge")
    assert page.find("orders_created") == []


def test_exemplars_keep_their_labels_whatever_they_are(recorded: Recording, registry: CollectorRegistry) -> None:
    """A counter's and a bucket's."""
    Counter("orders", "Orders.", registry=registry).inc(exemplar={"order": '"17"'})
    Histogram("wait", "Waiting.", buckets=(1,), registry=registry).observe(2, exemplar={"TraceID": "ab"})

    page = recorded.page(Format.OPENMETRICS)

    assert [each.exemplar for each in page.find("orders_total")] == [{"order": '"17"'}]
    assert [each.exemplar for each in page.find("wait_bucket")] == [{}, {"TraceID": "ab"}]


def test_names_in_utf_8_are_escaped(recorded: Recording, registry: CollectorRegistry) -> None:
    """As on the service's own page; the text formats that every Prometheus reads know no others."""
    Counter("my.orders", "Orders.", ["order.kind"], registry=registry).labels("a").inc(exemplar={"trace.id": "x"})

    page = recorded.page(Format.OPENMETRICS)

    assert [(each.labels, each.exemplar) for each in page.find("my_orders_total")] == [
        ({"order_kind": "a"}, {"trace_id": "x"})
    ]


def test_a_collector_of_the_services_own_is_asked(recorded: Recording, registry: CollectorRegistry) -> None:
    """Types that cannot be added up are each for themselves; one collector that raises keeps no other away."""

    class Mine:
        def collect(self) -> Any:
            yield GaugeMetricFamily("pool", "Pool.", 7)
            yield CounterMetricFamily("hits", "Hits.", 9)
            yield GaugeHistogramMetricFamily("ages", "Ages.", buckets=[("1", 1.0), ("+Inf", 2.0)], gsum_value=3.0)

    class Broken:
        def describe(self) -> Any:
            return []

        def collect(self) -> Any:
            raise LookupError

    registry.register(Broken())
    registry.register(Mine())

    assert foreign(recorded.page()) == {
        ("pool", ()): 7.0,
        ("hits_total", ()): 9.0,
        ("ages_bucket", (("le", "1"),)): 1.0,
        ("ages_bucket", (("le", "+Inf"),)): 2.0,
        ("ages_gsum", ()): 3.0,
        ("ages_gcount", ()): 2.0,
    }
    assert failures.counts() == {"metrics": 1}


def test_a_removed_label_set_leaves_the_page(recorded: Recording, registry: CollectorRegistry) -> None:
    """As it leaves the service's own page."""
    gauge = Gauge("depth", "Depth.", ["queue"], multiprocess_mode="max", registry=registry)
    gauge.labels("a").set(1)
    gauge.labels("b").set(1)
    recorded.page()
    gauge.remove("a")

    assert [each.labels for each in recorded.page().find("depth")] == [{"queue": "b"}]


def test_the_librarys_own_collectors_are_left_out(recorded: Recording, registry: CollectorRegistry) -> None:
    """Ours say the same of all workers together."""
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    prometheus_client.GCCollector(registry=registry)

    assert foreign(recorded.page()) == {}


def test_names_of_ours_and_of_opentelemetrys_come_first(recorded: Recording, registry: CollectorRegistry) -> None:
    """Whoever was first: one name is one metric. It is said once."""
    Gauge("quarterdeck_workers", "Mine.", multiprocess_mode="max", registry=registry).set(7)
    Gauge("depth", "Mine.", multiprocess_mode="max", registry=registry).set(7)
    assert recorded.page().value("depth") == 7.0

    LeanMeterProvider().get_meter("a").create_gauge("depth").set(3)
    page = recorded.page()

    assert (page.value("depth"), page.value("quarterdeck_workers")) == (3.0, 1.0)
    assert recorded.text().count("# TYPE depth ") == 1
    assert home.names.refused.keys() == {"quarterdeck_workers", "depth"}
    assert failures.counts() == {"metrics": 1}


def test_a_name_changes_hands_though_the_types_differ(recorded: Recording, registry: CollectorRegistry) -> None:
    """What was on the page before is there no longer, and the page has the one type."""
    Gauge("hits", "Mine.", multiprocess_mode="max", registry=registry).set(7)
    before = recorded.page()
    LeanMeterProvider().get_meter("a").create_counter("hits").add(3)

    after = recorded.page()

    assert (before.types["hits"], before.value("hits")) == ("gauge", 7.0)
    assert (after.types["hits_total"], after.value("hits_total")) == ("counter", 3.0)
    assert after.find("hits") == []
    assert failures.counts() == {"metrics": 1}


@pytest.mark.parametrize(
    ("mode", "both", "one_ended"),
    [
        ("all", {"1": 2.0, "2": 5.0}, {"2": 5.0}),
        ("liveall", {"1": 2.0, "2": 5.0}, {"2": 5.0}),
        ("sum", {"": 7.0}, {"": 7.0}),
        ("livesum", {"": 7.0}, {"": 5.0}),
        ("max", {"": 5.0}, {"": 5.0}),
        ("min", {"": 2.0}, {"": 2.0}),
        ("livemin", {"": 2.0}, {"": 5.0}),
        ("mostrecent", {"": 5.0}, {"": 5.0}),
        ("livemostrecent", {"": 5.0}, {"": 5.0}),
    ],
)
def test_a_gauges_mode_says_how_workers_become_one(
    monkeypatch: pytest.MonkeyPatch,
    registry: CollectorRegistry,
    mode: Any,
    both: dict[str, float],
    one_ended: dict[str, float],
) -> None:
    """Two workers say 2, then 5; the first one ends. `all` is `liveall`."""
    gauge = Gauge("depth", "Depth.", multiprocess_mode=mode, registry=registry)
    snapshots = {}
    for pid, value in ((1, 2.0), (2, 5.0)):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        values = Registry(100)
        gauge.set(value)
        Metrics().read(values)
        snapshots[str(pid)] = snapshot.decode(snapshot.encode(1, *values.snapshot()))

    def shown(found: dict[str, snapshot.Snapshot]) -> dict[str, float]:
        return {"".join(each.labels): each.numbers[0] for each in Sums().of(found)}

    from quarterdeck_instrumentation.exposition.collector import fold  # noqa: PLC0415 -- beside what it is compared with

    assert shown(snapshots) == both
    assert shown({"": fold(snapshot.Snapshot(), {"1": snapshots["1"]}), "2": snapshots["2"]}) == one_ended


FORKS = """
import os, sys
import prometheus_client as client
early = client.Counter("early", "Made before anything is patched.", ["k"])
early.labels("a").inc(5)
import quarterdeck_instrumentation
quarterdeck_instrumentation.activate()
late, depth = client.Histogram("late", "Made after."), client.Gauge("depth", "Depth.")
late.observe(1)
depth.set(7)
if os.fork() == 0:
    early.labels("a").inc()
    value = client.REGISTRY.get_sample_value
    print(value("early_total", {"k": "a"}), value("late_count"), value("depth"), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_forked_child_counts_from_zero_on_its_own_page_too() -> None:
    """As in the library's multi-process mode; a gauge is a fact, which it keeps."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("1.0 0.0 7.0\n", "")


@pytest.mark.parametrize("multiprocess", [False, True])
def test_the_services_own_page_is_as_it_was(tmp_path: Any, *, multiprocess: bool) -> None:
    """Also in the library's multi-process mode."""
    code = """
import quarterdeck_instrumentation
quarterdeck_instrumentation.activate()
import prometheus_client as client
counter = client.Counter("orders", "Orders.")
counter.inc(2)
from quarterdeck_instrumentation.testing import recording
with recording() as recorded:
    print(recorded.page().value("orders_total"), client.generate_latest().decode().count("orders_total 2.0"))
"""
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if multiprocess else {}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("2.0 1\n", "")
