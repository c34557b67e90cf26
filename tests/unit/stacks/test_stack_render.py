"""The Pulumi program, run without Pulumi."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, UsageError
from quarterdeck_stacks.manifests import RenderError, to_files
from quarterdeck_stacks.project import SECRET, StackConfig, load_project
from quarterdeck_stacks.render import Rendering, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Objects = Callable[..., dict[tuple[str, str | None, str], dict[str, Any]]]

IMPORTS = """\
import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, Secret, Service
"""


def _render(folder: Path, program: str, **config: str) -> Rendering:
    (folder / "Pulumi.yaml").write_text("name: toy\nruntime: python\nmain: .\n")
    (folder / "__main__.py").write_text(IMPORTS + program)
    values = {f"toy:{key}": value for key, value in config.items()}
    return render(load_project(folder), "local", StackConfig(values, frozenset()))


def test_the_local_stack_has_one_of_each_and_the_catalogues_service(local_objects: Objects) -> None:
    """By kind, namespace and name, hashes aside."""
    found = sorted((kind, place or "", name.rpartition("-")[0] or name) for kind, place, name in local_objects())

    assert found == [
        ("ConfigMap", "quarterdeck", "alertmanager-config"),
        ("ConfigMap", "quarterdeck", "prometheus-config"),
        ("ConfigMap", "quarterdeck", "prometheus-rules"),
        ("ConfigMap", "quarterdeck", "quarterdeck"),
        ("Deployment", "quarterdeck", "alertmanager"),
        ("Deployment", "quarterdeck", "prometheus"),
        ("Deployment", "shop", "checkout"),
        ("Namespace", "", "quarterdeck"),
        ("Namespace", "", "shop"),
        ("PodDisruptionBudget", "shop", "checkout"),
        ("Role", "quarterdeck", "prometheus"),
        ("Role", "shop", "prometheus"),
        ("RoleBinding", "quarterdeck", "prometheus"),
        ("RoleBinding", "shop", "prometheus"),
        ("Service", "quarterdeck", "alertmanager"),
        ("Service", "quarterdeck", "prometheus"),
        ("Service", "shop", "checkout"),
        ("ServiceAccount", "quarterdeck", "alertmanager"),
        ("ServiceAccount", "quarterdeck", "prometheus"),
        ("ServiceAccount", "shop", "checkout"),
    ]


def test_two_renderings_are_the_same_to_the_byte(local_objects: Objects) -> None:
    """In one process, one after the other: nothing of the first is in the second."""
    assert to_files(local_objects().values()) == to_files(local_objects().values())


def test_overrides_reach_the_objects_and_the_facts(local_objects: Objects) -> None:
    """What runs is what the facts say."""
    objects = local_objects('images=["checkout=localhost/checkout:v9"]', 'replicas=["checkout=1"]')

    deployment = objects["Deployment", "shop", "checkout"]["spec"]
    facts = objects["ConfigMap", "quarterdeck", "quarterdeck-environment"]["data"]
    assert deployment["replicas"] == 1
    assert deployment["template"]["spec"]["containers"][0]["image"] == "localhost/checkout:v9"
    assert "image: localhost/checkout:v9" in facts["catalogue"]
    assert ("PodDisruptionBudget", "shop", "checkout") not in objects


def test_no_kubeconfig_is_needed(local_objects: Objects, tmp_path: Path) -> None:
    """A rendering speaks to no cluster, so one that is not running is no reason to fail."""
    assert local_objects(f"kubeconfig={tmp_path / 'nowhere'}").keys() == local_objects().keys()


@pytest.mark.parametrize("prefix", ["127.80", "127.81"])
def test_another_loopback_prefix_is_another_environment_on_the_same_machine(
    local_objects: Objects, prefix: str
) -> None:
    """Its addresses and its facts follow."""
    objects = local_objects(f"loopbackPrefix={prefix}")

    facts = objects["ConfigMap", "quarterdeck", "quarterdeck-environment"]["data"]
    pod = objects["Deployment", "quarterdeck", "prometheus"]["spec"]["template"]
    assert facts["prometheus-url"] == f"http://{prefix}.0.90:9090"
    assert pod["metadata"]["annotations"]["quarterdeck.dev/address"] == f"{prefix}.0.90"


def test_what_the_program_says_is_wrong_is_the_error(local_objects: Objects) -> None:
    """Its own words and its own exit code, with nothing of Pulumi's around them."""
    with pytest.raises(UsageError) as refused:
        local_objects("retention=1d")

    assert refused.value.found == "1d"
    assert refused.value.exit_code == 2


def test_no_cycles_are_looked_for_while_a_program_runs(tmp_path: Path) -> None:
    """What it makes lives until its end, so every search is in vain: half the time of a catalogue of a hundred."""
    place = 'metadata={"name": "c", "namespace": "a"}'

    rendering = _render(tmp_path, f'import gc\nConfigMap("c", {place}, data={{"searches": str(gc.isenabled())}})\n')

    assert rendering.objects[0]["data"] == {"searches": "False"}
    assert gc.isenabled()


