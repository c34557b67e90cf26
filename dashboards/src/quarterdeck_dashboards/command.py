"""`quarterdeck rules` and `quarterdeck contract`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

GENERATED = Path("dashboards/generated")
"""Where this repository keeps its generated files."""

LOCK = "docs/reference/contract.json"
"""Where this repository keeps the lock of its contract."""

services_option = click.option(
    "--services",
    type=click.Path(path_type=Path),
    default=Path("services.yaml"),
    show_default=True,
    help="The catalogue.",
)
_scrape_interval = click.option(
    "--scrape-interval",
    default="15s",
    show_default=True,
    help="Between two scrapes of a pod; decides how long a condition must last before it is an alert.",
)


def folder_option(help_text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add `--out`, the folder of generated files."""
    return click.option(
        "--out", type=click.Path(path_type=Path, file_okay=False), default=GENERATED, show_default=True, help=help_text
    )


def written(tree: Mapping[str, str], changed: Sequence[str], out: Path) -> int:
    """Say which paths of a generated *tree* were *changed* in *out*, and return the exit code."""
    for path in changed:
        click.echo(out / path)
    click.echo(f"{len(tree)} files, {len(changed)} changed.", err=True)
    return EXIT_DONE


def compared(tree: Mapping[str, str], difference: str, stale: str, group: str) -> int:
    """Say how what is committed differs from a generated *tree*, and return the exit code.

    Args:
        tree: what is generated now.
        difference: a diff, empty when there is none.
        stale: what to say when there is one.
        group: the command group whose `generate` mends it.
    """
    if not difference:
        click.echo(f"{len(tree)} files are as generated.", err=True)
        return EXIT_DONE
    click.echo(difference, nl=False)
    click.echo(f"{stale}: run `quarterdeck {group} generate`.", err=True)
    return EXIT_FAILED


@click.group()
def rules() -> None:
    """Recording rules, alerts, their proofs and routes, from services.yaml."""


@rules.command()
@services_option
@_scrape_interval
@folder_option("Folder to write to.")
def generate(services: Path, scrape_interval: str, out: Path) -> int:
    """Write rules, promtool tests and Alertmanager's configuration.

    Prints each path that changed.
    """
    from quarterdeck_dashboards import build  # noqa: PLC0415 -- pydantic and YAML cost 150 ms, --help needs neither

    tree = _tree(services, scrape_interval)
    return written(tree, build.write(tree, out), out)


@rules.command()
@services_option
@_scrape_interval
@folder_option("Folder with the committed files.")
def check(services: Path, scrape_interval: str, out: Path) -> int:
    """Compare the committed files with what the catalogue generates now.

    Prints the difference. Exit code 1 when there is one.
    """
    from quarterdeck_dashboards import build  # noqa: PLC0415 -- as above

    tree = _tree(services, scrape_interval)
    return compared(tree, build.differences(tree, out), f"{out} is not what {services} generates", "rules")


@rules.command()
def schema() -> int:
    """Print the JSON Schema of services.yaml, for editors."""
    import json  # noqa: PLC0415 -- only this command needs it

    from quarterdeck_dashboards.catalogue.model import json_schema  # noqa: PLC0415 -- as above

    click.echo(json.dumps(json_schema(), indent=2))
    return EXIT_DONE


@click.group()
def contract() -> None:
    """The telemetry contract: what is emitted, and whether every query asks for that."""


_files = click.argument("files", nargs=-1, type=click.Path(path_type=Path))
_output = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)


@contract.command("check")
@services_option
@_scrape_interval
@click.option(
    "--external",
    "expositions",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A recorded /metrics page of another program, whose series may be asked for. May be repeated.",
)
@click.option(
    "--path",
    type=click.Choice(["scrape", "collector", "otlp"]),
    default="scrape",
    show_default=True,
    help="How metrics reach the environment's Prometheus.",
)
@click.option(
    "--translation",
    type=click.Choice(
        [
            *("UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"),
            *("NoUTF8EscapingWithSuffixes", "NoTranslation"),
        ]
    ),
    default="UnderscoreEscapingWithSuffixes",
    show_default=True,
    help="How the collector, or Prometheus' OTLP receiver, spells names.",
)
@click.option("--datadog-tag", "tags", multiple=True, help="A tag that your Datadog agents add. May be repeated.")
@_output
@_files
def check_contract(
    *,
    services: Path,
    scrape_interval: str,
    expositions: tuple[Path, ...],
    path: str,
    translation: str,
    tags: tuple[str, ...],
    output: str,
    files: tuple[Path, ...],
) -> int:
    """Check every query against what is really emitted.

    Those of generated rules and dashboards, gates and runbooks, and of FILES: Prometheus rule files, dashboards of
    Grafana's and Datadog's as JSON, Datadog's monitors, or folders of them. Prints each finding. Exit code 1 when there
    is one. Needs no cluster and no Prometheus.
    """
    from quarterdeck_contract import naming  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.check import run  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.check.known import Environment  # noqa: PLC0415 -- as above

    interval = _duration(scrape_interval)
    environment = Environment(interval, naming.Path(path), naming.Translation(translation))
    result = run.check(
        load(services),
        scrape_interval=interval,
        files=files,
        expositions=expositions,
        environment=environment,
        tags=tags,
    )
    if output == "json":
        findings = [finding.document() for finding in result.findings]
        _json({"queries": result.queries, "alerts": result.alerts, "findings": findings})
    else:
        for finding in result.findings:
            click.echo(finding)
    click.echo(f"{result.queries} queries and {result.alerts} alerts, {len(result.findings)} findings.", err=True)
    return EXIT_FAILED if result.findings else EXIT_DONE


