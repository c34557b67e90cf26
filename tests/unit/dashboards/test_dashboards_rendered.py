"""Small panels as Grafana's and Datadog's JSON, to the last key that matters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import (
    EVENT_LOOP_STALL,
    HTTP_SERVER_DURATION,
    PROCESS_CPU_TIME,
    WORKER_BUSY,
    WORKER_CAPACITY,
)
from quarterdeck_dashboards.dashboards import datadog, grafana, measures
from quarterdeck_dashboards.dashboards.datadog_query import Untranslatable, condition
from quarterdeck_dashboards.dashboards.description import (
    Annotation,
    Dashboard,
    Draw,
    Level,
    Link,
    Panel,
    Query,
    Row,
    Threshold,
    Unit,
    Variable,
)
from quarterdeck_dashboards.promql import Selector, equals, lacks, matches
from quarterdeck_dashboards.series import UP

SHOP = equals(l_.SERVICE, "shop")
FAILED = measures.share(
    measures.rate(HTTP_SERVER_DURATION, SHOP, matches(l_.HTTP_STATUS_CODE, "5.."), by=[l_.HTTP_ROUTE]),
    measures.rate(HTTP_SERVER_DURATION, SHOP, by=[l_.HTTP_ROUTE]),
)
LINES = Panel(
    "Failed",
    "Share of requests.",
    Draw.LINES,
    Unit.SHARE,
    (FAILED.query("{http.route}", exemplars=True),),
    (Threshold(0.01, Level.WARNING), Threshold(0.1, Level.BAD)),
    width=24,
)


def _dashboard(*panels: Panel, **options: Any) -> Dashboard:
    return Dashboard("quarterdeck-x", "X", "What it is.", (Row("Now", panels),), **options)


def _grafana(panel: Panel) -> Any:
    return grafana.render(_dashboard(panel))["panels"][1]


def _datadog(panel: Panel) -> Any:
    (group,) = datadog.render(_dashboard(panel))["widgets"]
    (widget,) = group["definition"]["widgets"]
    return widget["definition"]


def test_a_measure_says_the_same_in_both_languages() -> None:
    """Rates, quantiles, sums and shares; a share is 0 where there is a whole and no part of it."""
    cpu = measures.rate(PROCESS_CPU_TIME, SHOP, by=[l_.POD])
    slow = measures.quantile(0.95, HTTP_SERVER_DURATION, SHOP, lacks(l_.HTTP_STATUS_CODE, "5.."))
    busy, slots = (measures.total(each, SHOP) for each in (WORKER_BUSY, WORKER_CAPACITY))

    assert str(cpu.promql) == 'sum by (pod) (rate(process_cpu_time_seconds_total{service="shop"}[5m]))'
    assert str(cpu.datadog) == "sum:process.cpu.time{service:shop} by {pod_name}.as_rate()"
    assert str(slow.promql) == (
        "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket"
        '{service="shop",http_response_status_code!~"5.."}[5m])))'
    )
    assert str(slow.datadog) == ("p95:http.server.request.duration{service:shop AND NOT http.response.status_code:5*}")
    assert str((busy / slots).promql) == (
        'sum(quarterdeck_worker_busy{service="shop"}) / (sum(quarterdeck_worker_capacity{service="shop"}) > 0)'
    )
    assert str(measures.share(busy, slots).datadog) == (
        "default_zero(sum:quarterdeck.worker.busy{service:shop}) / sum:quarterdeck.worker.capacity{service:shop}"
    )


def test_a_query_that_a_formula_needs_twice_is_asked_once() -> None:
    """By name: what has no name of its own in the second half takes the next number."""
    one = measures.total(WORKER_BUSY, SHOP)
    two = measures.total(WORKER_CAPACITY, SHOP)

    formula = ((two - one) / two).datadog

    assert formula is not None
    assert formula.text == "(query1 - query2) / query1"
    assert [str(each) for each in formula.queries.values()] == [
        "sum:quarterdeck.worker.capacity{service:shop}",
        "sum:quarterdeck.worker.busy{service:shop}",
    ]


def test_what_datadog_cannot_say_is_left_to_prometheus() -> None:
    """A pattern that is no wildcard, and a label that no tag stands for."""
    with pytest.raises(Untranslatable, match="a wildcard or a list, found the pattern"):
        condition(matches(l_.HTTP_ROUTE, "/a(b|c)+"))

    assert measures.greatest(EVENT_LOOP_STALL, by=[l_.TRACK]).datadog is None


def test_lines_are_a_time_series_of_grafanas_with_limits_and_traces() -> None:
    """The data source is the reader's choice; labels in names are spelt as Prometheus has them."""
    drawn = _grafana(LINES)

    assert (drawn["type"], drawn["gridPos"]) == ("timeseries", {"h": 8, "w": 24, "x": 0, "y": 1})
    assert drawn["fieldConfig"]["defaults"]["unit"] == "percentunit"
    assert drawn["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "green", "value": None},
        {"color": "#EAB839", "value": 0.01},
        {"color": "red", "value": 0.1},
    ]
    assert drawn["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "dashed"}
    assert drawn["targets"] == [
        {
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "editorMode": "code",
            "exemplar": True,
            "expr": str(FAILED.promql),
            "instant": False,
            "legendFormat": "{{http_route}}",
            "range": True,
            "refId": "A",
        }
    ]


def test_lines_are_a_time_series_of_datadogs_in_percent() -> None:
    """Limits in percent as well; groups name themselves by their tags."""
    assert _datadog(LINES) == {
        "type": "timeseries",
        "title": "Failed (%)",
        "show_legend": True,
        "requests": [
            {
                "display_type": "line",
                "formulas": [{"formula": "100 * (default_zero(query1) / query2)"}],
                "queries": [
                    {
                        "data_source": "metrics",
                        "name": "query1",
                        "query": "count:http.server.request.duration{service:shop AND http.response.status_code:5*} "
                        "by {http.route}.as_rate()",
                    },
                    {
                        "data_source": "metrics",
                        "name": "query2",
                        "query": "count:http.server.request.duration{service:shop} by {http.route}.as_rate()",
                    },
                ],
                "response_format": "timeseries",
            }
        ],
        "markers": [
            {"display_type": "warning dashed", "value": "y = 1"},
            {"display_type": "error dashed", "value": "y = 10"},
        ],
    }


def test_a_number_has_the_colour_of_the_highest_limit_it_reached() -> None:
    """Where more is better, what is below every limit is bad."""
    panel = Panel(
        "Left",
        "Share that is left.",
        Draw.STAT,
        Unit.SHARE,
        (FAILED.query("left"),),
        (Threshold(0, Level.WARNING), Threshold(0.25, Level.GOOD)),
        base=Level.BAD,
        width=24,
    )

    assert _grafana(panel)["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "#EAB839", "value": 0},
        {"color": "green", "value": 0.25},
    ]
    assert _datadog(panel)["requests"][0]["conditional_formats"] == [
        {"comparator": ">=", "palette": "white_on_green", "value": 25.0},
        {"comparator": ">=", "palette": "white_on_yellow", "value": 0.0},
        {"comparator": "<", "palette": "white_on_red", "value": 0.0},
    ]


def test_what_only_prometheus_has_is_datadogs_own_list_or_nothing() -> None:
    """Objectives and alerts are listed by Datadog itself; the rest of the row takes the width."""
    only_here = Query("x", Selector(UP).now)
    objectives = Panel("Budgets", "…", Draw.LINES, queries=(only_here,), service="shop", is_of_objectives=True)
    alerts = Panel("Alerts", "…", Draw.ALERTS, queries=(only_here,), width=8)
    nothing = Panel("Up", "…", Draw.LINES, queries=(only_here,), width=8)

    (group,) = datadog.render(_dashboard(objectives, objectives, alerts, nothing))["widgets"]

    shown = [(each["definition"]["type"], each["layout"]["width"]) for each in group["definition"]["widgets"]]
    assert shown == [("slo_list", 6), ("manage_status", 6)]
    listed = group["definition"]["widgets"][0]["definition"]["requests"]
    assert listed == [{"query": {"limit": 50, "query_string": "service:shop"}, "request_type": "slo_list"}]


def test_choices_marks_and_links_are_the_dashboards() -> None:
    """Every cluster at first; a dashboard's link takes along the time and what was chosen."""
    whole = _dashboard(
        LINES,
        variables=(Variable(l_.CLUSTER, Selector(UP), "Cluster"),),
        annotations=(Annotation("Down", Selector(UP).now.is_equal_to(0), "{pod} is down", Level.BAD),),
        links=(Link("Home", dashboard="quarterdeck-on-call"), Link("Code", "https://git.example/shop")),
    )

    drawn = grafana.render(whole)
    (mark,) = drawn["annotations"]["list"]
    assert (mark["expr"], mark["textFormat"], mark["iconColor"]) == ("up == 0", "{{pod}} is down", "red")
    source, cluster = drawn["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert (cluster["query"]["query"], cluster["allValue"]) == ("label_values(up, cluster)", ".*")
    home, code = drawn["links"]
    assert (home["url"], home["keepTime"], home["includeVars"]) == ("/d/quarterdeck-on-call", True, True)
    assert (code["url"], code["targetBlank"]) == ("https://git.example/shop", True)
    assert datadog.render(whole)["template_variables"] == [
        {"defaults": ["*"], "name": "cluster", "prefix": "kube_cluster_name"}
    ]


def test_a_provisioned_dashboard_is_the_committed_one_with_a_line_for_each_panel() -> None:
    """It says the same, and a changed panel is one changed line."""
    dashboard = _dashboard(LINES, LINES)

    provisioned = grafana.provisioned(dashboard)

    assert json.loads(provisioned) == json.loads(grafana.text(dashboard))
    assert [line[:2] for line in provisioned.splitlines()] == ['{"', '{"', '{"', '{"', "]}"]
    assert len(provisioned.splitlines()[1:-1]) == len(grafana.render(dashboard)["panels"])
