"""Whatever a service calls its instruments and measures with them, its page can be read, and nothing is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import Observation

from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Names
from quarterdeck_instrumentation.meters.provider import LeanMeterProvider
from quarterdeck_instrumentation.testing import recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.metrics import Meter

PARSERS = {
    Format.PROMETHEUS: prometheus_client.parser.text_string_to_metric_families,
    Format.OPENMETRICS: prometheus_client.openmetrics.parser.text_string_to_metric_families,
}
"""The library's own, which are stricter than Prometheus."""

words = st.text(st.characters(exclude_categories=()), max_size=8)
names = st.one_of(st.sampled_from(["a", "a.b", "a_b", "a.total", "a.sum", "b"]), words)
units = st.sampled_from(["", "s", "ms", "1", "By/s", "{x}", "%", "é"])
keys = st.one_of(st.sampled_from(["k", "k.", "le", "__name__", "1st", ""]), words)
values = st.one_of(words, st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=3), st.lists(words))
amounts = st.one_of(st.integers(-2, 9), st.floats(), st.just("much"), st.none(), st.just(10**400))
measurements = st.tuples(
    st.sampled_from(["counter", "up_down_counter", "gauge", "histogram", "observable"]),
    names,
    units,
    words,
    amounts,
    st.dictionaries(keys, values, max_size=3),
)


def measure(meter: Meter, measurement: tuple[Any, ...]) -> None:
    """Make an instrument and measure once."""
    kind, name, unit, text, amount, attributes = measurement
    if kind == "observable":
        meter.create_observable_gauge(name, [lambda _: [Observation(amount, attributes)]], unit, text)
        return
    instrument: Any = getattr(meter, f"create_{kind}")(name, unit, text)
    record = {"gauge": "set", "histogram": "record"}.get(kind, "add")
    getattr(instrument, record)(amount, attributes)


@pytest.fixture(autouse=True, scope="module")
def _home_as_it_was() -> Iterator[None]:
    """Leave to other tests what is theirs."""
    before = home.names, home.sources
    yield
    home.names, home.sources = before


@settings(max_examples=100)
@given(st.lists(measurements, max_size=12))
def test_a_page_of_any_instruments_can_be_read(made: list[tuple[Any, ...]]) -> None:
    """In both formats; what makes no sense is left out."""
    home.names, home.sources = Names(), []
    with recording() as recorded:
        meter = LeanMeterProvider().get_meter("a.service")
        for each in made:
            measure(meter, each)
        for form, parser in PARSERS.items():
            text = recorded.text(form)
            assert text.encode()
            assert list(parser(text))