@contract.command()
def lock() -> int:
    """Print the contract as JSON, to be committed and compared: see `contract diff`."""
    from quarterdeck_dashboards.check import lock as locking  # noqa: PLC0415 -- as above

    click.echo(locking.text(), nl=False)
    return EXIT_DONE


@contract.command()
@click.argument("old")
@click.argument("new")
@_files
@services_option
@_scrape_interval
@_output
def diff(*, old: str, new: str, files: tuple[Path, ...], services: Path, scrape_interval: str, output: str) -> int:
    """Say what is different between two locks of the contract, and which queries that breaks.

    OLD and NEW are what `contract lock` wrote: files, - for stdin, or revisions of git, with or without a path:
    `quarterdeck contract diff v1 HEAD`, `quarterdeck contract diff v1:contract.json contract.json`. Without one it is
    docs/reference/contract.json. Queries are those that `contract check` checks, FILES included. Exit code 1 when one
    breaks.
    """
    from quarterdeck_dashboards.adapters import committed  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.check import diff as differing  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.check import lock as locking  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.check import run  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.check.known import Environment  # noqa: PLC0415 -- as above

    states = [locking.parse(committed.text_of(place, LOCK), place) for place in (old, new)]
    catalogue = load(services)
    sources = run.sources(catalogue, Environment(_duration(scrape_interval)), files)
    found = differing.compare(catalogue, sources, *states)
    if output == "json":
        _json(
            {
                "changes": [each.document() for each in found.changes],
                "breaks": [each.document() for each in found.breaks],
            }
        )
    else:
        for line in (*found.changes, *found.breaks):
            click.echo(line)
    click.echo(f"{len(found.changes)} changes, {len(found.breaks)} queries broken.", err=True)
    return EXIT_FAILED if found.breaks else EXIT_DONE


@contract.command()
@services_option
@_scrape_interval
@click.option("--pods", multiple=True, metavar="SERVICE=NUMBER", help="Pods in this environment, if not `replicas`.")
@click.option("--statuses", type=click.IntRange(1), default=2, show_default=True, help="Status codes of a route.")
@_output
def cost(*, services: Path, scrape_interval: str, pods: tuple[str, ...], statuses: int, output: str) -> int:
    """Predict what an environment's telemetry costs: series, samples, memory, Datadog's custom metrics.

    From declared label values, pods and buckets, and from stated assumptions for what nobody declares.
    """
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.cost import Assumptions, predict  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.cost_report import document, table  # noqa: PLC0415 -- as above

    catalogue = load(services)
    assumptions = Assumptions(_duration(scrape_interval), statuses)
    found = predict(catalogue, assumptions, _pods(pods, [service.name for service in catalogue.services]))
    if output == "json":
        _json(document(found))
    else:
        click.echo(table(found), nl=False)
    return EXIT_DONE


def _pods(pods: tuple[str, ...], known: Sequence[str]) -> dict[str, int]:
    counts = {}
    for each in pods:
        name, _, number = each.partition("=")
        if name not in known or not number.isdecimal():
            message = f"expected SERVICE=NUMBER with one of {', '.join(known)}, found {each}"
            raise click.BadParameter(message, param_hint="--pods")
        counts[name] = int(number)
    return counts


def _json(document: object) -> None:
    import json  # noqa: PLC0415 -- only who asks for it needs it

    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _tree(services: Path, scrape_interval: str) -> Mapping[str, str]:
    from quarterdeck_dashboards import build  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above

    return build.generated(load(services), scrape_interval=_duration(scrape_interval))


def _duration(text: str) -> timedelta:
    from quarterdeck_dashboards.duration import parse_duration  # noqa: PLC0415 -- as above

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scrape-interval") from error
