"""`quarterdeck stack`: the Pulumi program without the Pulumi CLI."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def stack() -> None:
    """Look at what the Pulumi program of an environment describes."""


@stack.command()
@click.option(
    "--env",
    "env",
    envvar="QUARTERDECK_ENV",
    default="local",
    show_default=True,
    help="Environment: the stack whose Pulumi.<env>.yaml is read.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file an object into this folder instead of stdout; files of an earlier rendering are replaced.",
)
@click.option(
    "--config",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the stack's configuration for this rendering. May be repeated.",
)
def render(env: str, out: Path | None, overrides: tuple[str, ...]) -> None:
    """Write the environment's Kubernetes objects as YAML, in the order in which they are to be applied.

    It is the program that `pulumi up` runs, run without Pulumi: for GitOps, for review, and for clusters that
    `kubectl apply --server-side` manages. No cluster is asked. Secrets are left out, and named on stderr.
    """
    from quarterdeck_stacks.files import write  # noqa: PLC0415 -- YAML costs 20 ms, and --help reads none
    from quarterdeck_stacks.manifests import to_files  # noqa: PLC0415 -- likewise
    from quarterdeck_stacks.project import load_project, load_stack  # noqa: PLC0415 -- likewise
    from quarterdeck_stacks.render import render as run  # noqa: PLC0415 -- Pulumi's SDK costs 250 ms

    project = load_project(Path.cwd())
    rendering = run(project, env, load_stack(project, env, overrides))
    for left_out in rendering.left_out:
        click.echo(f"Left out: {left_out}", err=True)
    if out is None:
        click.echo("---\n".join(to_files(rendering.objects).values()), nl=False)
    else:
        count = write(to_files(rendering.objects), out, origin=f"quarterdeck stack render --env {env}")
        click.echo(f"{count} objects in {out}", err=True)
