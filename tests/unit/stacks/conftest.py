"""What a Pulumi program tells the engine, without an engine."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_dashboards.catalogue import parse
from quarterdeck_stacks.capture import capture
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import StackConfig, load_project, load_stack
from quarterdeck_stacks.render import render
from quarterdeck_stacks.settings import parse as parse_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_stacks.capture import Registration
    from quarterdeck_stacks.settings import Settings

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
def settings_of(root: Path) -> Callable[..., Settings]:
    """Return a function that reads this repository's stack *env*, with overrides `key=value`."""

    def read(env: str, *overrides: str) -> Settings:
        project = load_project(root)
        prefix = f"{project.name}:"
        values = load_stack(project, env, overrides).values
        return parse_settings(env, {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)})

    return read


@pytest.fixture
def objects_of(root: Path) -> Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]:
    """Return a function that renders this repository's stack *env*: (kind, namespace, name) to object."""

    def objects(env: str, *overrides: str) -> dict[tuple[str, str | None, str], dict[str, Any]]:
        project = load_project(root)
        rendering = render(project, env, load_stack(project, env, overrides))
        found = [clean(each) for each in rendering.objects]
        return {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in found}

    return objects


@pytest.fixture(scope="session")
def rendered(root: Path) -> Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]:
    """Return a function that does so once for the same stack and overrides: what it returns is only to be looked at."""

    @functools.cache
    def objects(env: str, *overrides: str) -> dict[tuple[str, str | None, str], dict[str, Any]]:
        project = load_project(root)
        found = [clean(each) for each in render(project, env, load_stack(project, env, overrides)).objects]
        return {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in found}

    return objects


@pytest.fixture
def local_objects(
    objects_of: Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]],
) -> Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]:
    """Return a function that does so with the stack `local`."""
    return functools.partial(objects_of, "local")
