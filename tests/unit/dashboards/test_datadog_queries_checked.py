"""Datadog's queries against the contract: names, tags, values, kinds, units; and the parser under them."""

from __future__ import annotations

import pytest

from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_dashboards.check.datadog import examine, of_services
from quarterdeck_dashboards.check.datadog_syntax import (
    Call,
    Condition,
    DatadogSyntaxError,
    Number,
    Operation,
    Query,
    filter_of,
    parse,
)

KNOWN = of_services([Metric("jobs.done", "{job}", Kind.COUNTER, "")], ["squad"])
HTTP = "http.server.request.duration"
NO_METRIC = "a metric of the contract or of Datadog's integrations"


def test_a_query_is_read_with_all_its_parts() -> None:
    """Aggregation, metric, filter, tags and methods."""
    text = "sum:jobs.done{env:prod,!queue:slow AND NOT (a:b OR $c)} by {queue, pod_name}.as_rate().rollup(max, 60)"

    assert parse(text) == Query(
        text,
        "sum",
        "jobs.done",
        (Condition("env", ("prod",)), Condition("queue", ("slow",)), Condition("a", ("b",)), Condition("", ())),
        ("queue", "pod_name"),
        ("as_rate", "rollup"),
    )


def test_arithmetic_binds_as_everywhere() -> None:
    """Products before sums, parentheses before both, from left to right."""
    tree = parse("(1 + 2) * 3 - 4 / 5")

    assert isinstance(tree, Operation)
    assert (tree.symbol, tree.right) == ("-", Operation("4 / 5", "/", Number(4), Number(5)))


def test_functions_of_several_arguments_are_read() -> None:
    """Numbers, texts, keywords and other functions among them."""
    tree = parse("top(anomalies(avg:system.load.1{*}, 'basic', 2, direction='both'), 5, 'mean', 'desc').fill(zero)")

    assert isinstance(tree, Call)
    assert (tree.name, len(tree.arguments)) == ("top", 4)


def test_a_list_of_values_is_one_condition() -> None:
    """With IN and NOT IN."""
    assert filter_of("a IN (b, c) AND d NOT IN (e)") == (Condition("a", ("b", "c")), Condition("d", ("e",)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum:jobs.done{*", "expected }, found the end"),
        ("sum:jobs.done", "expected a metric and its filter in braces, found 'jobs.done'"),
        ("sum:jobs.done{*} +", "expected a query, a number or a function, found the end"),
        ("(sum:jobs.done{*}", "expected ), found the end"),
        ("sum:jobs.done{(a:b}", "expected parentheses in pairs, found (a:b"),
        ("sum:jobs.done{a:b)}", "expected parentheses in pairs, found a:b)"),
        ("sum:jobs.done{a IN b}", "expected a list in parentheses after IN, found a IN b"),
        ("sum:jobs.done{*} by {a}}", "expected the end of the query, found '}'"),
        ("", "expected a query, a number or a function, found the end"),
    ],
)
def test_what_is_no_query_is_refused_with_what_was_expected(text: str, message: str) -> None:
    """And with what stands there."""
    with pytest.raises(DatadogSyntaxError) as caught:
        parse(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("query", "expected", "found", "near"),
    [
        ("sum:jobs.dona{*}", NO_METRIC, "jobs.dona", "jobs.done"),
        (
            "p95:http_server_request_duration_seconds_bucket{*}",
            NO_METRIC,
            "http_server_request_duration_seconds_bucket",
            HTTP,
        ),
        (f"p95:{HTTP}{{*}} by {{http.rout}}", f"a tag of {HTTP}", "http.rout", "http.route"),
        (f"p95:{HTTP}{{http_route:/a}}", f"a tag of {HTTP}", "http_route", "http.route"),
        (f"p95:{HTTP}{{pod:a}}", f"a tag of {HTTP}", "pod", "pod_name"),
        (f"count:{HTTP}{{http.request.method:gets}}", "a value that http.request.method can have", "'gets'", "get"),
        ("p95:jobs.done{*}", "a distribution for p95:", "the counter jobs.done", None),
        ("sum:quarterdeck.workers{*}.as_rate()", "a counter for .as_rate()", "the gauge quarterdeck.workers", None),
        (f"p50:{HTTP}{{*}}.as_count()", "count: or sum: for .as_count()", "p50:", None),
        (f"median:{HTTP}{{*}}", "avg:, max:, min:, sum:, count: or histogram:", "median:", None),
        (
            "sum:process.unix.file_descriptor.utilization{*}",
            "numbers whose sum means something",
            "a share of each",
            "max or avg",
        ),
        (f"avg(last_5m):p99:{HTTP}{{*}} > 250", "a threshold of less than 100 s", "250", "0.25, which is 250 ms"),
        (f"p99:{HTTP}{{*}} + sum:process.memory.usage{{*}}", "one unit on both sides of +", "s and By", None),
        (
            "sum:jobs.done{*}.as_rat()",
            ".as_count(), .as_rate(), .fill(), .rollup() or .weighted()",
            ".as_rat()",
            "as_rate",
        ),
        ("sum:jobs.done{*", "a Datadog query: }", "the end", None),
    ],
)
def test_a_datadog_query_that_cannot_be_as_meant_is_found(
    query: str, expected: str, found: str, near: str | None
) -> None:
    """Metric, tag, value, kind, unit or syntax."""
    assert [(fault.expected, fault.found, fault.nearest) for fault in examine(query, KNOWN)] == [
        (expected, found, near)
    ]


@pytest.mark.parametrize(
    "query",
    [
        f"default_zero(count:{HTTP}{{service:a AND http.response.status_code:5*}}.as_rate()) / count:{HTTP}{{*}}",
        f"p99:{HTTP}{{$service,$env.value}} by {{http.route}} * 1000",
        f"count(v: v<=0.25):{HTTP}{{http.request.method IN (get,post)}}.as_count()",
        f"avg(last_5m):p99:{HTTP}{{squad:a}} by {{kube_namespace}} > 0.25",
        "avg:system.cpu.user{*} by {host}",
        "pct_change(avg(last_5m),last_1h):sum:jobs.done{*}.as_count() > 50",
        "max:process.unix.file_descriptor.utilization{*} * 100",
        "timeshift(sum:jobs.done{*}, -3600)",
    ],
)
def test_a_datadog_query_that_may_have_data_is_left_alone(query: str) -> None:
    """Integrations' metrics, template variables and hosts' own tags too."""
    assert examine(query, KNOWN) == []


def test_a_formula_speaks_of_the_queries_beside_it() -> None:
    """A name that none of them has is found."""
    assert [(fault.expected, fault.found) for fault in examine("query1 / query3", KNOWN, ["query1", "query2"])] == [
        ("query1 or query2", "query3")
    ]


def test_a_datadog_query_that_is_too_deep_is_a_finding() -> None:
    """Not the end of the process."""
    assert [fault.found for fault in examine("(" * 30_000, KNOWN)] == ["too many levels of nesting"]
