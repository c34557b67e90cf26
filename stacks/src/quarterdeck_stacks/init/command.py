"""`quarterdeck init`."""

from __future__ import annotations

from pathlib import Path

import click

from quarterdeck_contract.errors import EXIT_DONE


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option(
    "--name",
    default="quarterdeck",
    show_default=True,
    help="The Pulumi project's name: prefix of its configuration's keys.",
)
def init(folder: Path, name: str) -> int:
    """Begin a project of your own in FOLDER: a catalogue, the Pulumi program and its stacks, the policy pack.

    Prints each file that it makes. Nothing is overwritten: where one of them is there already, nothing is made.
    """
    from quarterdeck_stacks.init.starter import project, write  # noqa: PLC0415 -- the settings cost 40 ms

    tree = project(name)
    write(tree, folder)
    for path in tree:
        click.echo(folder / path)
    click.echo(
        "Next: describe your services in services.yaml, then `quarterdeck contract check`, `quarterdeck rules generate`"
        " and `quarterdeck stack plan --env dev`.",
        err=True,
    )
    return EXIT_DONE
