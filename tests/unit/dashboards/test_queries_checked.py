"""The contract check on one query: what is found, and what is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quarterdeck_dashboards.check.expression import Setting, examine
from quarterdeck_dashboards.series import SYNTHETIC, by_name, contract, external

KNOWN = {**contract(), **external(), **by_name(SYNTHETIC)}
COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
NO_SERIES = "a series of the contract, a recorded rule or an external list"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "http_server_requests_duration_seconds_count",
            (
                f"http_server_requests_duration_seconds_count: expected {NO_SERIES}, "
                f"found http_server_requests_duration_seconds_count; did you mean {COUNT}?"
            ),
        ),
        (
            f'rate({COUNT}{{servce="a"}}[5m])',
            f'{COUNT}{{servce="a"}}: expected a label of {COUNT}, found servce; did you mean service?',
        ),
        (
            f'rate({BUCKET}{{le="1"}}[5m])',
            f"{BUCKET}{{le=\"1\"}}: expected a value that le can have, found '1'; did you mean 1.0?",
        ),
        (
            f'rate({BUCKET}{{le="0.3"}}[5m])',
            f"{BUCKET}{{le=\"0.3\"}}: expected a value that le can have, found '0.3'; did you mean 0.25?",
        ),
        (
            f'rate({BUCKET}{{le=~"0.3|0.4"}}[5m])',
            f"{BUCKET}{{le=~\"0.3|0.4\"}}: expected a pattern that a value of le matches, found '0.3|0.4'",
        ),
        (
            'up{track="canry"}',
            "up{track=\"canry\"}: expected a value that track can have, found 'canry'; did you mean canary?",
        ),
        (
            "rate(http_server_active_requests[5m])",
            (
                "rate(http_server_active_requests[5m]): expected a counter in rate(), "
                "found the gauge http_server_active_requests"
            ),
        ),
        (
            "increase(up[5m])",
            "increase(up[5m]): expected a counter in increase(), found the gauge up",
        ),
        (
            f"histogram_quantile(0.9, sum by (service) (rate({BUCKET}[5m])))",
            (
                f"histogram_quantile(0.9, sum by (service)(rate({BUCKET}[5m]))): expected the label le in the argument "
                "of histogram_quantile, found none: it is not selected, or aggregated away"
            ),
        ),
        (
            f"histogram_quantile(0.9, rate({COUNT}[5m]))",
            (
                f"histogram_quantile(0.9, rate({COUNT}[5m])): expected the label le in the argument of "
                "histogram_quantile, found none: it is not selected, or aggregated away"
            ),
        ),
        (
            "sum by (srvice) (up)",
            "sum by (srvice)(up): expected a label to aggregate by that is there, found srvice; did you mean service?",
        ),
        (
            "sum without (le) (up)",
            "sum without (le)(up): expected a label to aggregate by that is there, found le",
        ),
        (
            "max by (pod) (sum by (service) (up))",
            "max by (pod)(sum by (service)(up)): expected a label to aggregate by that is there, found pod",
        ),
        (
            "sum by (service) (up) / sum by (pod) (up)",
            (
                "sum by (service)(up) / sum by (pod)(up): expected the same labels on both sides of /, or on(…), "
                "found {service} and {pod}, which never match"
            ),
        ),
        (
            "up * on (servic) up",
            "up * on (servic) up: expected a label to match on that is there, found servic; did you mean service?",
        ),
        (
            "up * on (pod) group_left (versio) up",
            (
                "up * on (pod) group_left (versio) up: expected a label to bring along that is there, found versio; "
                "did you mean version?"
            ),
        ),
        (
            "up * on (pod) group_right (versio) up",
            (
                "up * on (pod) group_right (versio) up: expected a label to bring along that is there, found versio; "
                "did you mean version?"
            ),
        ),
        ('{service="a"}', '{service="a"}: expected the name of a series, found none'),
        (
            '{__name__=~"http_client_.*"}',
            '{__name__=~"http_client_.*"}: expected a pattern that matches a known series, found http_client_.*',
        ),
        (
            '{__name__="upp"}',
            f'{{__name__="upp"}}: expected {NO_SERIES}, found upp; did you mean up?',
        ),
        (
            'up{service="a" or service="b"}',
            'up{ or service="a" or service="b"}: expected matchers joined by commas, found or',
        ),
        ("absent(ups)", f"ups: expected {NO_SERIES}, found ups; did you mean up?"),
        ("sum(up", "sum(up: expected PromQL, found unclosed left parenthesis"),
        ("rate(up)", "rate(up): expected PromQL, found expected type matrix in call to function 'rate', got vector"),
    ],
)
def test_a_query_that_cannot_have_data_is_found(query: str, message: str) -> None:
    """Selector, what was expected, what stands there, and the nearest name."""
    _, faults = examine(query, KNOWN)

    assert [str(fault) for fault in faults] == [message]


@pytest.mark.parametrize(
    "query",
    [
        f"histogram_quantile(0.9, sum by (service, le) (rate({BUCKET}[5m])))",
        f"histogram_quantile(0.9, sum without (pod, instance) (rate({BUCKET}[5m])))",
        f'sum(rate({BUCKET}{{le=~"0.25|1.0|\\\\+Inf"}}[5m]))',
        f"sum by (service) (rate({COUNT}[5m])) / on (service) group_left sum by (service) (up)",
        f"sum(rate({COUNT}[5m])) or vector(0)",
        "sum by (service) (up) or sum by (pod) (up)",
        "topk(3, sum by (pod) (up))",
        'sum by (value) (count_values("value", up))',
        'sum by (zone) (label_replace(up, "zone", "$1", "pod", "(.*)"))',
        'ALERTS{alertname="ErrorBudgetBurn",anything="goes"}',
        "sum by (anything) (ALERTS)",
        'absent(up{service="a"}) * on (service) group_left up',
        "time() - process_start_time_seconds > 60",
        "max_over_time(sum by (service) (up)[1h:1m])",
        "-up + 1",
        'up{service="a"} unless on (pod) up{track="canary"}',
        "up and ignoring (version) up",
        "sum by (service) (up) == bool 1",
        "rate(prometheus_rule_evaluation_failures_total[5m] offset 1h)",
        f'{{__name__=~"{COUNT}|{BUCKET}",http_route="/"}}',
        'up{pod=~"[[:alpha:]]+"}',
        "scalar(sum(up)) * up",
    ],
)
def test_a_query_that_may_have_data_is_left_alone(query: str) -> None:
    """What cannot be known is not reported: a false alarm here would stop someone's build."""
    _, faults = examine(query, KNOWN)

    assert [str(fault) for fault in faults] == []


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("sum by (service) (up)", {"service"}),
        ("sum(up)", set()),
        ("sum without (pod, instance, job, cluster, version, track) (up)", {"namespace", "service"}),
        ('absent(up{service="a",pod!="b"})', {"service"}),
        ("topk by (service) (1, sum by (service, pod) (up))", {"service", "pod"}),
        ("sum by (service, pod) (up) / on (service) sum by (service) (up)", {"service"}),
        ("sum by (service) (up) * on (service) group_right () sum by (service, pod) (up)", {"service", "pod"}),
        ("sum by (pod, service) (up) / ignoring (pod) sum by (service) (up)", {"service"}),
        ('label_join(sum by (pod) (up), "both", "-", "pod")', {"pod", "both"}),
        (f"histogram_quantile(0.5, sum by (le, pod) (rate({BUCKET}[5m])))", {"pod"}),
        ("sum by (service) (up) or sum by (pod) (up)", {"service", "pod"}),
    ],
)
def test_the_labels_of_an_expression_are_known(query: str, labels: set[str]) -> None:
    """They are what a recorded series can be asked by."""
    shape, _ = examine(query, KNOWN)

    assert shape.labels == labels


