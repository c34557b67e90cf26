"""The preview says plainly what it drew, what is empty and what failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from quarterdeck_contract import labels as l_
from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.axis import ticks
from quarterdeck_dashboards.dashboards.command import preview
from quarterdeck_dashboards.dashboards.description import (
    Dashboard,
    Draw,
    Level,
    Panel,
    Query,
    Row,
    Threshold,
    Unit,
    Variable,
)
from quarterdeck_dashboards.dashboards.preview import ask, page
from quarterdeck_dashboards.dashboards.preview.ask import Period, Series
from quarterdeck_dashboards.dashboards.preview.fake import FakePrometheus
from quarterdeck_dashboards.promql import Selector, equals, matches
from quarterdeck_dashboards.series import UP

if TYPE_CHECKING:
    from pathlib import Path

PERIOD = Period(0.0, 240.0)
POINTS = tuple((float(at), at / 240) for at in range(241))
UP_QUERY = Query("{pod}", Selector(UP).now)


def _page(panel: Panel, prometheus: FakePrometheus) -> tuple[tuple[ask.Seen, ...], str]:
    made = Dashboard("x", "X", "…", (Row("Now", (panel,)),))
    seen = ask.ask(prometheus, (made,), PERIOD)
    return seen, page.render(seen, PERIOD, "http://prometheus.example")


def _series(**labels: str) -> Series:
    return Series(labels, POINTS)


def test_lines_are_drawn_with_their_names_and_newest_values() -> None:
    """The largest first; a limit that is near is drawn too."""
    panel = Panel("Up", "Says.", Draw.LINES, Unit.SHARE, (UP_QUERY,), (Threshold(0.5, Level.BAD),))
    low = Series({"pod": "b"}, tuple((at, value / 2) for at, value in POINTS))

    seen, text = _page(panel, FakePrometheus({"up": (low, _series(pod="a"))}))

    assert page.troubles(seen) == ()
    assert re.findall(r'<polyline class="line (c\d)', text) == ["c0", "c1"]
    assert re.findall(r"</span>(\w) <b>([\d %]+)</b>", text) == [("a", "100 %"), ("b", "50 %")]
    assert 'class="limit bad"' in text


def test_a_line_is_broken_where_scrapes_are_missing() -> None:
    """A straight line over an hour without data would be a lie."""
    panel = Panel("Up", "Says.", Draw.LINES, queries=(UP_QUERY,))
    holed = Series({"pod": "a"}, tuple(point for point in POINTS if not 100 < point[0] < 150))

    _, text = _page(panel, FakePrometheus({"up": (holed,)}))

    assert text.count("<polyline") == 2


def test_more_lines_than_can_be_told_apart_are_counted() -> None:
    """Sixteen are drawn."""
    panel = Panel("Up", "Says.", Draw.LINES, queries=(UP_QUERY,))

    _, text = _page(panel, FakePrometheus({"up": tuple(_series(pod=f"p{n:02}") for n in range(20))}))

    assert text.count("<polyline") == 16
    assert "and 4 more that are not drawn" in text


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (Draw.STAT, '<p class="stat bad">100 %</p>'),
        (Draw.GAUGE, '<span class="fill bad" style="width:100.0%"></span>'),
        (Draw.TABLE, '<td>a</td><td class="number">100 %</td>'),
        (Draw.BARS, '<polygon class="area c0"'),
        (Draw.ALERTS, "<td>a</td>"),
    ],
)
def test_every_kind_of_panel_is_drawn(draw: Draw, expected: str) -> None:
    """Numbers in the colour of their limit."""
    panel = Panel("Up", "Says.", draw, Unit.SHARE, (UP_QUERY,), (Threshold(0.5, Level.BAD),))

    _, text = _page(panel, FakePrometheus({"up": (_series(pod="a"),)}))

    assert expected in text.replace("\n", "")


def test_a_heat_map_shows_what_fell_between_two_bounds() -> None:
    """Buckets hold everything below them too: what is drawn is the difference, and nothing where there is none."""
    panel = Panel("Time", "Says.", Draw.HEATMAP, Unit.SECONDS, (Query("{le}", Selector(UP).now),))
    buckets = tuple(Series({"le": le}, ((0.0, count),)) for le, count in (("0.1", 4.0), ("0.5", 4.0), ("+Inf", 5.0)))

    _, text = _page(panel, FakePrometheus({"up": buckets}))

    assert re.findall(r'fill-opacity="([\d.]+)"', text) == ["1.00", "0.50"]


def test_an_empty_panel_is_said_to_be_empty_unless_that_is_well() -> None:
    """On the page, and by name."""
    empty = Panel("Up", "Says.", Draw.LINES, queries=(UP_QUERY,))
    quiet = Panel("Alerts", "Says.", Draw.ALERTS, queries=(UP_QUERY,), quiet=True)

    seen, text = _page(empty, FakePrometheus())
    assert page.troubles(seen) == ("X / Up: empty",)
    assert "Empty: nothing answers this question." in text
    assert page.summary(seen) == "1 queries: 0 failed, 1 panels empty."

    seen, text = _page(quiet, FakePrometheus())
    assert page.troubles(seen) == ()
    assert "Nothing, as when all is well." in text


def test_a_table_is_empty_when_every_column_is_and_each_has_its_own_unit() -> None:
    """When a budget is gone is unknown while it is not spent: that is no fault of the table."""
    left = Query("left", Selector(UP).now, unit=Unit.SHARE)
    gone = Query("gone in", Selector(UP).now.is_equal_to(0), unit=Unit.SECONDS)
    table = Panel("Budgets", "Says.", Draw.TABLE, queries=(left, gone))

    seen, text = _page(table, FakePrometheus({"up": (_series(slo="a"),)}))
    assert page.troubles(seen) == ()
    assert '<td>a</td><td class="number">100 %</td><td class="number">-</td>' in text.replace("\n", "")

    seen, _ = _page(table, FakePrometheus())
    assert page.troubles(seen) == ("X / Budgets: empty",)


def test_a_query_that_fails_is_said_with_the_reason_and_nothing_of_it_is_code() -> None:
    """What a server says is text: it cannot change the page."""
    panel = Panel("Up", "Says.", Draw.LINES, queries=(UP_QUERY,))

    seen, text = _page(panel, FakePrometheus(refused={"up": "bad_data: <script>alert(1)</script>"}))

    assert page.troubles(seen) == ("X / Up: failed: bad_data: <script>alert(1)</script>",)
    assert "Failed: bad_data: &lt;script&gt;" in text
    assert "<script" not in text


def test_everything_that_can_be_chosen_is_chosen() -> None:
    """A variable's condition matches every value."""
    query = str(Selector(UP).where(matches(l_.CLUSTER, "$cluster"), equals(l_.SERVICE, "$cluster-x")).now)
    variable = Variable(l_.CLUSTER, Selector(UP))

    assert ask.chosen(query, (variable,)) == 'up{cluster=~".*",service="$cluster-x"}'


