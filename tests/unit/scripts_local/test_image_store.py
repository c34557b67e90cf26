"""The image store: from an image's name to the program it stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local import images

if TYPE_CHECKING:
    from pathlib import Path


def test_an_image_is_found_by_the_name_it_was_added_under(tmp_path: Path) -> None:
    """All that its configuration says of running it is there."""
    config = {
        "Entrypoint": ["python", "-m", "app"],
        "Cmd": ["--port=80"],
        "Env": ["A=b"],
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "ExposedPorts": {"80/tcp": {}},
    }
    images.add(tmp_path, "localhost:5000/team/app:v1", {"config": config})

    found = images.find(tmp_path, "localhost:5000/team/app:v1")

    assert found is not None
    assert replace(found, digest="") == images.Image(
        digest="",
        entrypoint=("python", "-m", "app"),
        command=("--port=80",),
        environment=("A=b",),
        working_directory="/srv",
        stop_signal="SIGQUIT",
    )
    assert images.references(tmp_path) == ["localhost:5000/team/app:v1"]


def test_no_tag_means_latest(tmp_path: Path) -> None:
    """In the store as in a manifest."""
    images.add(tmp_path, "app", {"config": {"Cmd": ["true"]}})

    assert images.find(tmp_path, "app:latest") is not None
    assert images.find(tmp_path, "app:v1") is None


def test_the_digest_changes_with_the_configuration(tmp_path: Path) -> None:
    """So a pod's status says which of two images of one name it runs."""
    digests = []
    for program in ("true", "false", "true"):
        images.add(tmp_path, "app", {"config": {"Entrypoint": [program]}})
        found = images.find(tmp_path, "app")
        digests.append(found.digest if found else "")

    assert digests[0] == digests[2] != digests[1]
    assert digests[0].startswith("sha256:")


def test_the_monitoring_images_are_the_installed_tools(tmp_path: Path) -> None:
    """Under the names that the stack's manifests have."""
    images.register_monitoring(tmp_path, {"prometheus": "/opt/prometheus", "etcd": "/opt/etcd"})

    assert images.references(tmp_path) == ["quay.io/prometheus/prometheus:v3.16.0"]


@pytest.mark.parametrize(
    ("config", "expected", "found"),
    [
        ({}, "app to have an object `config`", "null"),
        ({"config": {"Entrypoint": "true"}}, "config.Entrypoint of app to be a list of strings", '"true"'),
        ({"config": {"Entrypoint": ["a"], "WorkingDir": 3}}, "config.WorkingDir of app to be a string", "3"),
        (
            {"config": {"Entrypoint": ["a"], "Command": ["b"]}},
            (
                "config of app to have only ArgsEscaped, Cmd, Entrypoint, Env, ExposedPorts, Healthcheck, Labels, "
                "StopSignal, User, Volumes, WorkingDir"
            ),
            '"Command"',
        ),
        ({"config": {"Env": []}}, "config of app to have an Entrypoint or a Cmd", "neither"),
        (
            {"config": {"Cmd": ["a"], "StopSignal": "TERMINATE"}},
            "config.StopSignal of app to be a signal's name",
            '"TERMINATE"',
        ),
    ],
)
def test_a_configuration_that_is_none_is_refused_by_field(
    tmp_path: Path, config: dict[str, Any], expected: str, found: str
) -> None:
    """The message says which field, what was expected and what stands there."""
    with pytest.raises(UsageError) as refused:
        images.add(tmp_path, "app", config)

    assert (refused.value.expected, refused.value.found) == (expected, found)
