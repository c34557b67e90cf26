"""Datadog's own API description as a judge: is this call, is this answer, what it says?"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

VARIABLE = "QUARTERDECK_DATADOG_OPENAPI"
"""Environment variable with the path of the description, where it is not beside the checkout."""
_ROOT = Path(__file__).parents[3]
FILE = Path(os.environ.get(VARIABLE) or _ROOT.parent / "shared" / "datadog" / "openapi-v1.yaml")
"""Datadog publishes it with its API clients (`.generator/schemas/v1/openapi.yaml`); it is not part of the project."""

_SELF = "urn:description"


class Description:
    """Operations by method and path, and their schemas."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._registry: Registry[Any] = Registry().with_resource(
            _SELF, Resource(contents=document, specification=DRAFT4)
        )
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "([^/]+)", path)), operations)
            for path, operations in document["paths"].items()
        ]

    def request(self, method: str, path: str, query: dict[str, str], body: Any) -> list[str]:
        """Return what is wrong with a call."""
        operation = self._operation(method, path)
        if operation is None:
            return [f"there is no {method} {path}"]
        wrong = list(self._parameters(operation, query))
        content = operation.get("requestBody", {}).get("content")
        if content is not None:
            wrong += self._mismatches(OAS30WriteValidator, content["application/json"]["schema"], body)
        elif body is not None:
            wrong.append(f"{method} {path} has no body")
        return wrong

    def answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """Return what is wrong with an answer. Server errors are in no description."""
        operation = self._operation(method, path)
        if operation is None or status >= 500:
            return []
        said = operation["responses"].get(str(status))
        if said is None:
            return [f"{method} {path} does not answer {status}"]
        said = self._resolved(said)
        content = said.get("content")
        if content is None:
            return [] if body is None else [f"{status} has no body"]
        return self._mismatches(OAS30ReadValidator, content["application/json"]["schema"], body)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        found = [each for pattern, each in self._paths if pattern.fullmatch(path) and method.lower() in each]
        return found[0][method.lower()] if found else None

    def _parameters(self, operation: dict[str, Any], query: dict[str, str]) -> list[str]:
        known = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        wrong = [f"there is no parameter {name}" for name in query if name not in known]
        for name in query.keys() & known.keys():
            value: Any = int(query[name]) if known[name]["type"] == "integer" else query[name]
            wrong += self._mismatches(OAS30WriteValidator, known[name], value)
        return wrong

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        return self._registry.resolver(_SELF).lookup(f"{_SELF}{node['$ref']}").contents

    def _mismatches(self, validator: Any, schema: dict[str, Any], value: Any) -> list[str]:
        absolute = _with_base(schema)
        return [
            f"{error.json_path}: {error.message[:300]}"
            for error in validator(absolute, registry=self._registry).iter_errors(value)
        ]


def _with_base(schema: Any) -> Any:
    """Have references be of the description; inside it they are resolved where they stand."""
    if isinstance(schema, dict):
        return {name: f"{_SELF}{value}" if name == "$ref" else _with_base(value) for name, value in schema.items()}
    return [_with_base(each) for each in schema] if isinstance(schema, list) else schema


@cache
def description() -> Description:
    """Return the description; reading it costs two seconds."""
    return Description(yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


class Unjudged:
    """Finds nothing wrong: for tests that mean something where the description is not there, too."""

    def request(self, method: str, path: str, query: dict[str, str], body: Any) -> list[str]:
        """Find nothing wrong with a call."""
        return []

    def answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """Find nothing wrong with an answer."""
        return []


def judge() -> Description | Unjudged:
    """Return the description, where it is there."""
    return description() if FILE.exists() else Unjudged()
