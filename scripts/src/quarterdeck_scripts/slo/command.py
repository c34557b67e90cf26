"""`quarterdeck slo`: report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE
from quarterdeck_scripts.options import context_option, env_option

if TYPE_CHECKING:
    from quarterdeck_scripts.ports import Prometheus


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
@env_option
@context_option
def report(service: str | None, output: str, url: str | None, env: str, context: str | None) -> int:
    """Say of each promise how much of its error budget is left, how fast it goes, and who spent it.

    By release and by route, this week beside the last, and, with `--output html`, drawn over the promise's window:
    `quarterdeck slo report --output html > budgets.html`. Budgets follow events by up to an hour.
    """
    import time  # noqa: PLC0415 -- --help needs no more than click

    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.adapters.prometheus import PrometheusApi  # noqa: PLC0415 -- the network
    from quarterdeck_scripts.environment import open_environment  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.slo import page, text  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.slo.report import read  # noqa: PLC0415 -- likewise

    environment = open_environment(env, context)
    if service is not None:
        environment.service(service)
    prometheus: Prometheus = PrometheusApi(url or environment.facts.prometheus_url)
    reports = list(read(environment.catalogue, prometheus, service))
    if output == "json":
        console.emit_json([each.to_json() for each in text.by_need(reports)])
    elif output == "html":
        console.emit(page.render(reports, env, time.time()))
    else:
        console.emit(text.render(reports))
    return EXIT_DONE