SUM = "http_server_request_duration_seconds_sum"
USED = "process_unix_file_descriptor_utilization_ratio"
P99 = f"histogram_quantile(0.99, sum by (le) (rate({BUCKET}[5m])))"


@pytest.mark.parametrize(
    ("query", "expected", "found", "near"),
    [
        (f"{P99} > 250", "a threshold of less than 10 s", "250", "0.25, which is 250 ms"),
        (f"{P99} * 1000 > 2e6", "a threshold of less than 10000 ms", "2e+06", "2000, which is 2e+06 us"),
        (f"250 < {P99}", "a threshold of less than 10 s", "250", "0.25, which is 250 ms"),
        (f"{P99} >= 5 * 60", "a threshold of at most 10 s", "300", "0.3, which is 300 ms"),
        (
            f"rate({SUM}[5m]) / rate({COUNT}[5m]) > 250",
            "a threshold of less than 100 s",
            "250",
            "0.25, which is 250 ms",
        ),
        (f"{USED} > 80", "a threshold of less than 1", "80", "0.8, which is 80 percent"),
        (f"{USED} * 100 > 800", "a threshold of less than 100 %", "800", None),
        ("absent(up) == bool 2", "a threshold of at most 1", "2", "0.02, which is 2 percent"),
        (f"sum({USED})", "numbers whose sum means something", "a share of each", "max or avg"),
        (f"sum({P99})", "numbers whose sum means something", "a quantile of each", "max or avg"),
        (
            f"sum(rate({SUM}[5m]) / rate({COUNT}[5m]))",
            "numbers whose sum means something",
            "a mean of each",
            "max or avg",
        ),
        ("process_start_time_seconds > process_memory_usage_bytes", "one unit on both sides of >", "s and By", None),
        ("time() - process_memory_usage_bytes", "one unit on both sides of -", "s and By", None),
        (f"{P99} * 1000 + {P99}", "one unit on both sides of +", "ms and s", None),
        (f"rate({SUM}[5m]) > increase({SUM}[5m])", "one unit on both sides of >", "1 and s", None),
        (f"rate({COUNT}[30s])", "a window of at least 1m, four scrapes, in rate()", "30s", None),
        (f"deriv({COUNT}[5m])", "a gauge in deriv()", f"the counter {COUNT}", "rate"),
        (f"delta({COUNT}[5m])", "a gauge in delta()", f"the counter {COUNT}", "rate"),
        (
            f"histogram_avg(rate({COUNT}[5m]))",
            "a native histogram in histogram_avg()",
            f"rate({COUNT}[5m]), which is none",
            None,
        ),
        ('label_replace(sum(up), "a", "$1", "pod", "(.*)")', "a label to make another of that is there", "pod", None),
    ],
)
def test_numbers_that_do_not_go_together_are_found(query: str, expected: str, found: str, near: str | None) -> None:
    """Thresholds in another unit, which never fire; sums of averages; windows with too few scrapes."""
    _, faults = examine(query, KNOWN, Setting(rate_window=timedelta(minutes=1)))

    assert [(fault.expected, fault.found, fault.nearest) for fault in faults] == [(expected, found, near)]


