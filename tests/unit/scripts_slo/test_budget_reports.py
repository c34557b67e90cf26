"""`quarterdeck slo report`: what is asked, what is made of the answers, and how it reads."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import promql_parser
import pytest
from tests.unit.office import opened

from quarterdeck_dashboards.catalogue import Catalogue, parse
from quarterdeck_scripts import cli
from quarterdeck_scripts.ports import Answer, FakePrometheus, Series
from quarterdeck_scripts.slo import page, questions, text
from quarterdeck_scripts.slo.report import Report, Spender, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.office import Office

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: a/b:v1
    slos:
      - {name: availability, kind: availability, objective: 99.5}
      - {name: fresh, kind: freshness, objective: 99, metric: job.success, threshold: 1h, calendar: month}
    metrics:
      - {name: job.success, kind: gauge, unit: s}
  - name: calls
    namespace: shop
    owner: payments
    framework: grpc
    image: a/b:v1
    slos: [{name: quick, kind: latency, objective: 99, threshold: 1s}]
"""
OWN = 'namespace="shop",service="checkout"'
AT = 1_700_000_000.0


@pytest.fixture
def catalogue() -> Catalogue:
    """Return two services with three promises: of requests, of time, of calls."""
    return parse(CATALOGUE, "services.yaml")


def _values(*pairs: tuple[dict[str, str], float]) -> Answer:
    return Answer(tuple(Series(labels, ((AT, value),)) for labels, value in pairs))


RECORDED = {
    "slo:error_ratio:30d": 0.004,
    "slo:error_budget_remaining:ratio": 0.2,
    "slo:burn_rate:1h": 1.5,
    "slo:error_budget_exhaustion:seconds": 345_600.0,
}
SPENT = {
    "version": _values(({"version": "v2"}, 90.0), ({"version": "v1"}, 30.0), ({"version": "v0"}, 0.0)),
    "http_request_method, http_route": _values(({"http_request_method": "POST", "http_route": "/orders"}, 120.0)),
}
SUMS = {
    "slo:errors:sum1h": {"[30d:1h]": 120.0, "[7d:1h])": 60.0, "offset 7d": 10.0},
    "slo:events:sum1h": {"[30d:1h]": 30_000.0, "[7d:1h])": 10_000.0, "offset 7d": 10_000.0},
}


def _answer(query: str, at: float | None) -> Answer:
    """Answer for the first promise; of the others Prometheus knows nothing."""
    del at
    if "increase" in query and 'service="checkout"' in query:
        return next((answer for by, answer in SPENT.items() if f"by ({by})" in query), Answer(()))
    if 'slo="availability"' not in query:
        return Answer(())
    if "[30d:12h]" in query:
        return Answer((Series({}, ((AT - 86_400, 1.0), (AT - 43_200, math.nan), (AT, 0.2))),))
    name = query.removeprefix("sum_over_time(").partition("{")[0]
    value = RECORDED.get(name) or next(sum_ for window, sum_ in SUMS[name].items() if window in query)
    return _values(({}, value))


@pytest.fixture
def reports(catalogue: Catalogue) -> list[Report]:
    """Return the reports on all three, of which Prometheus knows the first."""
    return list(read(catalogue, FakePrometheus(_answer)))


def test_every_question_is_promql(catalogue: Catalogue) -> None:
    """Parsed, not believed."""
    for service in catalogue.services:
        for slo in service.slos:
            asked = questions.of(service, slo)
            for question in (*asked.numbers.values(), *asked.spenders.values(), asked.burn_down):
                promql_parser.parse(question)


def test_who_spent_a_budget_is_asked_by_release_and_route(catalogue: Catalogue) -> None:
    """Of the raw counters, over the promise's own window; of seconds nobody is asked."""
    requests, seconds = catalogue.service("checkout").slos
    (calls,) = catalogue.service("calls").slos
    bad = f'http_server_request_duration_seconds_count{{{OWN},http_response_status_code=~"5.."}}[30d]'

    asked = questions.of(catalogue.service("checkout"), requests).spenders

    assert list(asked) == ["release", "route"]
    assert asked["release"].startswith(f"sum by (version) (increase({bad}))")
    assert asked["route"].startswith(f"sum by (http_request_method, http_route) (increase({bad}))")
    assert questions.of(catalogue.service("checkout"), seconds).spenders == {}
    assert (
        "sum by (rpc_method) (increase(rpc_server_call_duration_seconds_count"
        in (questions.of(catalogue.service("calls"), calls).spenders["route"])
    )


def test_numbers_are_what_prometheus_says(reports: list[Report]) -> None:
    """What it cannot tell is None, and a value that is none is left out of the picture."""
    first = reports[0]

    assert first.numbers == {
        "error_ratio": 0.004,
        "remaining": 0.2,
        "burn_rate": 1.5,
        "exhaustion_seconds": 345_600.0,
        "bad": 120.0,
        "events": 30_000.0,
        "bad_this_week": 60.0,
        "events_this_week": 10_000.0,
        "bad_last_week": 10.0,
        "events_last_week": 10_000.0,
    }
    assert first.spenders == {
        "release": (Spender("v2", 90.0), Spender("v1", 30.0)),
        "route": (Spender("POST /orders", 120.0),),
    }
    assert first.burn_down == ((AT - 86_400, 1.0), (AT, 0.2))
    assert set(reports[1].numbers.values()) == {None}


