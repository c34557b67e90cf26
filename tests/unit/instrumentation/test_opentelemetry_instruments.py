"""A service's own OpenTelemetry instruments are on the page, without the SDK and at a tenth of its cost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from quarterdeck_contract.metrics import ALL
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.foreign import page_names
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Names
from quarterdeck_instrumentation.meters.provider import LeanMeterProvider
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.testing import Page, Recording, recording

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from opentelemetry import metrics

OURS = {name for metric in ALL for name in page_names(metric)}


@pytest.fixture(autouse=True)
def _nothing_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no names taken, no sources and no failures."""
    monkeypatch.setattr(home, "names", Names())
    monkeypatch.setattr(home, "sources", [])
    failures.forget()


@pytest.fixture
def recorded() -> Iterator[Recording]:
    """Return what is recorded."""
    with recording() as made:
        yield made


@pytest.fixture
def meter() -> metrics.Meter:
    """Return a meter of a new provider."""
    return LeanMeterProvider().get_meter("a.service")


def foreign(page: Page) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what is not the contract's: value by name and labels."""
    return {(each.name, tuple(each.labels.items())): each.value for each in page.samples if each.name not in OURS}


def test_each_kind_has_its_form_on_the_page(recorded: Recording, meter: metrics.Meter) -> None:
    """Name, unit and type are derived as for the contract's own; a histogram has the bounds it advises."""
    meter.create_counter("jobs.done", "{job}", "Jobs.").add(3, {"kind": "a"})
    meter.create_up_down_counter("jobs.open", "{job}").add(2)
    meter.create_gauge("disk.free", "By").set(7.5)
    meter.create_histogram("job.time", "s", explicit_bucket_boundaries_advisory=[0.1, 1]).record(0.5)

    page = recorded.page()

    assert foreign(page) == {
        ("jobs_done_total", (("kind", "a"),)): 3.0,
        ("jobs_open", ()): 2.0,
        ("disk_free_bytes", ()): 7.5,
        ("job_time_seconds_bucket", (("le", "0.1"),)): 0.0,
        ("job_time_seconds_bucket", (("le", "1.0"),)): 1.0,
        ("job_time_seconds_bucket", (("le", "+Inf"),)): 1.0,
        ("job_time_seconds_sum", ()): 0.5,
        ("job_time_seconds_count", ()): 1.0,
    }
    assert [page.types[name] for name in ("jobs_done_total", "jobs_open", "disk_free_bytes", "job_time_seconds")] == [
        "counter",
        "gauge",
        "gauge",
        "histogram",
    ]


def test_attributes_become_labels_whatever_they_are(recorded: Recording, meter: metrics.Meter) -> None:
    """As JSON where they are not text; keys spelt alike share a label; their order makes no difference."""
    counter = meter.create_counter("calls")
    counter.add(1, {"b": True, "a": 1.5})
    counter.add(1, {"a": 1.5, "b": True})
    counter.add(1, {"list": ["x", 2]})
    counter.add(1, {"a.b": "1", "a_b": "2", "none": None})  # type: ignore[dict-item]  # as services do

    assert foreign(recorded.page()) == {
        ("calls_total", (("a", "1.5"), ("b", "true"))): 2.0,
        ("calls_total", (("list", '["x",2]'),)): 1.0,
        ("calls_total", (("a_b", "1;2"),)): 1.0,
    }


def test_text_that_utf_8_has_no_code_for_spoils_no_page(recorded: Recording, meter: metrics.Meter) -> None:
    """As `os.fsdecode` and WSGI make it of any bytes: it is escaped, and Prometheus takes the page."""
    counter = meter.create_counter("files", description="Of \udcff.")
    counter.add(1, {"name": "a\udcff"})
    counter.add(2, {"name": "a\udcfe"})

    assert "# HELP files_total Of \\\\udcff.\n" in recorded.text()
    assert foreign(recorded.page()) == {
        ("files_total", (("name", "a\\udcff"),)): 1.0,
        ("files_total", (("name", "a\\udcfe"),)): 2.0,
    }


def test_series_of_one_metric_may_differ_in_their_labels(recorded: Recording, meter: metrics.Meter) -> None:
    """One family, described once: Prometheus allows it, and instruments do it."""
    counter = meter.create_counter("calls")
    counter.add(1)
    counter.add(2, {"to": "a"})
    counter.add(3, {"to": "a", "how": "fast"})

    text = recorded.text()

    assert text.count("# TYPE calls_total") == 1
    assert 'calls_total 1\ncalls_total{to="a"} 2\ncalls_total{how="fast",to="a"} 3\n' in text


