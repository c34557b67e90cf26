"""Runs a Pulumi program without Pulumi's engine, and keeps what it registers.

Stands where Pulumi's own mocks (`pulumi.runtime.mocks`) do; those keep neither dependencies nor providers.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]  # protobuf ships no types
from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.proto import resource_pb2

from quarterdeck_contract.errors import QuarterdeckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_stacks.project import StackConfig

_log = logging.getLogger(__name__)

_FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
)
"""What a program may use. Transforms and hooks would be called back by the engine, and here is none."""


_NOT_THE_PROGRAM = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), __file__)
"""Where lines are that no user can correct."""
_DEEP = 1000
"""Frames of a traceback: all, whatever `sys.tracebacklimit` says."""


class ProviderCallError(QuarterdeckError):
    """The program asks a provider for a value."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What the engine is told of one resource."""

    type: str
    """Token: `kubernetes:apps/v1:Deployment`."""
    name: str
    """The name in the program, not the object's in the cluster."""
    custom: bool
    """False for a component, which is nothing but its children."""
    inputs: dict[str, Any]
    """As on the wire: every number a float, secrets and unknown values marked."""
    parent: str
    """URN."""
    depends_on: frozenset[str]
    """URNs."""
    ignored: tuple[str, ...]
    """Paths in the inputs that are given at creation and left alone afterwards: `spec.replicas`."""
    provider: str
    """URN and id of the explicit provider; empty for the default one."""
    protect: bool
    """Whether Pulumi refuses to delete it."""


class Monitor:
    """Answers a program as Pulumi's resource monitor does, each resource with its own inputs."""

    def __init__(self, project: str, stack: str) -> None:
        self._prefix = f"urn:pulumi:{stack}::{project}::"
        self.registered: list[Registration] = []
        """In the order of registration, without the stack itself."""

    def RegisterResource(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Keep the resource, and answer that it is as asked for."""
        del context
        parent_type = request.parent.split("::")[2] if request.parent else ""
        in_stack = parent_type in {"", "pulumi:pulumi:Stack"}
        urn = f"{self._prefix}{request.type if in_stack else f'{parent_type}${request.type}'}::{request.name}"
        if request.type != "pulumi:pulumi:Stack":
            self.registered.append(
                Registration(
                    type=request.type,
                    name=request.name,
                    custom=request.custom,
                    inputs=json_format.MessageToDict(request.object),
                    parent=request.parent,
                    depends_on=frozenset(request.dependencies),
                    ignored=tuple(request.ignoreChanges),
                    provider=request.provider,
                    protect=request.protect,
                )
            )
        identity = request.name if request.custom else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=self.answer(request))

    def answer(self, request: Any) -> Any:
        """Return the outputs of the resource that *request* registers; what is not among them is unknown in a preview.

        A cloud's answer may be of another type than what it was asked, so there is none.
        """
        echoed = not request.custom or request.type.startswith(("kubernetes:", "pulumi:"))
        return request.object if echoed else struct_pb2.Struct()

    def RegisterResourceOutputs(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Take note of nothing: outputs are for a stack's state, and here is none."""
        del request, context
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Let the program end."""
        del request, context
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Say what a program may use."""
        del request, context
        return resource_pb2.DeploymentInfo(supportedFeatures=_FEATURES)

    def Invoke(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Refuse a function of a provider, which only the provider could answer.

        Raises:
            ProviderCallError: always.
        """
        del context
        raise ProviderCallError(
            "a program that asks no provider",
            f"a call of {request.tok}",
            "take the value from the stack's configuration",
        )

    def ReadResource(self, request: Any, context: object = None) -> Any:  # noqa: N802 -- Pulumi's name
        """Refuse to read what is in a cluster, likewise.

        Raises:
            ProviderCallError: always.
        """
        del context
        raise ProviderCallError(
            "a program that reads nothing from a cluster",
            f"a read of {request.type} {request.name}",
            "take the value from the stack's configuration",
        )


def capture(
    program: Callable[[], object],
    *,
    project: str,
    stack: str,
    config: StackConfig,
    preview: bool = True,
    monitor: Monitor | None = None,
) -> list[Registration]:
    """Run *program* and return what it registers, in order.

    Args:
        program: registers resources. What it returns is not used.
        project: the project's name.
        stack: the stack's name.
        config: the stack's configuration.
        preview: whether values that only a provider knows are unknown, or missing.
        monitor: who answers for the providers; by default nobody does.

    Raises:
        Exception: whatever *program* raises, then or while its outputs resolve; a note on it says in which line.
    """

    def run() -> list[Registration]:
        asked = monitor or Monitor(project, stack)
        configure(Settings(project, stack, monitor=asked, engine=MockEngine(_log), dry_run=preview))
        set_all_config(config.values, sorted(config.secrets))
        with _uncollected(), _unplaced(), asyncio.Runner() as runner:
            # One failed resource leaves every future that waits for it unread; asyncio would write each to stderr.
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            runner.get_loop().set_task_factory(_noting_the_place)
            runner.run(run_in_stack(lambda: _returning_nothing(program)))
        return asked.registered

    # Pulumi keeps its settings in context variables: a context of our own leaves nothing behind.
    return contextvars.copy_context().run(run)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile: what Pulumi makes lives until the program's end, so each search walks it in vain.

    Half of a large rendering's time went there.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _unplaced() -> Iterator[None]:
    """Let Pulumi note no more than a frame of where each resource is made: nobody asks, here.

    A seventh of a large rendering's time went there, most of it to look whether the files have changed.
    """
    before = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if before is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = before


def _noting_the_place(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    """Make a task that notes, on an exception, the line of the program that it comes from.

    A future that is awaited twice raises without its traceback the second time, so the line is noted where the
    exception arises.
    """

    async def noting() -> Any:
        try:
            return await coroutine
        except Exception as error:
            places = traceback.extract_tb(error.__traceback__, limit=_DEEP)
            lines = [place for place in places if not place.filename.startswith(_NOT_THE_PROGRAM)]
            if lines and not hasattr(error, "__notes__"):
                error.add_note(f"{lines[-1].filename}:{lines[-1].lineno}")
            raise

    return asyncio.Task(noting(), loop=loop, **more)


def _returning_nothing(program: Callable[[], object]) -> None:
    """Run *program*: Pulumi would await what it returned."""
    program()
