"""The image store: what `docker pull` would bring, as one JSON file an image, saying which program to run.

A file holds what an OCI image's configuration says of running it:
`{"config": {"Entrypoint": ["/path/of/program"], "Cmd": [], "Env": ["A=b"], "WorkingDir": "/path"}}`.
Programs are those of this machine: there is no file system in an image here.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local.state import Layout, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MONITORING_IMAGES = {
    "prometheus": "quay.io/prometheus/prometheus:v3.16.0",
    "alertmanager": "quay.io/prometheus/alertmanager:v0.28.1",
}
MONITORING_TOOLS = tuple(_MONITORING_IMAGES)
"""Tools that the stack runs as pods."""

_LISTS = ("Entrypoint", "Cmd", "Env")
_TEXTS = ("WorkingDir", "StopSignal")
_IGNORED = ("ArgsEscaped", "ExposedPorts", "Healthcheck", "Labels", "User", "Volumes")
"""Fields of the OCI specification that say nothing to a process of ours; accepted, so that a real image's
configuration can be used as it is."""
_HELP = 'see `{"config": {"Entrypoint": ["/path/of/program"], "Cmd": [], "Env": ["A=b"], "WorkingDir": "/path"}}`'


@dataclass(frozen=True, slots=True)
class Image:
    """How an image says it is run."""

    digest: str
    """Of the configuration: `sha256:…`; the pod status' `imageID`."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    """The default arguments, `Cmd`."""
    environment: tuple[str, ...] = ()
    """`NAME=value`."""
    working_directory: str = ""
    stop_signal: str = "SIGTERM"


def add(state: Path, reference: str, config: Mapping[str, Any]) -> None:
    """Put an image into the store of the environment in *state*, replacing one of the same reference.

    Args:
        state: the environment's folder. It need not run yet.
        reference: the image's name as manifests spell it; `:latest` is added where no tag or digest is.
        config: the image's configuration, as described above.

    Raises:
        UsageError: *config* is not a configuration.
    """
    parse(config, reference)
    layout = Layout(state.absolute())
    layout.images.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(_file(layout, reference), dict(config))


def find(state: Path, reference: str) -> Image | None:
    """Return the image called *reference*; None when the store has none."""
    try:
        config = json.loads(_file(Layout(state), reference).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return parse(config, reference)


def references(state: Path) -> list[str]:
    """Return the references of all images in the store, sorted."""
    folder = Layout(state.absolute()).images
    return sorted(unquote(file.stem) for file in folder.glob("*.json")) if folder.exists() else []


def register_monitoring(state: Path, tools: Mapping[str, str]) -> None:
    """Put the images into the store that the stack's monitoring names, made of the installed *tools*."""
    for tool, reference in _MONITORING_IMAGES.items():
        if tool in tools:
            add(state, reference, {"config": {"Entrypoint": [tools[tool]]}})


def parse(config: Mapping[str, Any], origin: str) -> Image:
    """Read an image's configuration.

    Raises:
        UsageError: it is none; the message says which field.
    """
    fields = config.get("config")
    if not isinstance(fields, dict):
        raise UsageError(f"{origin} to have an object `config`", _shown(fields), _HELP)
    known = {*_LISTS, *_TEXTS, *_IGNORED}
    for name, value in fields.items():
        if name in _LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise UsageError(f"config.{name} of {origin} to be a list of strings", _shown(value), _HELP)
        if name in _TEXTS and not isinstance(value, str):
            raise UsageError(f"config.{name} of {origin} to be a string", _shown(value), _HELP)
        if name == "StopSignal" and value not in signal.Signals.__members__:
            raise UsageError(
                f"config.{name} of {origin} to be a signal's name", _shown(value), "write SIGTERM, SIGQUIT, …"
            )
        if name not in known:
            raise UsageError(f"config of {origin} to have only {', '.join(sorted(known))}", _shown(name), _HELP)
    if not fields.get("Entrypoint") and not fields.get("Cmd"):
        raise UsageError(f"config of {origin} to have an Entrypoint or a Cmd", "neither", _HELP)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    return Image(
        digest=f"sha256:{digest}",
        entrypoint=tuple(fields.get("Entrypoint", ())),
        command=tuple(fields.get("Cmd", ())),
        environment=tuple(fields.get("Env", ())),
        working_directory=fields.get("WorkingDir", ""),
        stop_signal=fields.get("StopSignal", "SIGTERM"),
    )


def describe(image: Image) -> str:
    """Return what the image runs, as a shell would be told.

    >>> describe(Image("sha256:0", entrypoint=("prometheus",), command=("--help",)))
    'prometheus --help'
    """
    return shlex.join((*image.entrypoint, *image.command))


def normalised(reference: str) -> str:
    """Return *reference* with the tag that a missing one means.

    >>> normalised("localhost:5000/checkout")
    'localhost:5000/checkout:latest'
    >>> normalised("localhost/checkout:v1")
    'localhost/checkout:v1'
    """
    name = reference.rpartition("/")[2]
    return reference if ":" in name or "@" in name else f"{reference}:latest"


def _file(layout: Layout, reference: str) -> Path:
    return layout.images / f"{quote(normalised(reference), safe='')}.json"


def _shown(value: object) -> str:
    return json.dumps(value, default=str)
