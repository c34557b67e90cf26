"""Deploy the stack to a local environment: by the Pulumi CLI where there is one, else by rendering and applying it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from quarterdeck_contract.errors import EXIT_USAGE, QuarterdeckError, UsageError
from quarterdeck_scripts.kube.client import APPLY_PATCH
from quarterdeck_scripts.local import lifecycle
from quarterdeck_scripts.local.pulumi import prepare, pulumi_environment
from quarterdeck_scripts.local.state import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from quarterdeck_scripts.kube.client import Cluster, Json

FIELD_MANAGER = "quarterdeck"
"""Under which name objects are applied; the same program applied again may change and remove its fields."""

PULUMI = "pulumi"
_RENDERED = "the stack to be rendered"
_OUTPUT_LINES = 20
"""How much of a failing program's output goes into the error."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What was done."""

    by: str
    """`pulumi up`, or `server-side apply`."""
    why: str
    """Why this way."""
    objects: int | None = None
    """How many objects were applied; None when Pulumi knows."""

    def __str__(self) -> str:
        count = "" if self.objects is None else f"{self.objects} objects "
        return f"{count}by {self.by} ({self.why})"


def check(env: str, *, project: Path | None = None) -> None:
    """Render the stack *env* for nobody: what is wrong with the catalogue or the stack is known before anything starts.

    Args:
        env: name of the stack.
        project: a folder in the checkout of the Pulumi project; the working directory when None.

    Raises:
        UsageError: an input is wrong; the program's own words.
        QuarterdeckError: the program failed otherwise.
    """
    command = [*_QUARTERDECK, "stack", "render", "--env", env]
    _run(command, _RENDERED, folder=(project or Path.cwd()).absolute())


def deploy(state: Path, *, project: Path | None = None, progress: Callable[[str], None] = lambda _: None) -> Deployed:
    """Deploy the stack that is named as the environment to it. Nothing is pruned; pods are not waited for.

    Args:
        state: the environment's folder; the environment runs.
        project: a folder in the checkout of the Pulumi project; the working directory when None.
        progress: told what is being done.

    Raises:
        EnvironmentFailedError: the environment does not run.
        QuarterdeckError: the stack was not deployed; the message has the end of the program's output.
    """
    lifecycle.require_running(state)
    layout = Layout(state.absolute())
    found = lifecycle.status(state)
    folder = (project or Path.cwd()).absolute()
    cli = shutil.which(PULUMI)
    if cli is not None:
        progress("pulumi up")
        _pulumi_up(cli, layout, folder, found.loopback_prefix)
        return Deployed("`pulumi up`", f"the Pulumi CLI is {cli}")
    progress("rendering the stack")
    objects = _render(layout, folder, found.loopback_prefix)
    from quarterdeck_scripts.adapters.kubernetes import connect  # noqa: PLC0415 -- costs 260 ms; Pulumi needs none

    count = apply(connect(layout.kubeconfig), objects, progress=progress)
    return Deployed("server-side apply of `quarterdeck stack render`", "no Pulumi CLI on PATH", count)


def apply(cluster: Cluster, objects: Iterable[Json], *, progress: Callable[[str], None] = lambda _: None) -> int:
    """Apply *objects* in order, namespaces first; return how many.

    Raises:
        ApiError: the API server refuses one; the message names it.
        UsageError: the API server has no such kind.
    """
    ordered = sorted(objects, key=lambda one: one["kind"] != "Namespace")  # stable: the rest keeps its order
    kinds = _Kinds(cluster)
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}  # the environment is its owner's alone
    for one in ordered:
        metadata = one["metadata"]
        progress(f"{one['kind']} {metadata['name']}")
        target = kinds.path(one["apiVersion"], one["kind"], metadata.get("namespace", "default"))
        cluster.request("PATCH", f"{target}/{metadata['name']}", query=query, body=one, content_type=APPLY_PATCH)
    return len(ordered)


class _Kinds:
    """Where objects of each kind live, as the API server says."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, dict[str, Json]] = {}

    def path(self, version: str, kind: str, namespace: str) -> str:
        """Return the path of a kind's collection."""
        prefix = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        if version not in self._known:
            resources = self._cluster.request("GET", prefix)["resources"]
            self._known[version] = {one["kind"]: one for one in resources if "/" not in one["name"]}
        resource = self._known[version].get(kind)
        if resource is None:
            raise UsageError(f"a kind that {self._cluster.server} serves", f"{version} {kind}", "correct the stack")
        inside = f"/namespaces/{namespace}" if resource["namespaced"] else ""
        return f"{prefix}{inside}/{resource['name']}"


def _render(layout: Layout, project: Path, prefix: str) -> list[Json]:
    """Render the stack with the program that other environments use, as a process, and read what it wrote."""
    with tempfile.TemporaryDirectory(dir=layout.state, prefix="render-") as folder:
        _run(
            [
                *_QUARTERDECK,
                *("stack", "render", "--env", layout.state.name, "--out", folder),
                *("--config", f"loopbackPrefix={prefix}"),
            ],
            _RENDERED,
            folder=project,
        )
        files = sorted(Path(folder).rglob("*.yaml"))
        documents = [yaml.safe_load_all(file.read_text(encoding="utf-8")) for file in files]
        return [one for document in documents for one in document if one]


_QUARTERDECK = (sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()")
"""Our own command line, wherever its script was installed to. Scripts never import the stacks."""


def _pulumi_up(cli: str, layout: Layout, project: Path, prefix: str) -> None:
    folder = layout.state / PULUMI
    fresh = prepare(folder, project, stack=layout.state.name, kubeconfig=layout.kubeconfig, prefix=prefix)
    environment = {**os.environ, **pulumi_environment(folder)}
    flags = ("--stack", layout.state.name, "--non-interactive")
    if fresh:
        command = [cli, "stack", "init", "--no-select", *flags]
        _run(command, "the Pulumi stack to be made", folder=folder, environment=environment)
    command = [cli, "up", "--yes", "--skip-preview", *flags]
    _run(command, "`pulumi up` to succeed", folder=folder, environment=environment)


def _run(command: list[str], expected: str, *, folder: Path, environment: Mapping[str, str] | None = None) -> None:
    answer = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if answer.returncode != 0:
        raise _explained(answer.stdout, answer.returncode) or QuarterdeckError(
            expected,
            f"exit code {answer.returncode} and\n{_indented_end(answer.stdout)}",
            "correct what it names, then run this again",
        )


_ERROR = re.compile(
    r"^Error: Expected (?P<expected>.+?)\.\nFound (?P<found>.+)\.\nNext: (?P<next_step>.+)\.\n\Z",
    re.MULTILINE | re.DOTALL,
)
"""How `quarterdeck` writes a QuarterdeckError."""


def _explained(output: str, code: int) -> QuarterdeckError | None:
    """Return the error that our own command line ended its *output* with, as its own; None when there is none."""
    said = _ERROR.search(output)
    if said is None:
        return None
    kind = UsageError if code == EXIT_USAGE else QuarterdeckError
    return kind(said["expected"], said["found"], said["next_step"])


def _indented_end(output: str) -> str:
    return "\n".join(f"  {line}" for line in output.splitlines()[-_OUTPUT_LINES:])
