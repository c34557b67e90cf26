"""The Kubernetes objects of the Pulumi program: the same program, as manifests.

The program runs as in a preview: a value that only the cluster knows is unknown. In a manifest it is an error,
because nothing could be written there; so is a secret, because a rendering carries references to Secrets and never
their data.
"""

from __future__ import annotations

import contextlib
import dataclasses
import runpy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime.rpc import UNKNOWN

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_stacks.capture import Registration, capture
from quarterdeck_stacks.manifests import RenderError
from quarterdeck_stacks.project import SECRET
from quarterdeck_stacks.settings.cluster import RENDERING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_stacks.project import Project, StackConfig

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key that marks a secret, an asset or a resource among values on the wire.

Source: sdk/go/common/resource/sig/sig.go of pulumi/pulumi."""


@dataclass(slots=True)
class Rendering:
    """What one run of the program registered."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    """Kubernetes objects, in the order of registration, without Secrets."""
    left_out: list[str] = field(default_factory=list)
    """What no manifest can carry, for a person to read: Secrets, and resources outside Kubernetes."""


def render(project: Project, stack: str, config: StackConfig) -> Rendering:
    """Run *project*'s program for *stack* and return the objects it describes.

    Raises:
        QuarterdeckError: what the program itself says is wrong.
        RenderError: the program broke, or describes something that cannot be written as a manifest.
    """
    config = dataclasses.replace(config, values={**config.values, **_no_cluster(project, config)})
    # As Pulumi's language host does: the program's folder is the working directory and first on the path.
    with contextlib.chdir(project.program):
        try:
            registered = capture(
                lambda: runpy.run_path(str(project.program), run_name="__main__"),
                project=project.name,
                stack=stack,
                config=config,
            )
        except Exception as error:
            raise _explained(error, project.program) from error
    return from_registrations(registered)


def from_registrations(registered: list[Registration]) -> Rendering:
    """Return the Kubernetes objects among *registered*.

    Raises:
        RenderError: one of them cannot be written as a manifest.
    """
    rendering = Rendering()
    for each in registered:
        if each.type.startswith("kubernetes:"):
            _keep(each, rendering)
        elif each.custom and not each.type.startswith("pulumi:"):
            rendering.left_out.append(f"{each.type} {each.name}: not a Kubernetes object")
    return rendering


def _no_cluster(project: Project, config: StackConfig) -> dict[str, str]:
    """Name no kubeconfig: a rendering speaks to no cluster, so one that is not there is no reason to fail."""
    named = {f"{project.name}:kubeconfig": "", f"{project.name}:context": RENDERING}
    return {key: value for key, value in named.items() if key in config.values}


def _keep(resource: Registration, rendering: Rendering) -> None:
    inputs = resource.inputs
    if not {"apiVersion", "kind", "metadata"} <= inputs.keys():
        raise RenderError(
            "Kubernetes objects",
            f"{resource.type} {resource.name}, which only its provider can expand",
            "write its objects out",
        )
    if inputs["kind"] == "Secret":
        where = f"{inputs['metadata'].get('namespace')}/{inputs['metadata'].get('name')}"
        rendering.left_out.append(f"Secret {where}: a rendering carries references, never Secret data")
        return
    _refuse_unwritable(inputs, f"{inputs['kind']} {resource.name}")
    rendering.objects.append(_without(inputs, resource.ignored))


def _without(inputs: dict[str, Any], paths: tuple[str, ...]) -> dict[str, Any]:
    """Return *inputs* without what the stack leaves to others: to apply it again would take it from them."""
    for path in paths:
        head, _, rest = path.partition(".")
        if head in inputs:
            kept = {key: value for key, value in inputs.items() if key != head}
            inputs = {**kept, head: _without(inputs[head], (rest,))} if rest else kept
    return inputs


def _refuse_unwritable(value: Any, where: str) -> None:
    match value:
        case str() if value == UNKNOWN:
            raise RenderError(
                "values that are known before anything is applied",
                f"{where}, which only the cluster knows",
                "derive it from the settings instead of another resource's output",
            )
        case str() if SECRET in value:
            raise _secret(where)
        case dict() if _SIGNATURE in value:
            raise _secret(where)
        case dict():
            for key, item in value.items():
                _refuse_unwritable(item, f"{where}.{key}")
        case list():
            for index, item in enumerate(value):
                _refuse_unwritable(item, f"{where}[{index}]")
        case _:
            return


def _secret(where: str) -> RenderError:
    return RenderError("no secret outside a Secret", where, "put it into a Secret, and refer to that")


def _explained(error: Exception, program: Path) -> QuarterdeckError:
    for each in _chain(error):
        if isinstance(each, QuarterdeckError):
            return each
    what = f"the program in {program} to run"
    if isinstance(error, pulumi.RunError):
        return RenderError(what, str(error), "set what it names: `pulumi config set KEY VALUE`, or --config KEY=VALUE")
    place = getattr(error, "__notes__", ["somewhere in Pulumi"])[0]
    return RenderError(what, f"{type(error).__name__}: {error} ({place})", "mend the program there, and run this again")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
