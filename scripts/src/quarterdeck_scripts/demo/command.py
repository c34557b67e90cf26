"""`quarterdeck demo`: what `make demo` runs."""

from __future__ import annotations

from pathlib import Path

import click

from quarterdeck_scripts.workspace import REPORTS


@click.command()
@click.option("--keep", is_flag=True, help="Leave the environment running at the end.")
@click.option(
    "--v2-failures",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of payments that v2 loses. At 0 the verdict changes with the behaviour: v2 is promoted.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=REPORTS / "demo.html",
    show_default=True,
    help="Where to write the HTML report with the charts of both rollouts.",
)
def demo(*, keep: bool, v2_failures: float, report: Path) -> None:
    """Show the main job on real parts, from code to pager.

    A bad release is rolled back, a good one promoted, and a page mended by its runbook. Takes about three
    minutes, once the tools are there, and leaves nothing behind but its report.
    """
    from quarterdeck_scripts.demo.show import show  # noqa: PLC0415 -- clients and parsers, which --help does not need

    show(keep=keep, v2_failures=v2_failures, report=report)
