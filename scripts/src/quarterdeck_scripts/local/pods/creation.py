"""From a container's manifest to what is started: its image, variables, mounts and log, or why it has to wait."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local import images
from quarterdeck_scripts.local.logs import container_log, previous_log
from quarterdeck_scripts.local.network import port_taken
from quarterdeck_scripts.local.pods import status as st
from quarterdeck_scripts.local.pods.environment import Context, plan
from quarterdeck_scripts.local.pods.fields import Identity, UnresolvedError
from quarterdeck_scripts.local.pods.processes import Launch
from quarterdeck_scripts.local.process import STATE_VARIABLE

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.local.images import Image
    from quarterdeck_scripts.local.pods.paths import Mounts
    from quarterdeck_scripts.local.pods.services import Services
    from quarterdeck_scripts.local.pods.volumes import PodVolumes


class BlockedError(Exception):
    """The container can not be created now: reason and message of its waiting state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


@dataclass(slots=True)
class Sandbox:
    """What the containers of one pod share."""

    pod: Json
    """The API object as last seen."""
    logs: Path
    """Folder of the containers' logs."""
    volumes: PodVolumes
    identity: Identity


@dataclass(frozen=True, slots=True)
class Creation:
    """A container ready to be started."""

    image: Image
    launch: Launch


def create(container: Json, sandbox: Sandbox, services: Services, run: int) -> Creation:
    """Prepare the *run*th run of *container*, from 0.

    Raises:
        BlockedError: something is missing or in the way; ask again later.
    """
    image = _image(container, services)
    _check_ports(container, sandbox)
    name = container["name"]
    try:
        mounts = sandbox.volumes.mount(container)
        base = _base(container, sandbox, services, mounts)
        context = Context(sandbox.pod, sandbox.identity, services.sources, mounts, base)
        planned = plan(container, image, context)
    except UnresolvedError as error:
        raise BlockedError(st.CONFIG_ERROR, str(error)) from error
    root = sandbox.volumes.root(container)
    folder = _working_directory(planned.working_directory, root)
    launch = Launch(
        arguments=planned.arguments,
        environment=planned.environment,
        folder=folder,
        log=fresh_log(container_log(sandbox.logs, name)),
        marker=f"{sandbox.pod['metadata']['uid']}/{name}/{run}",
    )
    return Creation(image, launch)


def _image(container: Json, services: Services) -> Image:
    reference = container["image"]
    try:
        found = images.find(services.layout.state, reference)
    except (UsageError, ValueError) as error:
        raise BlockedError("InvalidImageName", str(error)) from error
    if found is not None:
        return found
    if container.get("imagePullPolicy") == "Never":
        message = f'Container image "{reference}" is not present with pull policy of Never'
        raise BlockedError(st.IMAGE_NEVER, message)
    raise BlockedError(
        st.IMAGE_ERROR,
        f'failed to pull image "{reference}": not found in {services.layout.images}; '
        f"add it with `quarterdeck local image add`",
    )


def _check_ports(container: Json, sandbox: Sandbox) -> None:
    """Say which declared port is taken, before the process dies of it with a message of its own."""
    for port in container.get("ports", []):
        address, number = sandbox.identity.pod_ip, port["containerPort"]
        if port.get("protocol", "TCP") == "TCP" and port_taken(address, number):
            raise BlockedError(
                st.CREATE_ERROR,
                f"port {number} of {address} is in use by another program, which may listen on every address; "
                f"find it with `ss -ltnp 'sport = :{number}'`",
            )


def _base(container: Json, sandbox: Sandbox, services: Services, mounts: Mounts) -> dict[str, str]:
    """Return the variables that every container has before its image and manifest add theirs."""
    metadata = sandbox.pod["metadata"]
    root = sandbox.volumes.root(container)
    (root / "tmp").mkdir(exist_ok=True)
    host, _, port = services.settings.server.removeprefix("https://").partition(":")
    base = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(root),
        "HOSTNAME": metadata["name"],
        "TMPDIR": str(root / "tmp"),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        STATE_VARIABLE: str(services.layout.state),
    }
    if (kubeconfig := sandbox.volumes.kubeconfig(container, mounts)) is not None:
        base["KUBECONFIG"] = kubeconfig
    return base


def _working_directory(wanted: str, root: Path) -> Path:
    """Return the folder to start in: the machine's own where there is one of that name, else one in the root."""
    folder = Path(wanted) if wanted else root
    if not folder.is_dir():
        folder = root / wanted.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def fresh_log(log: Path) -> Path:
    """Return *log*, empty; what was in it is the run before's from now on.

    There is one at any moment, and one of the run before once there was: who reads logs asks while containers restart.
    """
    if log.exists():
        kept, empty = log.with_suffix(".kept"), log.with_suffix(".empty")
        kept.unlink(missing_ok=True)
        kept.hardlink_to(log)
        kept.replace(previous_log(log))
        empty.touch()
        empty.replace(log)
    return log
