"""`quarterdeck dashboards`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, UsageError
from quarterdeck_dashboards.command import compared, folder_option, services_option, written

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue


@click.group()
def dashboards() -> None:
    """Dashboards for Grafana and Datadog, from services.yaml."""


@dashboards.command()
@services_option
@folder_option("Folder to write to: into grafana/ and datadog/ in it.")
def generate(services: Path, out: Path) -> int:
    """Write every dashboard as Grafana's and Datadog's JSON.

    Prints each path that changed.
    """
    from quarterdeck_dashboards.dashboards import files  # noqa: PLC0415 -- the SDKs cost 500 ms, --help needs neither

    tree = files.generated(_load(services))
    return written(tree, files.write(tree, out), out)


@dashboards.command()
@services_option
@folder_option("Folder with the committed files.")
def check(services: Path, out: Path) -> int:
    """Compare the committed dashboards with what the catalogue generates now.

    Prints the difference. Exit code 1 when there is one.
    """
    from quarterdeck_dashboards.dashboards import files  # noqa: PLC0415 -- as above

    tree = files.generated(_load(services))
    return compared(tree, files.differences(tree, out), f"{out} is not what {services} generates", "dashboards")


@dashboards.command()
@services_option
@click.option("--prometheus", "url", required=True, help="Base URL of the Prometheus to ask.")
@click.option("--from", "span", default="1h", show_default=True, help="How far back to look.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("dashboards.html"),
    show_default=True,
    help="The page to write.",
)
def preview(services: Path, url: str, span: str, out: Path) -> int:
    """Draw every panel from what a real Prometheus answers, as one HTML page.

    Prints the page's path. What failed or is empty is said on the page and on stderr. Exit code 1 when a query fails.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 -- as above
    from urllib.parse import urlsplit  # noqa: PLC0415 -- as above

    from quarterdeck_dashboards import dashboards as described  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.adapters.prometheus import PrometheusApi  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.dashboards.preview import ask, page  # noqa: PLC0415 -- as above
    from quarterdeck_dashboards.duration import parse_duration  # noqa: PLC0415 -- as above

    if not (parts := urlsplit(url)).hostname or parts.scheme not in {"http", "https"}:
        raise UsageError(
            "the base URL of a Prometheus", repr(url), "write it whole: --prometheus http://127.0.0.1:9090"
        )
    try:
        period = ask.Period.until(datetime.now(UTC), parse_duration(span))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--from") from error
    seen = ask.ask(PrometheusApi(url), described.of(_load(services)), period)
    out.write_text(page.render(seen, period, url), encoding="utf-8")
    for trouble in page.troubles(seen):
        click.echo(trouble, err=True)
    click.echo(page.summary(seen), err=True)
    click.echo(out)
    return EXIT_FAILED if any(each.failures for each in seen) else EXIT_DONE


def _load(services: Path) -> Catalogue:
    from quarterdeck_dashboards.catalogue import load  # noqa: PLC0415 -- as above

    return load(services)
