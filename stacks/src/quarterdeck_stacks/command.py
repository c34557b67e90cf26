"""`quarterdeck stack`: the Pulumi program without the Pulumi CLI."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, QuarterdeckError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.changes import Comparison
    from quarterdeck_stacks.manifests import Manifest
    from quarterdeck_stacks.project import Project, StackConfig

F = TypeVar("F", bound="Callable[..., Any]")


@click.group()
def stack() -> None:
    """Look at what the Pulumi program of an environment describes."""


def _env_option(command: F) -> F:
    return click.option(
        "--env",
        "env",
        envvar="QUARTERDECK_ENV",
        default="local",
        show_default=True,
        help="Environment: the stack whose Pulumi.<env>.yaml is read.",
    )(command)


def _config_option(command: F) -> F:
    return click.option(
        "--config",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one key of the stack's configuration for this once. May be repeated.",
    )(command)


@stack.command()
@_env_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file an object into this folder instead of stdout; files of an earlier rendering are replaced.",
)
@click.option(
    "--diff",
    "against",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write no objects but what differs from the rendering in this folder, and what that restarts. Exit code as "
    "of diff: 0 without differences, 1 with, 2 when it failed.",
)
@_config_option
def render(env: str, out: Path | None, against: Path | None, overrides: tuple[str, ...]) -> int:
    """Write the environment's Kubernetes objects as YAML, in the order in which they are to be applied.

    It is the program that `pulumi up` runs, run without Pulumi: for GitOps, for review, and for clusters that
    `kubectl apply --server-side` manages. No cluster is asked. Secrets are left out, and named on stderr.
    """
    from quarterdeck_stacks.files import write  # noqa: PLC0415 -- YAML costs 20 ms, and --help reads none
    from quarterdeck_stacks.manifests import to_yaml  # noqa: PLC0415 -- likewise

    if against is not None and out is not None:
        raise UsageError("--out or --diff", "both", "compare first, then write")
    if against is not None:
        return _show_difference(env, overrides, against)
    _, _, objects = _rendered(env, overrides)
    texts = {name: to_yaml(each) for name, each in objects.items()}
    if out is None:
        click.echo("---\n".join(texts.values()), nl=False)
    else:
        count = write(texts, out, origin=f"quarterdeck stack render --env {env}")
        click.echo(f"{count} objects in {out}", err=True)
    return EXIT_DONE


@stack.command()
def expired() -> int:
    """Name the stacks of changes (`pr-N`) that have been there for longer than their `previewTtl`, one a line.

    Reads `kubectl get namespaces -o json` of dev's cluster from stdin, and destroys nothing:
    `… | quarterdeck stack expired | xargs -rn 1 pulumi destroy --yes --stack`.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 -- for this command alone

    from quarterdeck_stacks import expiry  # noqa: PLC0415 -- likewise

    try:
        items = json.load(sys.stdin)["items"]
        names = expiry.expired(items, datetime.now(UTC))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        expected, step = "a list of namespaces on stdin", "`kubectl get namespaces -o json | quarterdeck stack expired`"
        raise UsageError(expected, "something else", step) from error
    for name in names:
        click.echo(name)
    return EXIT_DONE


