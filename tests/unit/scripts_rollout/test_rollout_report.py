"""The page that a rollout's record becomes."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from quarterdeck_scripts.rollout.charts import Band, Chart, Line, draw
from quarterdeck_scripts.rollout.judge.counts import Counts, RouteCounts, Tally
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import Reading
from quarterdeck_scripts.rollout.judge.guards import Fullness, Sight
from quarterdeck_scripts.rollout.judge.record import RolloutRecord, Step
from quarterdeck_scripts.rollout.report import render

OBJECTIVES = (Objective("availability", Bad.FAILED, 0.0025), Objective("latency", Bad.SLOW, 0.005, 0.25))


def record(name: str, bad: int, ending: str = "promoted") -> RolloutRecord:
    """Return a record of forty looks at a canary with *bad* failed requests a look."""
    made = RolloutRecord(
        id=name,
        service="checkout",
        namespace="shop",
        environment="local",
        cluster="uid",
        image="localhost/checkout:v2",
        origin="localhost/checkout:v1",
        by="anna@bridge",
        began=1_700_000_000.0,
        interval=2,
        max_wait=600,
        criteria=Criteria(),
        objectives=OBJECTIVES,
        since=1_700_000_001.0,
        queries={"requests": 'x{le=~"0.25"}[60s]'},
        steps=[Step(1_700_000_000.0, 0.5, "Create the canary", "a <b> & c")],
        ending=ending,
        reason="because & so <on>",
        ended=1_700_000_090.0,
    )
    for n in range(1, 41):
        failed = Tally(Counts(80 * n, bad * n), Counts(240 * n, 0))
        slow = Tally(Counts((80 - bad) * n, 0), Counts(240 * n, 0))
        causes = ("not scraped <yet>",) if n == 1 else ()
        made.readings.append(Reading(made.since + 2 * n, (failed, slow), (0, 0), causes))
    return made


class Page(HTMLParser):
    """Collects what a page refers to, and whether its tags are closed."""

    VOID = frozenset({"meta", "br", "!doctype", "line", "circle", "polyline", "polygon"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href", "action"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself, as those of SVG do."""
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close a tag."""
        assert self.open.pop() == tag


def test_the_page_stands_alone() -> None:
    """No script, nothing loaded from elsewhere, every tag closed, both rollouts in it."""
    text = render([record("a", 4, "rolled back"), record("b", 0)])
    page = Page(text)

    assert page.open == []
    assert page.links == ["#a", "#b"]
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("svg") == 6


def test_what_others_wrote_is_escaped() -> None:
    """Reasons, details and causes are text, whatever is in them."""
    text = render([record("a", 0)])

    for raw, escaped in (
        ("because & so <on>", "because &amp; so &lt;on&gt;"),
        ("a <b> & c", "a &lt;b&gt; &amp; c"),
        ("not scraped <yet>", "not scraped &lt;yet&gt;"),
    ):
        assert raw not in text
        assert escaped in text


def test_the_numbers_are_those_of_the_verdict() -> None:
    """Counts of both sides, with the verdict and what is allowed."""
    text = render([record("a", 4)])

    assert "156 of 3,120<br>5 %" not in text
    assert "160 of 3,200<br>5 %" in text
    assert "0 of 9,600<br>0 %" in text
    assert '<span class="badge bad">FAIL</span>' in text


def test_a_rollout_without_evidence_says_so() -> None:
    """A forced one has steps and its reason, and no chart."""
    made = record("a", 0)
    made.readings.clear()
    made.forced = "closed & dark"

    text = render([made])
    assert "Nothing was measured." in text
    assert "closed &amp; dark" in text
    assert "<svg" not in text


def test_no_rollouts_are_a_page_too() -> None:
    """Somebody may render before the first one."""
    assert Page(render([])).open == []


@pytest.mark.parametrize("points", [(), ((0.0, 0.0),), ((0.0, 0.0), (5.0, 0.0))])
def test_a_chart_of_nothing_or_zeros_can_be_drawn(points: tuple[tuple[float, float], ...]) -> None:
    """Every coordinate is a number within the drawing."""
    chart = Chart("t", "s", "%", (Line("canary", "canary", points),), str, Band(points, points), floor=0.01)
    svg = draw(chart)

    numbers = [float(each) for each in re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy)="([^"]+)"', svg)]
    assert all(0 <= number <= 760 for number in numbers)
    assert "nan" not in svg
    assert "inf" not in svg.replace("inferred", "")


def test_routes_are_shown_with_what_is_known_of_each() -> None:
    """The one that failed comes first and is open; one with too little traffic says so."""
    made = record("a", 0)
    made.readings.clear()
    for n in range(1, 41):
        parts = (
            RouteCounts("GET /<home>", Counts(800 * n, 0), Counts(2400 * n, 0)),
            RouteCounts("GET /rare", Counts(0, 0), Counts(n, 0)),
            RouteCounts("GET /export", Counts(n, n), Counts(3 * n, 0)),
        )
        made.readings.append(Reading(made.since + 2 * n, (Tally.of(parts), Tally.of(parts[:1])), (0, 0), ()))

    text = render([made])
    assert "<details open><summary>Route by route</summary>" in text
    assert text.index("GET /export") < text.index("GET /&lt;home&gt;")
    assert '<th scope="row">GET /rare</th><td>too few requests</td>' in text
    assert '<th scope="row">GET /export</th><td>FAIL</td>\n<td class="number">40 of 40</td>' in text
    assert Page(text).open == []


def test_a_guards_alarm_stands_above_the_numbers() -> None:
    """What failed the canary is said first where its requests looked well; the record keeps what it was made of."""
    made = record("a", 0, "rolled back")
    full = (Fullness("memory limit", "c<1>", 0.5, 0.4),)
    made.readings.append(replace(made.readings[-1], sight=Sight(made.since + 81, (2, 0), (1, 3), full)))

    read = RolloutRecord.from_json(made.to_json())

    assert read.readings == made.readings
    assert '<p class="warning">Restarts: the canary&#x27;s pods were restarted 2 times' in render([read])
