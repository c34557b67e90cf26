"""A container's command line and variables, from manifest, image and what both refer to."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.local.images import Image
from quarterdeck_scripts.local.pods.environment import Context, environment, plan
from quarterdeck_scripts.local.pods.fields import Identity, UnresolvedError, field_value, quantity, resource_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json

IDENTITY = Identity("127.77.1.0", "127.77.255.1")
IMAGE = Image(
    "sha256:1",
    entrypoint=("/scratch/venv/bin/python", "-m", "app"),
    command=("--default",),
    environment=("LEVEL=info", "PATH=/scratch/venv/bin"),
    working_directory="/scratch/app",
)


@pytest.fixture
def context(pod: Callable[..., Json], objects: Callable[..., Any]) -> Context:
    """Return what the pod and the cluster give; the emptyDir at /scratch is why the image's paths must stay."""
    config = {"kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "settings"}}
    secret = {"kind": "Secret", "metadata": {"namespace": "shop", "name": "keys"}}
    lookup = objects(
        {**config, "data": {"color": "blue", "folder": "/scratch/cache"}},
        {**secret, "data": {"key": base64.b64encode(b"s3cret").decode()}},
    )
    mounts = {"/scratch": "/state/tmp", "/etc/app": "/state/etc/app"}
    return Context(pod(), IDENTITY, lookup, mounts, {"HOME": "/state/root", "LEVEL": "none"})


def test_the_images_program_runs_with_the_manifests_arguments(context: Context) -> None:
    """Mount paths in the arguments are replaced; the image's own paths, which are this machine's, are not."""
    container = {"args": ["--config=/etc/app/app.yml", "$(HOME)/x"]}

    planned = plan(container, IMAGE, context)

    assert planned.arguments == (
        "/scratch/venv/bin/python",
        "-m",
        "app",
        "--config=/state/etc/app/app.yml",
        "/state/root/x",
    )
    assert planned.environment["PATH"] == "/scratch/venv/bin"
    assert planned.working_directory == "/scratch/app"


@pytest.mark.parametrize(
    ("container", "arguments"),
    [
        ({}, ("/scratch/venv/bin/python", "-m", "app", "--default")),
        ({"command": ["/bin/true"]}, ("/bin/true",)),
        ({"command": ["/bin/echo"], "args": ["a"]}, ("/bin/echo", "a")),
    ],
)
def test_a_command_replaces_the_images_program_and_its_arguments(
    context: Context, container: Json, arguments: tuple[str, ...]
) -> None:
    """Kubernetes' table of command and args."""
    assert plan(container, IMAGE, context).arguments == arguments


def test_a_working_directory_below_a_mount_is_the_mounts_folder(context: Context) -> None:
    """The manifest's speaks of the container's file system."""
    assert plan({"workingDir": "/scratch/work"}, IMAGE, context).working_directory == "/state/tmp/work"


def test_variables_are_ours_then_the_images_then_the_manifests_in_order(context: Context) -> None:
    """Each may use those before it; an unknown name stays as it is written, and `$$` is a dollar."""
    container = {
        "name": "main",
        "envFrom": [{"prefix": "C_", "configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "CACHE", "value": "/scratch/cache"},
            {"name": "ALL", "value": "$(LEVEL) $(C_color) $(CACHE) $(LATER) $$(LEVEL)"},
            {"name": "LATER", "value": "x"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
    }

    variables = environment(container, IMAGE, context)

    assert variables == {
        "HOME": "/state/root",
        "LEVEL": "info",
        "PATH": "/scratch/venv/bin",
        "C_color": "blue",
        "C_folder": "/state/tmp/cache",
        "CACHE": "/state/tmp/cache",
        "ALL": "info blue /state/tmp/cache $(LATER) $(LEVEL)",
        "LATER": "x",
        "KEY": "s3cret",
        "IP": "127.77.1.0",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "a"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "a"}}, "couldn't find key a in ConfigMap shop/settings"),
        ({"secretKeyRef": {"name": "none", "key": "a"}}, 'secret "none" not found'),
        ({"fieldRef": {"fieldPath": "spec.color"}}, "unsupported fieldPath: spec.color"),
        ({"resourceFieldRef": {"resource": "limits.gpu"}}, "unsupported resourceFieldRef:  limits.gpu"),
        ({"fileKeyRef": {}}, "unsupported source of variable A: fileKeyRef"),
    ],
)
def test_what_is_missing_is_named_as_a_kubelet_names_it(context: Context, source: Json, message: str) -> None:
    """The message becomes that of CreateContainerConfigError."""
    with pytest.raises(UnresolvedError) as missing:
        environment({"name": "main", "env": [{"name": "A", "valueFrom": source}]}, IMAGE, context)

    assert str(missing.value) == message


def test_what_is_optional_and_missing_is_left_out(context: Context) -> None:
    """Neither a variable nor a failure."""
    optional = {"configMapKeyRef": {"name": "settings", "key": "a", "optional": True}}
    container = {
        "envFrom": [{"secretRef": {"name": "none", "optional": True}}],
        "env": [{"name": "A", "valueFrom": optional}],
    }

    assert "A" not in environment(container, IMAGE, context)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "checkout-1"),
        ("metadata.labels['app']", "checkout"),
        ("metadata.labels['absent']", ""),
        ("metadata.labels", 'app="checkout"\ntier="one"'),
        ("metadata.annotations", 'note="a \\"quoted\\" word"'),
        ("spec.nodeName", "local-1"),
        ("spec.serviceAccountName", "checkout"),
        ("status.hostIP", "127.77.255.1"),
    ],
)
def test_a_pod_may_ask_about_itself(pod: Callable[..., Json], path: str, value: str) -> None:
    """The fields of the downward API, spelled as it spells them."""
    assert field_value(pod(), path, IDENTITY) == value


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.memory"}, "67108864"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "requests.cpu"}, "1"),
        ({"resource": "limits.cpu"}, "16"),
        ({"resource": "limits.memory", "containerName": "main", "divisor": "0"}, "67108864"),
    ],
)
def test_resources_are_rounded_up_to_their_divisor(pod: Callable[..., Json], reference: Json, value: str) -> None:
    """A request defaults to the limit, a limit to what the node has."""
    resources = {"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}}
    container = {"name": "main", "image": "x", "resources": resources}

    assert resource_value(pod(container), reference, container) == value


def test_a_quantity_that_is_none_is_refused() -> None:
    """The message has the text."""
    with pytest.raises(UnresolvedError, match="unsupported quantity: 5 apples"):
        quantity("5 apples")