@pytest.mark.parametrize(
    "query",
    [
        f"{P99} > 0.25",
        f"{P99} * 1000 > 250",
        f"{P99} >= 10",
        f"sum by (pod) (rate({SUM}[5m])) / sum by (pod) (rate({COUNT}[5m])) > 5",
        f"avg({USED}) > 0.8",
        f"{USED} * 100 > 80",
        f"max_over_time({USED}[1h]) > 0.8 and {USED} > 0.5",
        f"predict_linear({USED}[1h], 3600) > 1",
        "time() - process_start_time_seconds < 300",
        f"rate({COUNT}[5m]) > 2 * rate({COUNT}[5m] offset 1w)",
        "process_memory_usage_bytes / 1024 / 1024 > 512",
        f"rate({COUNT}[1m]) or vector(0)",
        "quarterdeck_worker_busy / quarterdeck_worker_capacity > 0.9",
        "sum(rate(process_cpu_time_seconds_total[5m])) > 2",
        f"max_over_time(sum(rate({COUNT}[5m]))[1h:] @ end() offset 5m)",
        f"irate({COUNT}[30s]) # two samples are enough",
        '{"up", "pod"="a"}',
        "avg_over_time(process_unix_file_descriptor_count[5m] @ start()) > bool 10",
    ],
)
def test_numbers_that_go_together_are_left_alone(query: str) -> None:
    """Units are carried through rates, quotients, conversions and comparisons."""
    _, faults = examine(query, KNOWN, Setting(rate_window=timedelta(minutes=1)))

    assert [str(fault) for fault in faults] == []


@pytest.mark.parametrize(
    "query",
    ["(" * 30_000 + "up" + ")" * 30_000, "-" * 30_000 + "up", "up + " * 30_000 + "up", "up + " * 800 + "up"],
    ids=["brackets", "signs", "operators", "many operators"],
)
def test_a_query_that_is_too_deep_is_a_finding(query: str) -> None:
    """The parser would end the process, and a walk of its tree this one's."""
    _, faults = examine(query, KNOWN)

    assert [fault.expected for fault in faults] == ["PromQL"]