def test_series_that_are_spelt_alike_are_one(recorded: Recording, meter: metrics.Meter) -> None:
    """An empty label is none, and dots are underscores: Prometheus takes no series twice."""
    counter = meter.create_counter("calls.made")
    counter.add(1)
    counter.add(2, {"to": ""})
    counter.add(4, {"to.whom": "a"})
    counter.add(8, {"to_whom": "a"})
    meter.create_counter("calls_made").add(16)

    assert recorded.text().count("\ncalls_made_total") == 2
    assert foreign(recorded.page()) == {
        ("calls_made_total", ()): 19.0,
        ("calls_made_total", (("to_whom", "a"),)): 12.0,
    }


def test_label_sets_beyond_the_limit_share_one_series(meter: metrics.Meter) -> None:
    """Those of one instrument together, whatever their names; a series without labels is never among them."""
    with recording(Settings(label_sets=2)) as recorded:
        counter = meter.create_counter("calls")
        for number in range(5):
            counter.add(1, {"number": number})
        counter.add(1, {"other": "x"})
        counter.add(1)

        assert foreign(recorded.page()) == {
            ("calls_total", (("number", "0"),)): 1.0,
            ("calls_total", (("number", "1"),)): 1.0,
            ("calls_total", (("otel_metric_overflow", "true"),)): 4.0,
            ("calls_total", ()): 1.0,
        }


def test_a_sampled_span_becomes_the_exemplar_of_its_bucket(recorded: Recording, meter: metrics.Meter) -> None:
    """Of the bucket that was counted; an unsampled one does not."""
    histogram = meter.create_histogram("wait", "s", explicit_bucket_boundaries_advisory=[1.0])
    for flags, value in ((TraceFlags.SAMPLED, 0.5), (TraceFlags.DEFAULT, 2.0)):
        with use_span(NonRecordingSpan(SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(flags)))):
            histogram.record(value)

    buckets = recorded.page(Format.OPENMETRICS).find("wait_seconds_bucket")

    assert [each.exemplar for each in buckets] == [{"trace_id": f"{0xAB:032x}", "span_id": f"{0xCD:016x}"}, {}]


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "one", None])
def test_what_cannot_be_counted_is_left_out_and_counted_as_such(
    recorded: Recording, meter: metrics.Meter, amount: Any
) -> None:
    """Nothing is raised into the service, and no sum is spoilt for good."""
    meter.create_counter("jobs").add(amount)
    meter.create_histogram("wait").record(amount)

    assert foreign(recorded.page()) == {}
    assert failures.counts() == {"metrics": 2}


def test_attributes_that_are_none_raise_nothing(recorded: Recording, meter: metrics.Meter) -> None:
    """Not even where they are no mapping at all."""
    meter.create_counter("jobs").add(1, "a")  # type: ignore[arg-type]  # as services do
    meter.create_gauge("depth").set(1, 7)

    assert foreign(recorded.page()) == {}
    assert failures.counts() == {"metrics": 2}


