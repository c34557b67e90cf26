"""`quarterdeck slo`: report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, UsageError
from quarterdeck_scripts.options import context_option, env_option

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_scripts.ports import Prometheus

_SERVICES = Path("services.yaml")
"""The catalogue, where a command is run beside it."""


@click.group()
def slo() -> None:
    """Service level objectives: what is left of their error budgets."""


@slo.command()
@click.option("--service", help="Only this service of the catalogue. [default: every service]")
@click.option(
    "--output",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="Form of the report on stdout. Messages go to stderr.",
)
@click.option("--prometheus", "url", help="Ask this Prometheus. [default: the environment's]")
@click.option(
    "--services",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The catalogue. [default: the environment's, or services.yaml where --prometheus is given and it is here]",
)
@env_option
@context_option
def report(  # noqa: PLR0917 -- click passes each option by name
    service: str | None, output: str, url: str | None, services: Path | None, env: str, context: str | None
) -> int:
    """Say of each promise how much of its error budget is left, how fast it goes, and who spent it.

    By release and by route, this week beside the last, and, with `--output html`, drawn over the promise's window:
    `quarterdeck slo report --output html > budgets.html`. Budgets follow events by up to an hour. With a Prometheus
    and a catalogue no cluster is asked.
    """
    import os  # noqa: PLC0415 -- --help needs no more than click
    import time  # noqa: PLC0415 -- likewise

    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.adapters.prometheus import connect  # noqa: PLC0415 -- the network
    from quarterdeck_scripts.slo import page, text  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.slo.report import read  # noqa: PLC0415 -- likewise

    if services is None and url is not None and _SERVICES.exists():
        services = _SERVICES
    catalogue, where = _asked_about(url, services, env, context)
    if service is not None and service not in {each.name for each in catalogue.services}:
        known = ", ".join(sorted(each.name for each in catalogue.services))
        raise UsageError(f"one of the catalogue's services: {known}", repr(service), "name one of these with --service")
    prometheus: Prometheus = connect(where, os.environ)
    reports = list(read(catalogue, prometheus, service))
    if output == "json":
        console.emit_json([each.to_json() for each in text.by_need(reports)])
    elif output == "html":
        console.emit(page.render(reports, env, time.time()))
    else:
        console.emit(text.render(reports))
    return EXIT_DONE


def _asked_about(url: str | None, services: Path | None, env: str, context: str | None) -> tuple[Catalogue, str]:
    """Return the promises, and the URL of the Prometheus that knows of them: as given, else as *env* has them."""
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- --help needs no more than click

    catalogue = None if services is None else load(services)
    if catalogue is None or url is None:
        from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- only here a cluster is asked

        environment = open_environment(env, context)
        return catalogue or environment.catalogue, url or environment.facts.prometheus_url
    return catalogue, url
