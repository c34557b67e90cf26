"""Users' dashboards against the contract: every query in a file of Grafana's or Datadog's, wherever it is in it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.check import files, run
from quarterdeck_dashboards.check.datadog import Knowledge
from quarterdeck_dashboards.check.known import Environment
from quarterdeck_dashboards.check.run import Sources, examine
from quarterdeck_dashboards.check.template import substituted
from quarterdeck_dashboards.command import contract as command
from quarterdeck_dashboards.dashboards import files as dashboard_files
from quarterdeck_dashboards.series import SYNTHETIC, by_name, contract, external

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

KNOWN = {**contract(), **external(), **by_name(SYNTHETIC)}
WINDOW = timedelta(minutes=1)
BUCKET = "http_server_request_duration_seconds_bucket"
P99 = f"histogram_quantile(0.99, sum by (le) (rate({BUCKET}[5m])))"
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
NO_SERIES = "a series of the contract, a recorded rule or an external list"


@pytest.fixture
def found(catalogue: Catalogue, tmp_path: Path) -> Any:
    """Return a function from a document to what is found in it, without its path."""

    def check(document: Any) -> list[str]:
        file = tmp_path / "own.json"
        file.write_text(json.dumps(document))
        asked = files.read([file], WINDOW)
        sources = Sources((), known=KNOWN, questions=asked.questions, datadog=Knowledge())
        return [str(each).removeprefix(f"{tmp_path}/") for each in examine(catalogue, sources).findings]

    return check


def test_every_query_of_a_grafana_dashboard_is_found_where_it_stands(found: Any) -> None:
    """In panels, rows, variables, annotations; those of other data sources and libraries are left alone."""
    document = {
        "templating": {
            "list": [
                {
                    "name": "pod",
                    "type": "query",
                    "datasource": PROMETHEUS,
                    "query": {"query": "label_values(upp, pod)"},
                },
                {"name": "host", "type": "query", "datasource": PROMETHEUS, "query": "label_values(up, hst)"},
                {"name": "log", "type": "query", "datasource": {"type": "loki"}, "query": "label_values(upp, pod)"},
            ]
        },
        "annotations": {"list": [{"name": "new", "datasource": PROMETHEUS, "expr": "changes(ups[5m])"}]},
        "panels": [
            {"title": "Up", "datasource": PROMETHEUS, "targets": [{"expr": "upo"}, {"expr": 'up{pod=~"$pod"}'}]},
            {"type": "row", "panels": [{"title": "Inner", "targets": [{"expr": "rate(up[$__rate_interval])"}]}]},
            {"title": "Logs", "datasource": {"type": "loki"}, "targets": [{"expr": '{app="a"}'}]},
            {"title": "Shared", "libraryPanel": {"uid": "a"}},
        ],
    }

    assert found(document) == [
        f"own.json: templating.list[0].query ($pod): upp: expected {NO_SERIES}, found upp; did you mean up?",
        (
            "own.json: templating.list[1].query ($host): group by (hst)(up): expected a label to aggregate by that is "
            "there, found hst"
        ),
        f"own.json: annotations.list[0].expr: ups: expected {NO_SERIES}, found ups; did you mean up?",
        f"own.json: panels[0].targets[0].expr (Up): upo: expected {NO_SERIES}, found upo; did you mean up?",
        (
            "own.json: panels[1].panels[0].targets[0].expr (Inner): rate(up[1m]): expected a counter in rate(), "
            "found the gauge up"
        ),
    ]


def test_the_newer_model_of_grafana_is_read_too(found: Any) -> None:
    """A dashboard as a resource, with elements."""
    query = {"kind": "DataQuery", "group": "prometheus", "spec": {"expr": "upo"}}
    other = {"kind": "DataQuery", "group": "loki", "spec": {"expr": "{a=}"}}
    targets = {"spec": {"queries": [{"spec": {"query": query}}, {"spec": {"query": other}}]}}
    document = {"kind": "Dashboard", "spec": {"elements": {"panel-1": {"spec": {"title": "Up", "data": targets}}}}}

    assert [each.partition(": expected")[0].rpartition(" ")[2] for each in found(document)] == ["upo"]


@pytest.mark.parametrize(
    ("unit", "steps", "message"),
    [
        ("ms", [], "expected numbers in ms, which the panel shows, found numbers in s"),
        ("s", [250], "expected a threshold of at most 10 s, found 250; did you mean 0.25, which is 250 ms?"),
        ("s", [0.25], None),
        ("short", [250], None),
    ],
)
def test_a_panel_shows_numbers_in_their_unit(found: Any, unit: str, steps: list[float], message: str | None) -> None:
    """Its thresholds too. Where the unit says nothing, nothing is said."""
    thresholds = {"mode": "absolute", "steps": [{"color": "red", "value": step} for step in (None, *steps)]}
    panel = {"targets": [{"expr": P99}], "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds}}}

    assert [each.rpartition(": expected")[2] for each in found({"panels": [panel]})] == (
        [message.removeprefix("expected")] if message else []
    )


def test_every_query_of_a_datadog_dashboard_is_found_where_it_stands(found: Any) -> None:
    """Old and new requests, formulas, groups."""
    document = {
        "title": "Shop",
        "widgets": [
            {"definition": {"title": "Old", "requests": [{"q": "avg:quarterdeck.worker{*}"}]}},
            {
                "definition": {
                    "title": "Group",
                    "widgets": [
                        {
                            "definition": {
                                "title": "New",
                                "requests": [
                                    {
                                        "queries": [
                                            {
                                                "data_source": "metrics",
                                                "name": "a",
                                                "query": "sum:quarterdeck.workers{$env}.as_rate()",
                                            },
                                            {"data_source": "logs", "name": "b", "search": {"query": "x"}},
                                        ],
                                        "formulas": [{"formula": "a / c"}, {"formula": "a / b"}],
                                    }
                                ],
                            }
                        }
                    ],
                }
            },
        ],
    }

    inner = "widgets[1].definition.widgets[0].definition.requests[0]"
    assert found(document) == [
        (
            "own.json: widgets[0].definition.requests[0].q (Old): avg:quarterdeck.worker{*}: expected a metric of the "
            "contract or of Datadog's integrations, found quarterdeck.worker; did you mean quarterdeck.workers?"
        ),
        f"own.json: {inner}.formulas[0].formula (New): c: expected a or b, found c",
        (
            f"own.json: {inner}.queries[0].query (New): sum:quarterdeck.workers{{$env}}.as_rate(): expected "
            "a counter for .as_rate(), found the gauge quarterdeck.workers"
        ),
    ]


def test_monitors_and_objectives_of_datadog_are_read(found: Any) -> None:
    """By their type."""
    monitor = {"type": "query alert", "name": "Slow", "query": "avg(last_5m):p99:http.server.request.duration{*} > 250"}
    objective = {
        "type": "metric",
        "name": "Good",
        "query": {"numerator": "sum:a.b{*}", "denominator": "sum:trace.c{*}"},
    }

    assert "did you mean 0.25, which is 250 ms?" in found(monitor)[0]
    assert [each.partition(": expected")[0] for each in found(objective)] == [
        "own.json: query.numerator (Good): sum:a.b{*}"
    ]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('up{pod=~"$pod"}', 'up{pod=~"quarterdeck_placeholder"}'),
        ('up{pod="[[pod]]"}', 'up{pod="quarterdeck_placeholder"}'),
        ('up{pod=~"${pod:regex}"}', 'up{pod=~"quarterdeck_placeholder"}'),
        ("rate(a[$__rate_interval])", "rate(a[1m])"),
        ("rate(a[$__interval])", "rate(a[15s])"),
        ("rate(a[$window] offset $window)", "rate(a[10m] offset 10m)"),
        ("a[$pod]", "a[5m]"),
        ("topk($most, a)", "topk(5, a)"),
        ('label_replace(a, "b", "$1", "c", "(.*)")', 'label_replace(a, "b", "$1", "c", "(.*)")'),
        ("sum by ($pod) (a) / $__range_s", "sum by (quarterdeck_placeholder) (a) / 3600"),
    ],
)
def test_variables_are_replaced_by_what_can_stand_there(text: str, result: str) -> None:
    """In each of Grafana's spellings: durations, numbers, names and values."""
    assert substituted(text, {"pod": "", "window": "10m", "most": "5"}, WINDOW) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "to be JSON"), ("[1]", "found no object"), ('{"a": 1}', "found an object with the keys a")],
    ids=["no JSON", "a list", "something else"],
)
def test_a_file_that_is_no_dashboard_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    """It says what it is instead."""
    (tmp_path / "own.json").write_text(text)

    with pytest.raises(UsageError) as caught:
        files.read([tmp_path / "own.json"])

    assert message in str(caught.value).replace("Found", "found")


