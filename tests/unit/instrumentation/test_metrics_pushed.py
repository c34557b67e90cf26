"""Metrics over OTLP: what is posted is what the page shows, read back with OpenTelemetry's own protobuf."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION, Kind, Metric
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.foreign import Foreign, Merge
from quarterdeck_instrumentation.push.encoding import requests
from quarterdeck_instrumentation.push.pusher import Plan, Pusher, plan, resource
from quarterdeck_instrumentation.registry import Registry, TracedCell
from quarterdeck_instrumentation.spans.sender import UndeliveredError
from quarterdeck_instrumentation.spans.target import Target

if TYPE_CHECKING:
    from quarterdeck_instrumentation.exposition.snapshot import Snapshot

JOBS = Metric("jobs.done", "{job}", Kind.COUNTER, "How many.", (Label("kind", ""),))
OPEN = Metric("jobs.open", "{job}", Kind.UP_DOWN_COUNTER, "How many now.")
DEPTH = Metric("depth", "1", Kind.GAUGE, "How deep.")
WAIT = Metric("wait", "s", Kind.HISTOGRAM, "How long.", (), (0.1, 1.0))
SIZE = Foreign("size_bytes", "bytes", Kind.HISTOGRAM, "How much.", form="summary", spelt=True)
WHOSE = Resource({"service.name": "checkout", "service.instance.id": "a-1"})
BEGAN = 1_000 * 10**9
"""When the values of `registry` began, in nanoseconds."""


@pytest.fixture(autouse=True)
def _no_failures() -> None:
    """Begin with nothing said and nothing counted."""
    failures.forget()


def registry() -> Registry:
    """Return a registry whose clock stands at 1,000 s."""
    return Registry(100, clock=lambda: 1000.0)


def taken(values: Registry) -> Snapshot:
    """Return what is in *values*."""
    return snapshot.decode(snapshot.encode(1, *values.snapshot()))


def decoded(body: bytes) -> dict[str, Any]:
    """Return a request's metrics by name; there is one resource and one scope."""
    ((scope,),) = [each.scope_metrics for each in ExportMetricsServiceRequest.FromString(body).resource_metrics]
    assert scope.scope.name == "quarterdeck.instrumentation"
    return {metric.name: metric for metric in scope.metrics}


def pushed(values: Registry, **options: Any) -> dict[str, Any]:
    """Return the metrics of the one request with what is in *values*, at 1,060 s."""
    (body,) = requests(WHOSE, taken(values), 1060.0, values.attributes, **options)
    return decoded(body)


