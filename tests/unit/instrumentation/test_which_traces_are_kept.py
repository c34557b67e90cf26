"""`OTEL_TRACES_SAMPLER`: every standard name and ours on the lean path, the same decisions as the SDK's samplers."""

from __future__ import annotations

import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler, _get_from_env_or_default
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.spans import sampling
from quarterdeck_instrumentation.spans.sampling import RateLimited, Sampling, read

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
OURS = ("quarterdeck_ratelimited", "parentbased_quarterdeck_ratelimited")
KEPT = SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
NOT_KEPT = SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.DEFAULT))


@pytest.fixture(autouse=True)
def _no_failures() -> None:
    """Begin with nothing said and nothing counted."""
    failures.forget()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        """Return the seconds at which it stands."""
        return self.now


def rate_limited(rate: float, *, parent_based: bool = True) -> tuple[RateLimited, Clock]:
    """Return a sampler of *rate* traces a second, and its clock."""
    clock = Clock()
    return RateLimited(rate, parent_based=parent_based, clock=clock.read), clock


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("parent", [None, 0, 1])
def test_the_standard_samplers_keep_what_the_sdks_keep(
    name: str, parent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trace by trace, on the lean path and as the sampler that the SDK is given when it takes over."""
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.3"}
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    theirs, ours = _get_from_env_or_default(), read(environ)
    assert ours is not None
    for number in range(1, 500):
        trace_id = number * (1 << 64) // 500 + (number << 64)
        above = None if parent is None else SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(parent))
        context = None if above is None else trace.set_span_in_context(NonRecordingSpan(above))
        kept = theirs.should_sample(context, trace_id, "").decision.is_sampled()
        assert ours.keeps(trace_id, above) is kept
        assert ours.sampler().should_sample(context, trace_id, "").decision.is_sampled() is kept


def test_so_many_traces_a_second_are_kept() -> None:
    """However many there are; after a pause at most one second's worth comes at once."""
    sampler, clock = rate_limited(5)

    def offered(seconds: int) -> int:
        kept = 0
        for _ in range(seconds * 100):
            clock.now += 0.01
            kept += sampler.keeps(1, None)
        return kept

    assert sum(sampler.keeps(1, None) for _ in range(100)) == 5
    assert offered(60) == 60 * 5
    clock.now += 3600
    assert sum(sampler.keeps(1, None) for _ in range(100)) == 5


def test_less_than_one_trace_a_second() -> None:
    """The first is kept at once, and then one in every so many seconds."""
    sampler, clock = rate_limited(0.1)
    assert [sampler.keeps(1, None), sampler.keeps(1, None)] == [True, False]
    clock.now += 9.9
    assert not sampler.keeps(1, None)
    clock.now += 0.2
    assert sampler.keeps(1, None)


def test_no_traces_a_second() -> None:
    """Nothing begins here, and what came sampled stays so."""
    sampler, _ = rate_limited(0)

    assert not sampler.keeps(1, None)
    assert sampler.keeps(1, KEPT)


def test_a_parent_decides_and_takes_nothing_from_the_bucket() -> None:
    """A trace that began elsewhere is whole or not there at all."""
    sampler, _ = rate_limited(1)

    assert [sampler.keeps(1, KEPT) for _ in range(50)] == [True] * 50
    assert not sampler.keeps(1, NOT_KEPT)
    assert [sampler.keeps(1, None), sampler.keeps(1, None)] == [True, False]


def test_without_parents_every_span_takes_from_the_bucket() -> None:
    """As `quarterdeck_ratelimited` without its prefix is asked to."""
    sampler, _ = rate_limited(1, parent_based=False)

    assert [sampler.keeps(1, NOT_KEPT), sampler.keeps(1, KEPT)] == [True, False]


def test_threads_take_no_more_than_there_is() -> None:
    """Without a lock: nothing comes between reading the bucket and taking from it."""
    sampler, _ = rate_limited(500)
    kept: list[int] = []

    def take() -> None:
        kept.append(sum(sampler.keeps(1, None) for _ in range(2000)))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(kept) == 500


def test_the_sdk_takes_from_the_same_bucket() -> None:
    """When it takes over, the rate is not doubled; a parent's vendors and attributes go on."""
    sampler, _ = rate_limited(2)
    tracer = TracerProvider(sampler=sampler.sampler(), shutdown_on_exit=False).get_tracer("users")

    assert sampler.keeps(1, None)
    first, second = tracer.start_span("first", attributes={"a": 1}), tracer.start_span("second")

    assert first.is_recording()
    assert first.attributes == {"a": 1}  # type: ignore[attr-defined]  # the SDK's span has them
    assert not second.is_recording()
    assert sampler.sampler().get_description() == "ParentBased{root:QuarterdeckRateLimited{2}}"


@pytest.mark.parametrize("name", OURS)
def test_ours_are_entry_points_for_any_sdk(name: str) -> None:
    """By OpenTelemetry's own convention: called with the argument, they return a sampler."""
    (entry,) = entry_points(group="opentelemetry_traces_sampler", name=name)
    sampler = entry.load()("3")

    assert isinstance(sampler, Sampler)
    assert "QuarterdeckRateLimited{3}" in sampler.get_description()


@pytest.mark.parametrize("name", OURS)
def test_ours_are_read_on_the_lean_path(name: str) -> None:
    """With their rate, and ten traces a second without one."""
    kept = read({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "2.5"})
    assert isinstance(kept, RateLimited)
    assert (kept.rate, kept.parent_based) == (2.5, name.startswith("parentbased"))
    default = read({"OTEL_TRACES_SAMPLER": name})
    assert isinstance(default, RateLimited)
    assert default.rate == 10.0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("traceidratio", "half", "expected a number from 0 to 1; found half; 1 is used"),
        ("parentbased_traceidratio", "1.5", "expected a number from 0 to 1; found 1.5; 1 is used"),
        ("traceidratio", "nan", "expected a number from 0 to 1; found nan; 1 is used"),
        ("quarterdeck_ratelimited", "-1", "expected a number of at least 0; found -1; 10 is used"),
        ("quarterdeck_ratelimited", "inf", "expected a number of at least 0; found inf; 10 is used"),
    ],
)
def test_an_argument_that_cannot_be_read_is_said_once(
    name: str, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And its default used."""
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": text}

    for _ in range(2):
        assert read(environ) is not None

    assert caplog.text.count(f"OTEL_TRACES_SAMPLER_ARG: {said}") == 1
    assert failures.counts() == {"settings": 2}


def test_a_sampler_of_another_package_is_loaded(install: Callable[..., None]) -> None:
    """With its argument; the lean path cannot ask it, so it is for the SDK."""
    ratio = "from opentelemetry.sdk.trace.sampling import TraceIdRatioBased as Ratio"
    install(
        "other_sampler",
        f"{ratio}\nmake = lambda text: Ratio(float(text))",
        opentelemetry_traces_sampler={"other_ratio": "other_sampler:make"},
    )
    environ = {"OTEL_TRACES_SAMPLER": "other_ratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}

    assert read(environ) is None
    sampler = sampling.load(environ)

    assert sampler is not None
    assert sampler.get_description() == "TraceIdRatioBased{0.25}"
    assert failures.counts() == {}


@pytest.mark.parametrize("made", ["None", "1 / 0"])
def test_a_sampler_that_cannot_be_made_is_said(install: Callable[..., None], made: str) -> None:
    """Its package's own failure costs no more than the sampler."""
    install(
        "broken_sampler", f"make = lambda text: {made}", opentelemetry_traces_sampler={"broken": "broken_sampler:make"}
    )

    assert sampling.load({"OTEL_TRACES_SAMPLER": "broken"}) is None
    assert failures.counts() == {"settings": 1}


def test_a_sampler_that_is_not_installed_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """And the default is used."""
    environ = {"OTEL_TRACES_SAMPLER": "xray"}

    assert read(environ) is None
    assert [sampling.load(environ), sampling.load(environ)] == [None, None]

    assert caplog.text.count("OTEL_TRACES_SAMPLER: expected a standard sampler, ours, or the name of an installed") == 1
    assert "found xray; parentbased_always_on is used" in caplog.text
    assert failures.counts() == {"settings": 2}


def test_everything_is_the_default() -> None:
    """As the specification has it."""
    kept, default = read({}), Sampling.everything()

    assert kept is not None
    assert (kept.bound, kept.parent_based) == (default.bound, default.parent_based) == (1 << 64, True)