class TestObservables:
    def test_callbacks_are_asked_when_the_page_is_made(self, recorded: Recording, meter: metrics.Meter) -> None:
        """Functions and generators alike; the value is what they say, not what is added."""
        said = iter(range(1, 9))

        def depth(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(next(said), {"queue": "a"})]

        def pulses() -> Generator[Iterable[Observation], CallbackOptions, None]:
            count = 0
            yield ()
            while True:
                count += 10
                yield (Observation(count),)

        meter.create_observable_gauge("depth", [depth])
        meter.create_observable_counter("pulses", [pulses()])

        first, second = recorded.page(), recorded.page()

        assert foreign(first) == {("depth", (("queue", "a"),)): 1.0, ("pulses_total", ()): 10.0}
        assert foreign(second) == {("depth", (("queue", "a"),)): 2.0, ("pulses_total", ()): 20.0}

    def test_what_is_no_longer_observed_is_no_longer_shown(self, recorded: Recording, meter: metrics.Meter) -> None:
        """And is shown again when it is."""
        queues = ["a", "b"]
        meter.create_observable_gauge("depth", [lambda _: [Observation(1, {"queue": each}) for each in queues]])

        assert len(recorded.page().find("depth")) == 2
        queues.remove("a")
        assert [each.labels for each in recorded.page().find("depth")] == [{"queue": "b"}]
        queues.append("a")
        assert recorded.page().value("depth", queue="a") == 1.0

    def test_a_callback_that_raises_keeps_no_other_from_speaking(
        self, recorded: Recording, meter: metrics.Meter
    ) -> None:
        """It is counted each time and said once."""

        def broken(_options: CallbackOptions) -> Iterable[Observation]:
            raise LookupError("gone")

        meter.create_observable_up_down_counter("size", [broken, lambda _: [Observation(4)]])

        assert recorded.page().value("size") == 4.0
        assert failures.counts()["metrics"] == 1

    def test_of_two_observations_of_one_series_the_last_counts(self, recorded: Recording, meter: metrics.Meter) -> None:
        """Also of two instruments of one name, as libraries that are set up twice have them."""
        for value in (3, 4):
            meter.create_observable_counter("uses", [lambda _, value=value: [Observation(value, {"k": "a"})]])

        assert recorded.page().value("uses_total") == 4.0

    def test_overflowing_observations_are_added_up(self, meter: metrics.Meter) -> None:
        """Each page anew."""
        with recording(Settings(label_sets=1)) as recorded:
            meter.create_observable_counter("n", [lambda _: [Observation(2, {"k": str(each)}) for each in range(4)]])
            recorded.page()

            assert recorded.page().value("n_total", otel_metric_overflow="true") == 6.0


class TestNames:
    def test_the_same_instrument_asked_for_twice_is_one(self, recorded: Recording, meter: metrics.Meter) -> None:
        """From whatever scope, with whatever description; the first one's bounds count."""
        meter.create_counter("jobs", description="One.").add(1)
        meter.create_counter("jobs", description="Two.").add(1)
        meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[1.0]).record(1)
        meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[2.0]).record(1)

        page = recorded.page()

        assert page.value("jobs_total") == 2.0
        assert page.value("wait_bucket", le="1.0") == 2.0
        assert failures.counts() == {}

    def test_another_kind_under_a_name_that_is_taken_is_left_out(
        self, recorded: Recording, meter: metrics.Meter
    ) -> None:
        """One name has one type on a page; it is said once."""
        meter.create_histogram("wait", "s").record(1)
        meter.create_gauge("wait.seconds").set(7)
        meter.create_gauge("wait.seconds").set(7)

        assert recorded.page().types["wait_seconds"] == "histogram"
        assert failures.counts() == {"metrics": 1}

    def test_two_kinds_of_one_name_may_have_two_names_on_the_page(
        self, recorded: Recording, meter: metrics.Meter
    ) -> None:
        """A counter ends in `_total`, and units are part of names: then each is what it is."""
        meter.create_counter("jobs").add(3)
        meter.create_up_down_counter("jobs.total.open").add(-1)
        meter.create_counter("rate", "%").add(2)
        meter.create_up_down_counter("rate", "{x}").add(-2)
        meter.create_histogram("wait", "s").record(1)
        meter.create_histogram("wait", "ms").record(7)

        page = recorded.page()

        assert (page.value("rate_percent_total"), page.value("rate")) == (2.0, -2.0)
        assert (page.value("jobs_total"), page.value("jobs_total_open")) == (3.0, -1.0)
        assert (page.value("wait_seconds_sum"), page.value("wait_milliseconds_sum")) == (1.0, 7.0)

    def test_the_contracts_names_are_ours(self, recorded: Recording, meter: metrics.Meter) -> None:
        """FastAPI and others measure requests themselves once they can: that is no failure, and on no page."""
        meter.create_histogram("http.server.request.duration", "s").record(1)

        assert recorded.page().find("http_server_request_duration_seconds_count") == []
        assert failures.counts() == {}
        assert home.names.refused.keys() == {"http.server.request.duration"}

    @pytest.mark.parametrize("name", ["", "7up", "a b", "x" * 256])
    def test_an_invalid_name_is_no_error(self, recorded: Recording, meter: metrics.Meter, name: str) -> None:
        """The instrument does nothing, which is said."""
        meter.create_counter(name).add(1)

        assert foreign(recorded.page()) == {}
        assert failures.counts() == {"metrics": 1}

    def test_an_infinite_bound_is_the_one_that_is_there_anyway(self, recorded: Recording, meter: metrics.Meter) -> None:
        """Two buckets of one bound are no histogram."""
        meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[1.0, float("inf")]).record(6)

        assert [each.labels["le"] for each in recorded.page().find("wait_bucket")] == ["1.0", "+Inf"]

    def test_bounds_that_do_not_ascend_are_not_used(self, recorded: Recording, meter: metrics.Meter) -> None:
        """The specification's are, and it is said."""
        meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[2.0, 1.0]).record(6)

        assert recorded.page().value("wait_bucket", le="5.0") == 0.0
        assert recorded.page().value("wait_bucket", le="10.0") == 1.0