def attributes(point: Any) -> dict[str, Any]:
    """Return a point's attributes as plain values."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in point.attributes}


def test_each_kind_is_what_it_is_in_opentelemetry() -> None:
    """Names, units and values as the instrument has them; the collector's side derives Prometheus' names."""
    values = registry()
    values.cell(JOBS, "a").add(3)
    values.cell(OPEN).add(2)
    values.cell(DEPTH).set(0.5)
    for seconds in (0.05, 0.5, 7.0):
        values.distribution(WAIT).observe(seconds)
    values.distribution(SIZE).observe(8)

    metrics = pushed(values)

    jobs = metrics["jobs.done"]
    assert (jobs.description, jobs.unit, jobs.sum.is_monotonic) == ("How many.", "{job}", True)
    assert jobs.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = jobs.sum.data_points
    assert (point.as_double, attributes(point)) == (3.0, {"kind": "a"})
    assert (point.start_time_unix_nano, point.time_unix_nano) == (BEGAN, BEGAN + 60 * 10**9)
    assert not metrics["jobs.open"].sum.is_monotonic
    assert [each.as_double for each in metrics["depth"].gauge.data_points] == [0.5]
    (wait,) = metrics["wait"].histogram.data_points
    assert (wait.count, wait.sum, list(wait.bucket_counts), list(wait.explicit_bounds)) == (
        3,
        pytest.approx(7.55),
        [1, 1, 1],
        [0.1, 1.0],
    )
    (size,) = metrics["size_bytes"].summary.data_points
    assert (size.count, size.sum) == (1, 8.0)


def test_labels_have_the_types_they_had() -> None:
    """Those of an instrument's attributes, and a status code is a number; the overflow series says that it is."""
    values = Registry(1, clock=lambda: 1000.0)
    values.distribution(HTTP_SERVER_DURATION, "GET", "/a", "200", "", "http").observe(1)
    typed = Foreign("typed", "", Kind.COUNTER, "", (Label("n", ""),))
    values.child(TracedCell, typed, ("7",), {"n": 7, "list": [True]})
    values.child(TracedCell, typed, ("8",), {"n": 8})

    metrics = pushed(values)

    (point,) = metrics["http.server.request.duration"].histogram.data_points
    assert attributes(point) == {
        "http.request.method": "GET",
        "http.route": "/a",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    first, overflow = metrics["typed"].sum.data_points
    assert attributes(first)["n"] == 7
    assert attributes(overflow) == {"otel.metric.overflow": True}


def test_exemplars_name_their_traces() -> None:
    """By the bytes of their identities."""
    values = registry()
    child = values.distribution(WAIT)
    child.exemplars[child.observe(0.5)] = Exemplar(0.5, 1001.5, "ab" * 16, "cd" * 8)

    (exemplar,) = pushed(values)["wait"].histogram.data_points[0].exemplars

    assert (exemplar.as_double, exemplar.time_unix_nano) == (0.5, 1_001_500_000_000)
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == ("ab" * 16, "cd" * 8)


def test_what_is_hidden_or_pushed_elsewhere_is_not_pushed() -> None:
    """A series that its owner removed, and what a provider of the service's own measures."""
    values = registry()
    values.hide(values.cell(JOBS, "a"))
    values.cell(Foreign("theirs", "", Kind.GAUGE, "", merge=Merge.GREATEST, elsewhere=True)).set(1)

    assert list(requests(WHOSE, taken(values), 1060.0, {})) == []


def test_many_points_are_several_requests() -> None:
    """Each of bounded size, with every point in one of them."""
    values = Registry(10_000, clock=lambda: 1000.0)
    for number in range(4500):
        values.cell(JOBS, str(number)).add(1)
    values.cell(OPEN).add(1)

    bodies = [decoded(body) for body in requests(WHOSE, taken(values), 1060.0, {})]

    assert [sum(len(metric.sum.data_points) for metric in each.values()) for each in bodies] == [2000, 2000, 501]


class TestDelta:
    """With `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta`."""

    def test_what_changed_is_pushed(self) -> None:
        """Since the last push; what is new, since it began; sums that go both ways stay as they are."""
        values = registry()
        values.cell(JOBS, "a").add(3)
        values.cell(OPEN).add(5)
        values.distribution(WAIT).observe(0.5)
        before = taken(values)
        values.cell(JOBS, "a").add(4)
        values.cell(JOBS, "b").add(1)
        values.cell(OPEN).add(1)
        values.distribution(WAIT).observe(0.05)

        metrics = pushed(values, before=(before, 1030.0))

        jobs = metrics["jobs.done"].sum
        assert jobs.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        assert [(each.as_double, each.start_time_unix_nano) for each in jobs.data_points] == [
            (4.0, BEGAN + 30 * 10**9),
            (1.0, BEGAN),
        ]
        assert [each.as_double for each in metrics["jobs.open"].sum.data_points] == [6.0]
        (wait,) = metrics["wait"].histogram.data_points
        assert (wait.count, list(wait.bucket_counts)) == (1, [1, 0, 0])

    def test_what_was_not_delivered_comes_with_the_next_push(self) -> None:
        """Nothing is lost, and nothing piles up."""
        values, taker = registry(), Taker(delta=True)
        for refused in (False, True, False):
            values.cell(JOBS, "a").add(1)
            taker.refuses = refused
            taker.push(values)

        (point,) = decoded(taker.bodies[-1])["jobs.done"].sum.data_points
        assert (len(taker.bodies), point.as_double) == (2, 2.0)


class Taker:
    """A pusher without a network, whose values are those of a registry."""

    def __init__(self, *, delta: bool = False) -> None:
        self.refuses = False
        self.bodies: list[bytes] = []
        self._values = registry()
        self._pusher = Pusher(Plan(Target(), delta=delta), self._take, lambda: self._post, WHOSE)

    def push(self, values: Registry) -> None:
        """Push what is in *values*."""
        self._values = values
        self._pusher.push(time.monotonic() + 10)

    def _take(self) -> tuple[Snapshot, dict[int, Any]]:
        return taken(self._values), {}

    def _post(self, body: bytes, deadline: float) -> None:
        if self.refuses:
            raise UndeliveredError("metrics could not be sent: the collector answers 503")
        self.bodies.append(body)


def test_a_collector_that_is_gone_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """Once; what it missed is in the next push, because values are cumulative."""
    values, taker = registry(), Taker()
    values.cell(JOBS, "a").add(1)
    taker.refuses = True
    taker.push(values)
    taker.push(values)
    taker.refuses = False
    taker.push(values)

    assert failures.counts() == {"metrics": 2}
    assert caplog.text.count("metrics could not be sent") == 1
    assert len(taker.bodies) == 1


def test_a_flush_pushes_in_time_or_gives_up() -> None:
    """In the thread; whoever ends waits no longer than it said, and not a second time."""
    posted: list[bytes] = []
    pusher = Pusher(Plan(Target()), lambda: (taken(filled()), {}), lambda: lambda body, _: posted.append(body), WHOSE)
    pusher.start()
    pusher.begin_flush(10.0)
    pusher.finish_flush()
    assert len(posted) == 1

    released = threading.Event()

    def hangs(_body: bytes, _deadline: float) -> None:
        released.wait(30)

    stuck = Pusher(Plan(Target()), lambda: (taken(filled()), {}), lambda: hangs, WHOSE)
    stuck.start()
    for _ in range(2):
        begun = time.monotonic()
        stuck.begin_flush(0.05)
        stuck.finish_flush()
        assert time.monotonic() - begun < 10
    released.set()
    assert failures.counts() == {"metrics": 1}


def filled() -> Registry:
    """Return a registry with one job."""
    values = registry()
    values.cell(JOBS, "a").add(1)
    return values


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Plan(Target(path="/v1/metrics"))),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "500"}, Plan(Target(path="/v1/metrics"), interval=0.5)),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "2000"}, Plan(Target(path="/v1/metrics"), timeout=2.0)),
        ({"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta"}, Plan(Target(path="/v1/metrics"), delta=True)),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://p:9/x", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a=b"},
            Plan(Target(host="p", port=9, path="/x", headers={"a": "b"})),
        ),
        ({"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "3"}, Plan(Target(path="/v1/metrics", timeout=3.0), timeout=3.0)),
    ],
)
def test_opentelemetrys_variables_say_how(environ: dict[str, str], expected: Plan) -> None:
    """Those of metrics before the general ones; milliseconds where OpenTelemetry has milliseconds."""
    assert plan(environ) == expected
    assert failures.counts() == {}


def test_what_cannot_be_done_is_said() -> None:
    """No gRPC is spoken here, and an unknown temporality is the usual one."""
    assert plan({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert plan({"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "both"}) == Plan(Target(path="/v1/metrics"))
    assert failures.counts() == {"metrics": 1, "settings": 1}


@pytest.mark.parametrize(
    ("configured", "expected"), [("", ""), ("service.instance.id=pod-7,a=b", "pod-7-")], ids=["none", "one"]
)
def test_every_worker_is_an_instance_of_its_own(
    monkeypatch: pytest.MonkeyPatch, configured: str, expected: str
) -> None:
    """Even where one id is configured for the whole service: two workers under one would be one broken series."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", configured)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "checkout")

    whole = resource().attributes

    assert whole["service.name"] == "checkout"
    assert str(whole["service.instance.id"]).startswith(expected)
    assert whole["service.instance.id"] != "pod-7"