def test_cycles_are_looked_for_again_after_a_program_that_broke(tmp_path: Path) -> None:
    """Whoever renders may go on."""
    with pytest.raises(RenderError):
        _render(tmp_path, "raise ValueError\n")

    assert gc.isenabled()


def test_secrets_are_left_out_and_named(tmp_path: Path) -> None:
    """References to them stay."""
    rendering = _render(
        tmp_path,
        'hidden = {"password": pulumi.Output.secret("hunter2")}\n'
        'Secret("s", metadata={"name": "s", "namespace": "a"}, string_data=hidden)\n'
        'ConfigMap("c", metadata={"name": "c", "namespace": "a"}, data={"secret": "s"})\n',
    )

    assert [each["kind"] for each in rendering.objects] == ["ConfigMap"]
    assert rendering.left_out == ["Secret a/s: a rendering carries references, never Secret data"]
    assert "hunter2" not in repr(rendering)


@pytest.mark.parametrize(
    "value",
    [
        'pulumi.Output.secret("hunter2")',
        'pulumi.Config().require("password")',
        '"p=" + pulumi.Config().require("password")',
    ],
)
def test_a_secret_outside_a_secret_is_refused_without_showing_it(tmp_path: Path, value: str) -> None:
    """Whether Pulumi knows it to be one, or the stack's configuration has it encrypted."""
    with pytest.raises(RenderError) as refused:
        _render(
            tmp_path,
            f'ConfigMap("c", metadata={{"name": "c", "namespace": "a"}}, data={{"p": {value}}})\n',
            password=SECRET,
        )

    assert refused.value.expected == "no secret outside a Secret"
    assert refused.value.found == "ConfigMap c.data.p"


def test_a_value_that_only_the_cluster_knows_is_refused(tmp_path: Path) -> None:
    """There is nothing that could be written in its place."""
    with pytest.raises(RenderError) as refused:
        _render(
            tmp_path,
            'made = Service("s", metadata={"name": "s", "namespace": "a"}, spec={})\n'
            "address = made.status.load_balancer.ingress[0].ip\n"
            'ConfigMap("c", metadata={"name": "c", "namespace": "a"}, data={"ip": address})\n',
        )

    assert refused.value.found == "ConfigMap c.data.ip, which only the cluster knows"


def test_a_value_that_the_program_gave_itself_is_known(tmp_path: Path) -> None:
    """An output that is an input of the same resource resolves."""
    rendering = _render(
        tmp_path,
        'made = Service("s", metadata={"name": "s", "namespace": "a"}, spec={})\n'
        'ConfigMap("c", metadata={"name": "c", "namespace": "a"}, data={"name": made.metadata.name})\n',
    )

    assert rendering.objects[1]["data"] == {"name": "s"}


def test_what_only_its_provider_can_expand_is_refused(tmp_path: Path) -> None:
    """A chart is no object."""
    with pytest.raises(RenderError) as refused:
        _render(tmp_path, 'from pulumi_kubernetes.helm.v3 import Release\nRelease("r", chart="c")\n')

    assert refused.value.found == "kubernetes:helm.sh/v3:Release r, which only its provider can expand"


def test_resources_outside_kubernetes_are_left_out_and_named(tmp_path: Path) -> None:
    """A bucket is made by its cloud."""
    rendering = _render(tmp_path, 'pulumi.CustomResource("aws:s3/bucket:Bucket", "b", {})\n')

    assert (rendering.objects, rendering.left_out) == ([], ["aws:s3/bucket:Bucket b: not a Kubernetes object"])


@pytest.mark.parametrize(
    "program",
    [
        'pulumi.runtime.invoke("aws:index:getRegion", {})\n',
        'ConfigMap.get("c", "a/c")\n',
    ],
)
def test_a_program_that_asks_a_provider_is_refused(tmp_path: Path, program: str) -> None:
    """Only the provider could answer."""
    with pytest.raises(QuarterdeckError) as refused:
        _render(tmp_path, program)

    assert refused.value.expected.startswith("a program that")


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("1 / 0\n", 3),
        ('made = Service("s", metadata={"name": "s"}, spec={})\nmade.metadata.name.apply(lambda name: 1 / 0)\n', 4),
    ],
)
def test_a_program_that_breaks_is_reported_with_its_line(tmp_path: Path, program: str, line: int) -> None:
    """At once, or where an output resolves: never as a traceback of Pulumi's event loop."""
    with pytest.raises(RenderError) as refused:
        _render(tmp_path, program)

    assert refused.value.found.startswith("ZeroDivisionError: division by zero (")
    assert refused.value.found.endswith(f"__main__.py:{line})")


def test_a_program_that_pulumi_itself_refuses_says_why(tmp_path: Path) -> None:
    """A required key of the configuration."""
    with pytest.raises(RenderError) as refused:
        _render(tmp_path, 'pulumi.Config().require("missing")\n')

    assert "toy:missing" in refused.value.found
