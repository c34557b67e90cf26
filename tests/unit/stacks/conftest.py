"""What a Pulumi program tells the engine, without an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_dashboards.catalogue import parse
from quarterdeck_stacks.capture import capture
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import StackConfig, load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_stacks.capture import Registration

CATALOGUE = """\
version: 1
runbook_base_url: https://example.com/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: registry.example.com/shop/checkout:1.4.2
    port: 8000
    replicas: 3
    health: /health
    slos:
      - {name: availability, kind: availability, objective: 99.5, window: 30d}
  - name: worker
    namespace: default
    owner: payments
    image: registry.example.com/shop/worker:7
    replicas: 1
"""


@pytest.fixture
def registered() -> Callable[[Callable[[], object]], list[Registration]]:
    """Return a function that runs a program and returns what it registers, in order."""

    def run(program: Callable[[], object]) -> list[Registration]:
        return capture(program, project="quarterdeck", stack="local", config=StackConfig({}, frozenset()))

    return run


@pytest.fixture
def catalogue_text() -> str:
    """Return a catalogue of two services: `checkout`, three replicas in `shop`, and `worker`, one in `default`."""
    return CATALOGUE


@pytest.fixture
def catalogue(catalogue_text: str) -> Catalogue:
    """Return that catalogue, read."""
    return parse(catalogue_text, origin="services.yaml")


@pytest.fixture
def service(catalogue: Catalogue) -> Service:
    """Return `checkout`."""
    return catalogue.service("checkout")


@pytest.fixture
def local_objects(root: Path) -> Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]:
    """Return a function that renders this repository's stack `local`: (kind, namespace, name) to object."""

    def objects(*overrides: str) -> dict[tuple[str, str | None, str], dict[str, Any]]:
        project = load_project(root)
        rendering = render(project, "local", load_stack(project, "local", overrides))
        found = [clean(each) for each in rendering.objects]
        return {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in found}

    return objects