@stack.command()
@_env_option
@click.option(
    "--diff",
    "against",
    type=click.Path(file_okay=False, path_type=Path),
    help="Compare with the rendering in this folder instead of asking Pulumi for its preview.",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="WHAT=NUMBER",
    help="What a core (cpu), a GiB (memory, storage) or 100 custom metrics (datadog) cost in a month. May be repeated.",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
@_config_option
def plan(env: str, against: Path | None, prices: tuple[str, ...], output: str, overrides: tuple[str, ...]) -> int:
    """Say what an environment will cost, and what deploying it will change and restart.

    Series, samples and disk of Prometheus are predicted from the catalogue; what pods and volumes ask for is added up
    from the environment's objects. What changes is Pulumi's own preview where its CLI is on PATH.
    """
    from quarterdeck_stacks import plan_report  # noqa: PLC0415 -- the prediction's models cost 60 ms
    from quarterdeck_stacks.plan import parse_prices, plan_of  # noqa: PLC0415 -- likewise
    from quarterdeck_stacks.settings import parse  # noqa: PLC0415 -- likewise

    priced = parse_prices(prices)
    before = _read(against)
    project, config, manifests = _rendered(env, overrides)
    settings = parse(env, config.of_project(project.name))
    report = plan_of(settings, _deployed(manifests), manifests.values(), priced)
    compared = _compared(project, env, manifests, against, before, by_hand=bool(overrides))
    if output == "json":
        click.echo(json.dumps(plan_report.document(report, compared), indent=2))
    else:
        click.echo(plan_report.text(report, compared), nl=False)
    return EXIT_DONE


def _rendered(env: str, overrides: tuple[str, ...]) -> tuple[Project, StackConfig, dict[str, Manifest]]:
    """Render *env*, and say what is left out; return the objects by file name."""
    from quarterdeck_stacks.manifests import ordered  # noqa: PLC0415 -- YAML costs 20 ms, and --help reads none
    from quarterdeck_stacks.project import load_project, load_stack  # noqa: PLC0415 -- likewise
    from quarterdeck_stacks.render import render as run  # noqa: PLC0415 -- Pulumi's SDK costs 250 ms
    from quarterdeck_stacks.settings.keys import KeyRefusedError  # noqa: PLC0415 -- likewise

    project = load_project(Path.cwd())
    config = load_stack(project, env, overrides)
    try:
        rendering = run(project, env, config)
    except KeyRefusedError as error:
        raise error.in_arguments() if error.key in _keys(overrides) else error from None
    except UsageError as error:
        raise UsageError(error.expected, error.found, _as_given(error.next_step, overrides)) from error
    for left_out in rendering.left_out:
        click.echo(f"Left out: {left_out}", err=True)
    return project, config, ordered(rendering.objects)


def _read(folder: Path | None) -> list[Manifest]:
    from quarterdeck_stacks.files import read  # noqa: PLC0415 -- YAML costs 20 ms

    return read(folder) if folder is not None else []


def _deployed(manifests: Mapping[str, Manifest]) -> Catalogue:
    """Return the catalogue as the environment's facts carry it: with the stack's images and replicas in it."""
    from quarterdeck_contract.environment import EnvironmentFacts  # noqa: PLC0415 -- only a plan needs it
    from quarterdeck_contract.kubernetes import ENVIRONMENT_CONFIGMAP  # noqa: PLC0415 -- likewise
    from quarterdeck_dashboards.catalogue import parse  # noqa: PLC0415 -- pydantic costs 60 ms

    (facts,) = (each for each in manifests.values() if each["metadata"]["name"] == ENVIRONMENT_CONFIGMAP)
    return parse(EnvironmentFacts.from_data(facts["data"]).catalogue, "the environment's facts")


def _compared(
    project: Project,
    env: str,
    manifests: Mapping[str, Manifest],
    against: Path | None,
    before: list[Manifest],
    *,
    by_hand: bool,
) -> Comparison:
    """Return what changes: against a folder, or as Pulumi previews it, or why that is not known."""
    from quarterdeck_stacks import preview, pulumi_cli  # noqa: PLC0415 -- YAML costs 20 ms
    from quarterdeck_stacks.changes import Comparison, compare  # noqa: PLC0415 -- likewise

    if against is not None:
        return Comparison(str(against), compare(before, manifests.values()))
    if by_hand:
        return Comparison("Pulumi would keep what --config sets in the stack's file; compare with --diff", None)
    if not pulumi_cli.found():
        return Comparison("there is no Pulumi CLI on PATH; compare with a rendering by --diff", None)
    digest = pulumi_cli.preview(env, project.root)
    return Comparison("the stack's state, by `pulumi preview`", preview.changes_of(digest), preview.others_of(digest))


def _as_given(step: str, overrides: tuple[str, ...]) -> str:
    """Return a next *step* that sets keys in a stack's file with those set where --config gave them: it stands over it.

    >>> _as_given("`pulumi config set retention 3d` or longer", ("retention=1d",))
    '`--config retention=3d` or longer'
    >>> _as_given("`pulumi config set retention 3d` or longer", ("drain=3s",))
    '`pulumi config set retention 3d` or longer'
    """
    for key in _keys(overrides):
        step = re.sub(rf"`pulumi config set {re.escape(key)} ([^`]+)`", rf"`--config {key}=\1`", step)
        step = step.replace(f"`pulumi config rm {key}`", f"leave `--config {key}=…` out")
    return step


def _keys(overrides: tuple[str, ...]) -> set[str]:
    return {override.partition("=")[0].rpartition(":")[2] for override in overrides}


def _show_difference(env: str, overrides: tuple[str, ...], against: Path) -> int:
    from quarterdeck_stacks.changes import compare, restarts  # noqa: PLC0415 -- YAML costs 20 ms

    try:
        before = _read(against)
        _, _, after = _rendered(env, overrides)
    except QuarterdeckError as error:
        # 1 means that there are differences, here as in diff and kubectl diff.
        raise UsageError(error.expected, error.found, error.next_step) from error
    changes = compare(before, after.values())
    for each in changes:
        click.echo(f"# {each.summary}\n{each.diff}", nl=False)
    if not changes:
        return EXIT_DONE
    noticed = restarts(changes)
    click.echo(f"{len(changes)} objects differ from {against}; pods are restarted by {len(noticed)} of them", err=True)
    return EXIT_FAILED
