"""Runs the Pulumi program without Pulumi and keeps what it registers: the same program, as manifests.

The program runs as in a preview: a value that only the cluster knows is unknown. In a manifest it is an error,
because nothing could be written there; so is a secret, because a rendering carries references to Secrets and never
their data.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import runpy
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
from pulumi.runtime.mocks import MockCallArgs, MockEngine, MockMonitor, MockResourceArgs, Mocks

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_stacks.manifests import RenderError
from quarterdeck_stacks.project import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_stacks.project import Project, StackConfig

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key of a special value in Pulumi's wire format. Source: sdk/go/common/resource/properties.go."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Rendering:
    """What one run of the program registered."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    """Kubernetes objects, in the order of registration, without Secrets."""
    left_out: list[str] = field(default_factory=list)
    """What no manifest can carry, for a person to read: Secrets, and resources outside Kubernetes."""


def render(project: Project, stack: str, config: StackConfig) -> Rendering:
    """Run *project*'s program for *stack* and return what it registered.

    Raises:
        QuarterdeckError: what the program itself says is wrong, or that it broke, with the line where.
        RenderError: it describes something that cannot be written as a manifest.
    """
    # Pulumi keeps its settings in context variables: a context of our own leaves nothing behind.
    return contextvars.copy_context().run(_render, project, stack, config)


def _render(project: Project, stack: str, config: StackConfig) -> Rendering:
    rendering = Rendering()
    configure(
        Settings(
            project=project.name,
            stack=stack,
            monitor=MockMonitor(_Recorder(rendering)),
            engine=MockEngine(_log),
            dry_run=True,
            root_directory=str(project.root),
        )
    )
    set_all_config({**config.values, **_no_cluster(project, config)}, sorted(config.secrets))
    # As Pulumi's language host does: the program's folder is the working directory and first on the path.
    with contextlib.chdir(project.program), asyncio.Runner() as runner:
        try:
            runner.run(run_in_stack(_run_program))
        except Exception as error:
            raise _explained(error, project.program) from error
    return rendering


def _no_cluster(project: Project, config: StackConfig) -> dict[str, str]:
    """Name no kubeconfig: a rendering speaks to no cluster, so a kubeconfig that is not there is no reason to fail."""
    named = {f"{project.name}:kubeconfig": "", f"{project.name}:context": "rendering"}
    return {key: value for key, value in named.items() if key in config.values}


def _run_program() -> None:
    runpy.run_path(".", run_name="__main__")


class _Recorder(Mocks):
    """Answers every registration with its own inputs, and keeps the Kubernetes objects."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """Refuse: a provider's function would have to be answered by the provider."""
        raise RenderError(
            "a program that asks no provider",
            f"a call of {args.token}",
            "take the value from the stack's configuration",
        )

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Keep *args* if it is a Kubernetes object."""
        if args.typ.startswith("kubernetes:"):
            self._keep(args)
        elif args.custom and not args.typ.startswith("pulumi:"):
            self._rendering.left_out.append(f"{args.typ} {args.name}: not a Kubernetes object")
        return (args.name if args.custom else None), args.inputs

    def _keep(self, args: MockResourceArgs) -> None:
        if not {"apiVersion", "kind", "metadata"} <= args.inputs.keys():
            raise RenderError(
                "Kubernetes objects",
                f"{args.typ} {args.name}, which only its provider can expand",
                "write its objects out",
            )
        if args.inputs["kind"] == "Secret":
            metadata = args.inputs["metadata"]
            where = f"{metadata.get('namespace')}/{metadata.get('name')}"
            self._rendering.left_out.append(f"Secret {where}: a rendering carries references, never Secret data")
            return
        _refuse_unwritable(args.inputs, f"{args.inputs['kind']} {args.name}")
        self._rendering.objects.append(args.inputs)


def _refuse_unwritable(value: Any, where: str) -> None:
    match value:
        case pulumi.output.Unknown():
            raise RenderError(
                "values that are known before anything is applied",
                f"{where}, which only the cluster knows",
                "derive it from the settings instead of another resource's output",
            )
        case dict() if _SIGNATURE in value:
            raise RenderError("no secret outside a Secret", where, "put it in a Secret and refer to that")
        case dict():
            for key, item in value.items():
                _refuse_unwritable(item, f"{where}.{key}")
        case list():
            for index, item in enumerate(value):
                _refuse_unwritable(item, f"{where}[{index}]")
        case str() if SECRET in value:
            raise RenderError("no secret outside a Secret", where, "put it in a Secret and refer to that")
        case _:
            return


def _explained(error: Exception, program: Path) -> QuarterdeckError:
    for each in _causes(error):
        if isinstance(each, QuarterdeckError):
            return each
    if isinstance(error, pulumi.RunError):
        return RenderError(f"the program in {program} to run", str(error), "correct the stack's configuration")
    # The last line that is not Pulumi's: an exception in `apply` or in an input arises below its event loop.
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/pulumi/" not in f.filename]
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return RenderError(
        f"the program in {program} to run", f"{type(error).__name__}: {error}{place}", "correct it there"
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
