"""OpenAPI documents: one objective for each operation, asked for by the route that serves it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from quarterdeck_dashboards.catalogue import load, parse, portable
from quarterdeck_dashboards.catalogue.openapi import Operation, operations
from quarterdeck_dashboards.catalogue.problem import FileError
from quarterdeck_dashboards.slo.rules import recording_rules

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: users
    namespace: shop
    owner: accounts
    image: registry.example/users:v1
    openapi: {document}
    slos:
      - {{name: available, kind: availability, objective: 99.5, each: operation}}
      - {{name: quick, kind: latency, objective: 99, threshold: 1s, operation: {operation}}}
"""
DOCUMENT = """\
openapi: 3.1.0
paths:
  /users:
    parameters: []
    get: {operationId: listUsers}
    post: {operationId: createUser}
  /users/{id}/orders.json:
    get: {operationId: orders_of-user}
    head: {summary: no id}
"""


def _parsed(document: str, operation: str = "createUser") -> str:
    try:
        parse(CATALOGUE.format(document="api.yaml", operation=operation), "services.yaml", lambda _: document)
    except FileError as error:
        (problem,) = error.problems
        return problem.describe("services.yaml")
    return ""


def test_operations_are_read_from_yaml() -> None:
    """What has no operationId is no operation that could be named."""
    assert operations(DOCUMENT) == (
        Operation("listUsers", "GET", "/users"),
        Operation("createUser", "POST", "/users"),
        Operation("orders_of-user", "GET", "/users/{id}/orders.json"),
    )


def test_each_operation_has_an_objective_of_its_own(tmp_path: Path) -> None:
    """From the file beside the catalogue, named after the operation, narrowed to its route and method."""
    (tmp_path / "api.yaml").write_text(DOCUMENT)
    (tmp_path / "services.yaml").write_text(CATALOGUE.format(document="api.yaml", operation="createUser"))

    slos = load(tmp_path / "services.yaml").service("users").slos

    assert [(slo.name, slo.method, slo.route) for slo in slos] == [
        ("available-list-users", "GET", "/users"),
        ("available-create-user", "POST", "/users"),
        ("available-orders-of-user", "GET", "/users/{id}/orders.json"),
        ("quick", "POST", "/users"),
    ]


def test_what_is_written_down_needs_no_document(tmp_path: Path) -> None:
    """The cluster's copy of the catalogue has no files beside it; one without documents is kept as it was written."""
    text = CATALOGUE.format(document="api.yaml", operation="createUser")
    catalogue = parse(text, "services.yaml", lambda _: DOCUMENT)
    plain = text.replace("    openapi: api.yaml\n", "").split("    slos:")[0]

    assert parse(portable(text, catalogue), "ConfigMap") == catalogue
    assert portable(plain, parse(plain, "services.yaml")) == plain


def test_names_that_are_too_long_or_alike_are_told_apart() -> None:
    """FastAPI's own operationIds are long; two may differ only in what a name cannot hold."""
    app = FastAPI()
    for path in ("/warehouses/{warehouse}/shelves/{shelf}/items", "/warehouses/{warehouse}/shelves/{shelf}/items2"):
        app.get(path)(lambda: None)
    document = app.openapi()
    document["paths"] |= {"/a": {"get": {"operationId": "get_a"}}, "/b": {"get": {"operationId": "getA"}}}
    text = CATALOGUE.format(document="api.json", operation="getA")

    slos = parse(text, "services.yaml", lambda _: json.dumps(document)).service("users").slos

    names = [slo.name for slo in slos]
    assert len(set(names)) == len(names) == 5
    assert max(map(len, names)) == 50
    assert names[-3] == "available-get-a"
    assert re.fullmatch(r"available-get-a-[0-9a-f]{6}", names[-2])


@pytest.mark.parametrize(
    ("route", "matches"),
    [
        ("/users/{id}/orders.json", True),
        ("/users/<int:id>/orders.json", True),
        ("users/<id>/orders.json/", True),
        ("/users/{id:int}/orders.json", True),
        ("/users/{id}/orders-json", False),
        ("/users/me/orders.json", False),
        ("/v2/users/{id}/orders.json", False),
    ],
)
def test_a_path_is_asked_for_as_any_framework_writes_it(route: str, *, matches: bool) -> None:
    """FastAPI, Flask, Django and Litestar spell parameters differently; nothing else is loose."""
    text = CATALOGUE.format(document="api.yaml", operation="orders_of-user")
    service = parse(text, "services.yaml", lambda _: DOCUMENT).service("users")

    events = recording_rules(service, service.slos[-1], timedelta(seconds=15))[0].expr

    (quoted,) = re.findall(r'http_route=~("(?:[^"\\]|\\.)*")', events)
    assert (re.fullmatch(json.loads(quoted), route) is not None) is matches


def test_an_unknown_operation_is_answered_with_the_nearest() -> None:
    """Where it is written, with the document's name."""
    assert _parsed(DOCUMENT, "createUsr") == (
        "services.yaml:11:79: services[0].slos[1].operation: expected an operationId of api.yaml, found 'createUsr'; "
        "did you mean createUser?"
    )


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("{", "text that is neither JSON nor YAML"),
        ("[]", "no `paths`"),
        ("paths: {/users: {get: {}}}", "no operation with an operationId"),
        ("paths: {/a: {get: {operationId: x}}, /b: {get: {operationId: x}}}", "the operationId x twice"),
    ],
)
def test_a_document_that_is_none_is_said_to_be(document: str, found: str) -> None:
    """In the line that names it."""
    assert _parsed(document) == (
        f"services.yaml:8:14: services[0].openapi: expected an OpenAPI document in api.yaml, found {found}"
    )
