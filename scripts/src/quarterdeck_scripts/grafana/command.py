"""`quarterdeck grafana`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_scripts.options import context_option, env_option, output_option, yes_option

if TYPE_CHECKING:
    from quarterdeck_scripts.publish.run import Publication

_services = click.option(
    "--services",
    type=click.Path(path_type=Path),
    default=Path("services.yaml"),
    show_default=True,
    help="The catalogue.",
)
_url = click.option("--url", envvar="GRAFANA_URL", required=True, help="Grafana's address: https://grafana.example.")


@click.group()
def grafana() -> None:
    """Dashboards in a Grafana, kept as services.yaml says.

    The token of a service account is read from GRAFANA_TOKEN. What is ours has the tag managed-by:quarterdeck; nothing
    else is ever changed or deleted.
    """


@grafana.command()
@_services
@_url
@output_option
def plan(services: Path, url: str, output: str) -> None:
    """Show what apply would do, and what was changed in Grafana since. Changes nothing.

    Each line is a dashboard: + is created, ~ changed field by field, - deleted, and ! left alone because something
    that is not ours has its uid.
    """
    wanted = _publication(services, url, output)
    wanted.show(wanted.plan(), as_data=True)


@grafana.command()
@_services
@_url
@env_option
@context_option
@output_option
@yes_option
@click.option(
    "--unaudited",
    is_flag=True,
    help="Write no audit entry: where the cluster of --env, which keeps the audit log, cannot be reached.",
)
def apply(  # noqa: PLR0917 -- click passes each option by name
    services: Path,
    url: str,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    unaudited: bool,  # noqa: FBT001 -- likewise
) -> None:
    """Make Grafana's dashboards what the catalogue says: show the plan, ask, and carry it out.

    Running it again changes nothing. What fails is said, and the rest is done: run it again to go on. What somebody
    saves meanwhile is not overwritten.

    Exit code 0: all of it is as the catalogue says. 1: some of it is not, and is named. 4: refused, nothing was
    changed.
    """
    from quarterdeck_scripts.publish.run import agree_and_carry_out  # noqa: PLC0415 -- --help needs no more than click

    wanted = _publication(services, url, output)
    agree_and_carry_out(wanted, "grafana apply", env, context, yes=yes, unaudited=unaudited)


def _publication(services: Path, url: str, output: str) -> Publication:
    """Return what should be in Grafana."""
    import os  # noqa: PLC0415 -- --help needs no more than click

    from quarterdeck_dashboards import dashboards  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.dashboards.grafana import render  # noqa: PLC0415 -- as above
    from quarterdeck_scripts.adapters.json_api import JsonApi, checked_url  # noqa: PLC0415 -- the network
    from quarterdeck_scripts.grafana.connection import headers_of  # noqa: PLC0415 -- as above
    from quarterdeck_scripts.grafana.store import GrafanaStore, dashboard, folder  # noqa: PLC0415 -- as above
    from quarterdeck_scripts.publish.run import Publication  # noqa: PLC0415 -- as above

    api = JsonApi(checked_url(url), headers_of(os.environ), called="Grafana")
    wanted = (folder(), *(dashboard(render(each)) for each in dashboards.of(load(services))))
    return Publication(f"Grafana at {url}", GrafanaStore(api), wanted, kept=frozenset({folder().kind}), output=output)