def test_findings_are_printed_for_programs_too(root: Path, tmp_path: Path) -> None:
    """As JSON on stdout, with exit code 1; a wrong path is exit code 2."""
    (tmp_path / "own.json").write_text(json.dumps({"panels": [{"targets": [{"expr": "upo"}]}]}))
    options = ["check", "--services", str(root / "services.yaml"), "--output", "json", str(tmp_path)]

    ended = CliRunner().invoke(command, options, standalone_mode=False)

    assert ended.return_value == 1
    (own,) = (each for each in json.loads(ended.stdout)["findings"] if "own.json" in each["where"])
    assert own == {
        "where": f"{tmp_path}/own.json: panels[0].targets[0].expr",
        "query": "upo",
        "expected": NO_SERIES,
        "found": "upo",
        "nearest": "up",
    }


def test_the_generated_dashboards_are_read_without_a_finding(catalogue: Catalogue, tmp_path: Path) -> None:
    """As files, every query of each panel: what is drawn is what was checked."""
    tree = dashboard_files.generated(catalogue)
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = Environment(timedelta(seconds=15))

    result = examine(catalogue, run.sources(catalogue, environment, [tmp_path]))

    drawn = files.read([tmp_path], environment.rate_window).questions
    assert [finding for finding in result.findings if str(tmp_path) in finding.where] == []
    assert len(drawn) > 10 * len(tree) / 2


