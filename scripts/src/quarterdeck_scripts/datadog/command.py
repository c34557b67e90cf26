"""`quarterdeck datadog`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_scripts.datadog.connection import DEFAULT_SITE, SITE
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
_site = click.option(
    "--site",
    envvar=SITE,
    default=DEFAULT_SITE,
    show_default=True,
    help="Datadog's site, such as datadoghq.eu, or the URL of a proxy before its API.",
)
_unaudited = click.option(
    "--unaudited",
    is_flag=True,
    help="Write no audit entry: where the cluster of --env, which keeps the audit log, cannot be reached.",
)


@click.group()
def datadog() -> None:
    """Monitors, SLOs and dashboards in Datadog, kept as services.yaml says.

    The keys are read from DD_API_KEY and DD_APP_KEY. What is ours has the tag managed-by:quarterdeck, and one with the
    environment's name; nothing else is ever changed or deleted.
    """


@datadog.command()
@_services
@_site
@env_option
@output_option
def plan(services: Path, site: str, env: str, output: str) -> None:
    """Show what apply would do, and what was changed in Datadog since. Changes nothing.

    Each line is a resource: + is created, ~ changed field by field, - deleted, and ! left alone because something that
    is not ours has its name.
    """
    wanted = _publication(env, site, output, services)
    wanted.show(wanted.plan(), as_data=True)


@datadog.command()
@_services
@_site
@env_option
@context_option
@output_option
@yes_option
@_unaudited
def apply(  # noqa: PLR0917 -- click passes each option by name
    services: Path,
    site: str,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    unaudited: bool,  # noqa: FBT001 -- likewise
) -> None:
    """Make Datadog what the catalogue says: show the plan, ask, and carry it out.

    Running it again changes nothing. What fails is said, and the rest is done: run it again to go on.

    Exit code 0: all of it is as the catalogue says. 1: some of it is not, and is named. 4: refused, nothing was
    changed.
    """
    from quarterdeck_scripts.publish.run import agree_and_carry_out  # noqa: PLC0415 -- --help needs no more than click

    wanted = _publication(env, site, output, services)
    agree_and_carry_out(wanted, "datadog apply", env, context, yes=yes, unaudited=unaudited)


@datadog.command()
@_site
@env_option
@context_option
@output_option
@yes_option
@_unaudited
def destroy(  # noqa: PLR0917 -- click passes each option by name
    site: str,
    env: str,
    context: str | None,
    output: str,
    yes: bool,  # noqa: FBT001 -- click passes options by name
    unaudited: bool,  # noqa: FBT001 -- likewise
) -> None:
    """Delete everything of ours of one environment: show the plan, ask, and carry it out.

    The history of SLOs is deleted with them.
    """
    from quarterdeck_scripts.publish.run import agree_and_carry_out  # noqa: PLC0415 -- --help needs no more than click

    nothing = _publication(env, site, output, None)
    agree_and_carry_out(nothing, "datadog destroy", env, context, yes=yes, unaudited=unaudited)


def _publication(env: str, site: str, output: str, services: Path | None) -> Publication:
    """Return what should be in Datadog: what the catalogue says, or nothing."""
    import os  # noqa: PLC0415 -- --help needs no more than click

    from quarterdeck_scripts.adapters.json_api import JsonApi, checked_url  # noqa: PLC0415 -- the network
    from quarterdeck_scripts.datadog.connection import headers_of, url_of  # noqa: PLC0415 -- as above
    from quarterdeck_scripts.datadog.store import DOWNTIME, DatadogStore  # noqa: PLC0415 -- as above
    from quarterdeck_scripts.publish.run import Publication  # noqa: PLC0415 -- as above

    api = JsonApi(checked_url(url_of(site)), headers_of(os.environ), called="Datadog")
    where, store = f"Datadog at {site}, environment {env}", DatadogStore(api, env)
    if services is None:
        return Publication(where, store, output=output)
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.datadog import left_out, resources  # noqa: PLC0415 -- as above

    catalogue = load(services)
    return Publication(where, store, resources(catalogue, env), left_out(catalogue), frozenset({DOWNTIME}), output)
