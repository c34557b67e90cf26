"""`quarterdeck local`: the local environment by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quarterdeck_contract.errors import EXIT_DONE, EXIT_FAILED, UsageError
from quarterdeck_scripts.options import env_option, output_option

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO


@click.group()
def local() -> None:
    """Run the local environment: a real control plane whose pods are processes on loopback.

    It needs Linux, and neither root nor Docker. Everything it leaves is in .quarterdeck/<env>.
    """


@local.command()
@env_option
@click.option("--nodes", type=click.IntRange(1, 50), default=3, show_default=True, help="How many nodes.")
@click.option("--deploy/--no-deploy", default=True, show_default=True, help="Deploy the stack of that name.")
def up(env: str, nodes: int, *, deploy: bool) -> None:
    """Start the environment, and deploy the stack to it: with the Pulumi CLI where it is on PATH.

    What a killed run left is cleaned away first. An environment that runs already stays as it is, and is only
    deployed to. Interrupted, it leaves nothing that it started.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs none of this
    from quarterdeck_scripts.local import lifecycle  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.local.deploy import check  # noqa: PLC0415 -- YAML costs 20 ms
    from quarterdeck_scripts.local.deploy import deploy as deploy_stack  # noqa: PLC0415 -- likewise

    state = _state(env)
    if deploy:
        with console.step(f"Looking at the stack {env}"):
            check(env)
    running: lifecycle.Running | None = None
    try:
        with console.step(f"Starting the environment {env}") as step:
            running = lifecycle.up(state, nodes=nodes, progress=step.update)
            step.update(running.server if running.started else f"{running.server}, which was running already")
        if deploy:
            with console.step(f"Deploying the stack {env}") as step:
                step.update(str(deploy_stack(state, progress=step.update)))
    except Exception:
        raise  # the environment is there to look at, and to deploy to again
    except BaseException:  # Ctrl-C
        if running is not None and running.started:
            lifecycle.down(state)
        raise
    console.say(f"kubectl --kubeconfig {running.kubeconfig} get pods -A")


@local.command()
@env_option
@output_option
def status(env: str, output: str) -> int:
    """Say whether the environment runs, part by part. Exit code 1 when a part is dead or nothing runs."""
    from dataclasses import asdict  # noqa: PLC0415 -- --help needs none of this

    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.local import lifecycle  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.local.state import START, Phase  # noqa: PLC0415 -- likewise

    found = lifecycle.status(_state(env))
    if output == "json":
        console.emit_json(asdict(found))
    else:
        console.emit(f"{env}: {found.phase}" + (f" at {found.server}" if found.server else ""))
        for part in found.parts:
            life = f"pid {part.pid} since {part.since}" if part.alive else f"DEAD (was pid {part.pid})"
            console.emit(f"  {part.name:24}{life:46}{part.log}")
    if found.failure:
        console.say(f"{found.failure}\nNext: {lifecycle.RECREATE}.")
    elif found.phase is Phase.ABSENT:
        console.say(f"Next: start it with {START}.")
    return EXIT_DONE if found.phase is Phase.RUNNING else EXIT_FAILED


@local.command()
@env_option
def down(env: str) -> None:
    """End the environment and remove it: no process, port or file is left. Safe to run again."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs none of this
    from quarterdeck_scripts.local import lifecycle  # noqa: PLC0415 -- likewise

    with console.step(f"Ending the environment {env}"):
        lifecycle.down(_state(env))


@local.command()
@env_option
@click.option("--namespace", "-n", default=None, help="The pod's namespace, where several have a pod of that name.")
@click.option("--container", "-c", default=None, help="The container, where the pod has several.")
@click.option("--previous", "-p", is_flag=True, help="What the container's run before the present one wrote.")
@click.option("--tail", type=click.IntRange(0), default=None, help="Only so many lines from the end.")
@click.option("--follow", "-f", is_flag=True, help="Go on as it grows, until the container is restarted or gone.")
@click.argument("name", metavar="POD")
def logs(
    env: str,
    namespace: str | None,
    container: str | None,
    name: str,
    tail: int | None,
    *,
    previous: bool,
    follow: bool,
) -> None:
    """Print the log of a pod's container, or of a part of the environment (`pod-runner`, `etcd`, …).

    It is read from disk, so it is there when the API server is not.
    """
    from quarterdeck_scripts.local.logs import choose, read  # noqa: PLC0415 -- --help needs none of this
    from quarterdeck_scripts.local.state import Layout  # noqa: PLC0415 -- likewise

    log = choose(Layout(_state(env).absolute()), name, namespace, container, previous=previous)
    for chunk in read(log, tail=tail, follow=follow):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


@local.group()
def image() -> None:
    """Say which program an image's name stands for: a local pod runs a program of this machine."""


@image.command()
@env_option
@click.argument("reference", metavar="REF")
@click.argument("file", type=click.File("r"), metavar="FILE")
def add(env: str, reference: str, file: TextIO) -> None:
    """Put an image called REF into the environment's store, from FILE (`-` for stdin).

    FILE is an image's configuration as OCI has it, JSON:
    {"config": {"Entrypoint": ["/path/of/program"], "Cmd": [], "Env": ["A=b"], "WorkingDir": "/path"}}
    """
    import json  # noqa: PLC0415 -- --help needs none of this

    from quarterdeck_scripts import console  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.local import images  # noqa: PLC0415 -- likewise

    try:
        config = json.load(file)
    except ValueError as error:
        step = 'write an image\'s configuration, such as {"config": {"Entrypoint": ["/path/of/program"]}}'
        raise UsageError(f"JSON in {file.name}", str(error), step) from error
    images.add(_state(env), reference, config)
    console.say(f"{images.normalised(reference)} runs {images.describe(images.parse(config, reference))}")


@image.command("list")
@env_option
@output_option
def list_(env: str, output: str) -> None:
    """List the images in the environment's store."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs none of this
    from quarterdeck_scripts.local import images  # noqa: PLC0415 -- likewise

    state = _state(env)
    found = {reference: images.find(state, reference) for reference in images.references(state)}
    runs = {reference: images.describe(one) for reference, one in found.items() if one is not None}
    if output == "json":
        console.emit_json(runs)
    else:
        for reference, program in runs.items():
            console.emit(f"{reference}  {program}")


def _state(env: str) -> Path:
    from quarterdeck_scripts.workspace import state_of  # noqa: PLC0415 -- --help needs none of this

    return state_of(env)