def test_the_command_ends_with_1_when_a_query_fails(root: Path, tmp_path: Path) -> None:
    """Here every one: nobody listens. The page is written all the same, and says so."""
    out = tmp_path / "page.html"
    options = ["--services", str(root / "services.yaml"), "--prometheus", "http://127.0.0.1:1", "--out", str(out)]

    ended = CliRunner().invoke(preview, options, standalone_mode=False)

    assert (ended.return_value, ended.stdout) == (1, f"{out}\n")
    assert "On call / Firing alerts: failed: NewConnectionError" in ended.stderr
    assert "Failed: NewConnectionError" in out.read_text(encoding="utf-8")


def test_a_span_that_is_none_is_a_usage_error(root: Path) -> None:
    """Click names the option."""
    options = ["--services", str(root / "services.yaml"), "--prometheus", "http://127.0.0.1:1", "--from", "soon"]

    ended = CliRunner().invoke(preview, options)

    assert ended.exit_code == 2
    assert "Invalid value for --from: expected a duration such as 250ms" in ended.stderr


@pytest.mark.parametrize(
    ("top", "most", "expected"),
    [
        (1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0575, 5, [0, 0.02, 0.04]),
        (600, 8, [0, 100, 200, 300, 400, 500, 600]),
    ],
)
def test_ticks_are_round(top: float, most: int, expected: list[float]) -> None:
    """1, 2 or 5 times a power of ten apart."""
    assert ticks(0.0, top, most) == expected


@pytest.mark.parametrize("url", ["nonsense", "localhost:9090", "ftp://prometheus", "http://"])
def test_what_is_no_address_is_refused_before_any_panel_is_drawn(tmp_path: Path, url: str) -> None:
    """One sentence, not one for each panel."""
    out = tmp_path / "page.html"

    ended = CliRunner().invoke(preview, ["--services", str(out), "--prometheus", url, "--out", str(out)])

    assert isinstance(ended.exception, UsageError)
    assert (ended.exception.expected, ended.exception.found) == ("the base URL of a Prometheus", repr(url))
    assert not out.exists()