def test_one_service_is_reported_alone(catalogue: Catalogue) -> None:
    """The others are not asked about."""
    prometheus = FakePrometheus(_answer)

    found = list(read(catalogue, prometheus, "calls"))

    assert [report.slo.name for report in found] == ["quick"]
    assert all('service="calls"' in question for question in prometheus.asked)


def test_the_text_says_what_a_person_asks(reports: list[Report]) -> None:
    """The least budget first, and no number where there is none."""
    assert text.render(reports) == (
        "checkout / availability: 99.5 % over 30d\n"
        "  budget left   20.0%\n"
        "  bad events    120 of 30,000 (0.4 %)\n"
        "  last hour     1.5 times the rate that the promise allows; at this rate gone in 4 d\n"
        "  week to week  worse: 0.6 % bad this week, 0.1 % the week before\n"
        "  by release    v2 75%, v1 25%\n"
        "  by route      POST /orders 100%\n"
        "\n"
        "calls / quick: 99 % over 30d\n"
        "  budget left   no data\n"
        "  bad events    no data\n"
        "  last hour     no data\n"
        "  week to week  no data\n"
        "\n"
        "checkout / fresh: 99 % over each month\n"
        "  budget left   no data\n"
        "  bad events    no data\n"
        "  last hour     no data\n"
        "  week to week  no data"
    )


def _with(report: Report, **numbers: float | None) -> Report:
    return Report(report.service, report.slo, {**report.numbers, **numbers}, report.spenders, report.burn_down)


def test_words_follow_the_numbers(reports: list[Report]) -> None:
    """Overspent, untouched, nothing left, better, steady."""
    report = reports[0]

    assert text.left(_with(report, remaining=-0.5)) == "none: overspent by 50%"
    assert text.burning(_with(report, burn_rate=0.0, exhaustion_seconds=None)) == "nothing spent"
    assert text.burning(_with(report, exhaustion_seconds=0.0)).endswith("; nothing is left")
    assert text.trend(_with(report, bad_this_week=1.0)).startswith("better: ")
    assert text.trend(_with(report, bad_this_week=10.0)).startswith("steady: ")
    assert text.trend(_with(report, events_last_week=None)) == "0.6 % bad this week, no data of the one before"


def test_the_least_budget_comes_first(reports: list[Report]) -> None:
    """Whatever the order of the catalogue."""
    worst = _with(reports[2], remaining=-1.0)

    assert text.by_need([*reports[:2], worst])[0] is worst


def test_many_spenders_are_summed_up(reports: list[Report]) -> None:
    """Five by name, the others together."""
    spenders = [Spender(f"v{n}", 10.0) for n in range(7)]

    assert list(text.spent(spenders))[-1] == "2 others 29%"


class _Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "line", "circle", "polyline", "polygon", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "circle", "polyline", "polygon", "path"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone_and_draws_what_was_left(reports: list[Report]) -> None:
    """Every element is closed, nothing is fetched, names are escaped."""
    html = page.render([reports[0], *reports[1:]], "prod <eu>", AT)
    read = _Text(html)

    assert read.open == []
    assert "Error budgets of prod <eu>" in read.words
    assert html.count("<svg") == 1
    assert "20.0%" in read.words
    assert not any(word in html for word in ("http://", "https://", "<script", "@import", "url("))


def test_json_has_every_number(reports: list[Report]) -> None:
    """With the picture's points."""
    found = reports[0].to_json()

    assert (found["service"], found["slo"], found["remaining"]) == ("checkout", "availability", 0.2)
    assert found["spent_by"]["release"][0] == {"name": "v2", "bad": 90.0}
    assert found["burn_down"][-1] == [AT, 0.2]


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Office]:
    """Return a Prometheus without samples; the working directory is empty, and there is no cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with opened() as office:
        office.answers = [(200, b'{"status":"success","data":{"resultType":"vector","result":[]}}', {})] * 100
        yield office


@pytest.fixture
def answered(office: Office) -> str:
    """Return the URL of that Prometheus."""
    return office.url


@pytest.mark.parametrize("given", [(), ("--services", "services.yaml"), ("--services", "other.yaml")])
def test_with_a_prometheus_and_a_catalogue_no_cluster_is_asked(
    answered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...]
) -> None:
    """The file beside which it is run, or the one that is named."""
    (tmp_path / (given[-1] if given else "services.yaml")).write_text(CATALOGUE)

    code = cli.run(["slo", "report", "--prometheus", answered, "--output", "json", *given])

    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert {(each["service"], each["slo"]) for each in found} == {
        ("checkout", "availability"),
        ("checkout", "fresh"),
        ("calls", "quick"),
    }


def test_prometheus_is_asked_with_the_headers_of_the_environment(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a rollout asks it: a tenant's Mimir has the numbers of nobody else."""
    (tmp_path / "services.yaml").write_text(CATALOGUE)
    monkeypatch.setenv("QUARTERDECK_PROMETHEUS_HEADERS", "X-Scope-OrgID=shop")

    assert cli.run(["slo", "report", "--prometheus", office.url]) == 0
    assert {each["X-Scope-OrgID"] for each in office.headers} == {"shop"}


def test_a_service_that_the_catalogue_has_not_is_refused(
    answered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those it has."""
    (tmp_path / "services.yaml").write_text(CATALOGUE)

    assert cli.run(["slo", "report", "--prometheus", answered, "--service", "nobody"]) == 2
    assert "one of the catalogue's services: calls, checkout" in capsys.readouterr().err


def test_without_a_catalogue_the_environment_is_asked(answered: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Which has one."""
    assert cli.run(["slo", "report", "--prometheus", answered]) == 2
    assert "a running local environment" in capsys.readouterr().err