def test_what_else_is_in_a_folder_is_left_alone(tmp_path: Path) -> None:
    """Provisioned data sources, other programs' JSON; a file that is named has to be what it should."""
    (tmp_path / "datasources.yaml").write_text("apiVersion: 1\n")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "rules.yml").write_text("groups: [{name: a, rules: [{record: b, expr: up}]}]\n")

    asked = files.read([tmp_path])

    assert [rule.name for rule in asked.rules] == ["b"]
    assert asked.questions == ()
    with pytest.raises(UsageError):
        files.read([tmp_path / "datasources.yaml"])


@pytest.mark.parametrize("value", [None, 1, True, "x", [], [None], {}, {"a": [1]}], ids=str)
def test_a_dashboard_of_another_shape_is_read_as_far_as_it_goes(tmp_path: Path, value: Any) -> None:
    """Whatever stands where lists and objects are expected, at each place of one of ours in turn."""
    panel = {
        "title": "Up",
        "type": "timeseries",
        "datasource": PROMETHEUS,
        "targets": [{"expr": "up"}],
        "fieldConfig": {
            "defaults": {"unit": "s", "thresholds": {"mode": "absolute", "steps": [{"value": 1}]}},
            "overrides": [{"properties": [{"id": "unit"}]}],
        },
    }
    variable = {"name": "a", "type": "query", "current": {"value": "b"}, "query": {"query": "label_values(up, pod)"}}
    request = {"queries": [{"data_source": "metrics", "name": "a", "query": "avg:system.load.1{*}"}], "formulas": [{}]}
    grafanas = {"panels": [panel], "templating": {"list": [variable]}}
    datadogs = {"title": "a", "widgets": [{"definition": {"type": "a", "requests": [request]}}]}

    for document in (grafanas, datadogs):
        for path in _places(document):
            (tmp_path / "own.json").write_text(json.dumps(_replaced(document, path, value)))
            assert files.read([tmp_path / "own.json"], WINDOW).rules == ()


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value within *node*."""
    for key, each in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from _places(each, (*path, key))


def _replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = node.copy()
    copy[path[0]] = _replaced(node[path[0]], path[1:], value)
    return copy