ALONE = """
import json, os, sys
from opentelemetry import metrics
meter = metrics.get_meter("at import")
jobs, depth = meter.create_counter("jobs"), meter.create_gauge("depth")
import quarterdeck_instrumentation
quarterdeck_instrumentation.activate()
from quarterdeck_instrumentation import runtime
from quarterdeck_instrumentation.meters import takeover
from quarterdeck_instrumentation.testing import Recording
runtime._PATIENCE = 60.0  # seconds: a busy machine reads later than a page may usually wait for

def page():
    return Recording(runtime.current()).page()

def told(work):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, json.dumps(work()).encode())
        os._exit(0)
    os.wait()
    return json.loads(os.read(read, 9999))
"""
"""A process in which instruments are made before anything of ours is imported."""


def run(code: str, port: int, folder: Any) -> Any:
    """Run *code* after ALONE, and return the JSON that it prints."""
    environ = {
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "QUARTERDECK_METRICS_DIR": str(folder),
        "QUARTERDECK_FLUSH_TIMEOUT": "10",
    }
    command = [sys.executable, "-c", ALONE + code]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    return json.loads(done.stdout)


def test_instruments_made_at_import_record_once_telemetry_begins(free_port: int, tmp_path: Any) -> None:
    """They are proxies until then. The SDK's metrics are not imported for it; our provider is its kind all the same."""
    code = """
runtime.current()
jobs.add(2)
light = "opentelemetry.sdk.metrics" not in sys.modules
value = page().value("jobs_total")
from opentelemetry.sdk.metrics import MeterProvider
print(json.dumps([light, value, isinstance(metrics.get_meter_provider(), MeterProvider), takeover.facts()]))
"""
    assert run(code, free_port, tmp_path) == [
        True,
        2.0,
        True,
        {
            "meter_provider": "quarterdeck",
            "because": "the service has set none",
            "on_the_page": True,
            "readers_for_the_page": 0,
            "prometheus_client": False,
            "not_on_the_page": {},
        },
    ]


def test_a_forked_child_counts_from_zero_but_knows_its_gauges(free_port: int, tmp_path: Any) -> None:
    """Parent five, child one: five and one, not six. A gauge is a fact, which the child shares."""
    code = """
runtime.current()
jobs.add(5)
depth.set(7)
def child():
    jobs.add(1)
    runtime.current()
    own = Recording(runtime.current()).runtime.own_snapshot()
    named = {each.metric.name: own.values[each.start + 1] for each in own.index.series}
    return [named["jobs"], named["depth"]]
print(json.dumps([told(child), page().value("jobs_total")]))
"""
    assert run(code, free_port, tmp_path) == [[1.0, 7.0], 5.0]


def test_what_was_recorded_before_telemetry_began_is_on_the_page(free_port: int, tmp_path: Any) -> None:
    """By an instrument of our provider, which a service may have been given before its server calls it."""
    code = """
from quarterdeck_instrumentation.meters.provider import LeanMeterProvider
LeanMeterProvider().get_meter("early").create_counter("early").add(3)
runtime.current()
print(json.dumps(page().value("early_total")))
"""
    assert run(code, free_port, tmp_path) == 3.0


def test_a_service_may_set_its_own_provider_after_telemetry_has_begun(free_port: int, tmp_path: Any) -> None:
    """As it may without us: instruments made at import go over to it, and its data are on the page."""
    code = """
runtime.current()
jobs.add(2)
from opentelemetry.sdk.metrics import MeterProvider
metrics.set_meter_provider(MeterProvider())
jobs.add(3)
first = page().value("jobs_total")
facts = takeover.facts()
print(json.dumps([first, facts["meter_provider"], facts["because"], facts["on_the_page"]]))
"""
    assert run(code, free_port, tmp_path) == [5.0, "MeterProvider", "the service has set MeterProvider", True]
