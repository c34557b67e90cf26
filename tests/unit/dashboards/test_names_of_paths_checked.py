"""A metric is called otherwise on another path: what asks by the wrong path's name is told the right one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.metrics import HTTP_SERVER_DURATION, PROCESS_CPU_TIME
from quarterdeck_contract.naming import Path, Translation, prometheus_name
from quarterdeck_dashboards.check import expression
from quarterdeck_dashboards.check.known import Environment, series_of, setting

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue

SCRAPE = timedelta(seconds=15)


@pytest.mark.parametrize(
    ("translation", "names"),
    [
        (Translation.ESCAPED, ("http_server_request_duration_seconds", "process_cpu_time_seconds_total")),
        (Translation.ESCAPED_WITHOUT_SUFFIXES, ("http_server_request_duration", "process_cpu_time")),
        (Translation.UTF8, ("http.server.request.duration_seconds", "process.cpu.time_seconds_total")),
        (Translation.NONE, ("http.server.request.duration", "process.cpu.time")),
    ],
)
def test_a_name_follows_from_the_translation(translation: Translation, names: tuple[str, str]) -> None:
    """On every path but our own page, which has one spelling."""
    for path in (Path.COLLECTOR, Path.OTLP):
        found = tuple(prometheus_name(each, path, translation) for each in (HTTP_SERVER_DURATION, PROCESS_CPU_TIME))
        assert found == names
    assert prometheus_name(PROCESS_CPU_TIME, Path.SCRAPE, translation) == "process_cpu_time_seconds_total"


@pytest.mark.parametrize(
    ("path", "translation", "query", "message"),
    [
        (
            Path.SCRAPE,
            Translation.ESCAPED,
            "rate(process_cpu_time[5m])",
            (
                "process_cpu_time: expected the name that it has where Prometheus scrapes the service, found "
                "process_cpu_time; did you mean process_cpu_time_seconds_total?"
            ),
        ),
        (
            Path.COLLECTOR,
            Translation.ESCAPED_WITHOUT_SUFFIXES,
            "rate(process_cpu_time_seconds_total[5m])",
            (
                "process_cpu_time_seconds_total: expected the name that it has behind the collector, found "
                "process_cpu_time_seconds_total; did you mean process_cpu_time?"
            ),
        ),
        (
            Path.OTLP,
            Translation.NONE,
            'sum by (http_route) (rate({"http.server.request.duration_count"}[5m]))',
            (
                'sum by (http_route)(rate({__name__="http.server.request.duration_count"}[5m])): expected a label to '
                "aggregate by that is there, found http_route; did you mean http.route?"
            ),
        ),
        (
            Path.SCRAPE,
            Translation.ESCAPED,
            'http_server_request_duration_seconds_count{"http.route"="/"}',
            (
                'http_server_request_duration_seconds_count{http.route="/"}: expected a label of '
                "http_server_request_duration_seconds_count, found http.route; did you mean http_route?"
            ),
        ),
    ],
)
def test_a_name_of_another_path_is_refused_with_the_right_one(
    catalogue: Catalogue, path: Path, translation: Translation, query: str, message: str
) -> None:
    """Metrics and labels."""
    environment = Environment(SCRAPE, path, translation)
    known = series_of(catalogue, environment)

    _, faults = expression.examine(query, known, setting(catalogue, environment))

    assert [str(fault) for fault in faults] == [message]


def test_the_right_names_of_each_path_pass(catalogue: Catalogue) -> None:
    """Also those with dots, in quotation marks."""
    environment = Environment(SCRAPE, Path.OTLP, Translation.UTF8)
    known = series_of(catalogue, environment)
    query = 'sum by ("http.route") (rate({"http.server.request.duration_seconds_count","http.route"!=""}[5m]))'

    assert expression.examine(query, known, setting(catalogue, environment))[1] == []
