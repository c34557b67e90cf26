"""Objects as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks import manifests
from quarterdeck_stacks.files import write
from quarterdeck_stacks.manifests import RenderError, clean, file_name, to_files

if TYPE_CHECKING:
    from pathlib import Path


def _object(kind: str, name: str, namespace: str | None = "shop", **more: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name, **place}, **more}


def test_file_names_sort_in_the_order_of_application() -> None:
    """What is referred to comes before what refers to it, a kind that nobody knows comes last."""
    files = to_files(
        [
            _object("Widget", "w"),
            _object("Deployment", "checkout"),
            _object("RoleBinding", "prometheus"),
            _object("Role", "prometheus"),
            _object("Namespace", "shop", None),
            _object("ConfigMap", "config"),
        ]
    )

    assert [name.partition("-")[2] for name in files] == [
        "namespace_shop.yaml",
        "configmap_shop_config.yaml",
        "role_shop_prometheus.yaml",
        "rolebinding_shop_prometheus.yaml",
        "deployment_shop_checkout.yaml",
        "widget_shop_w.yaml",
    ]
    assert list(files) == sorted(files)


def test_the_same_objects_give_the_same_bytes_in_any_order() -> None:
    """Neither the order of registration nor that of keys is seen."""
    one = _object("ConfigMap", "a", data={"x": "1", "y": "2"})
    same = {"data": {"y": "2", "x": "1"}, "metadata": {"namespace": "shop", "name": "a"}, "apiVersion": "v1"}
    other = _object("Service", "a")

    assert to_files([one, other]) == to_files([other, {**same, "kind": "ConfigMap"}])


def test_numbers_are_whole_again() -> None:
    """Pulumi's wire format has no integers; Kubernetes refuses a port 8080.0."""
    assert clean(_object("Service", "a", spec={"ports": [{"port": 8080.0}], "ratio": 0.5}))["spec"] == {
        "ports": [{"port": 8080}],
        "ratio": 0.5,
    }


def test_directives_to_pulumis_provider_are_left_out() -> None:
    """Other annotations stay, and no empty map is left behind."""
    both = _object("Service", "a")
    both["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true", "quarterdeck.dev/address": "127.77.0.1"}
    one = _object("Service", "a")
    one["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}

    assert clean(both)["metadata"]["annotations"] == {"quarterdeck.dev/address": "127.77.0.1"}
    assert "annotations" not in clean(one)["metadata"]


def test_texts_of_several_lines_are_blocks_and_read_back_unchanged() -> None:
    """A rendered rule file can be reviewed."""
    text = "groups:\n- name: a # why\n  rules: []\n"

    (file,) = to_files([_object("ConfigMap", "a", data={"rules.yaml": text})]).values()

    assert "rules.yaml: |\n    groups:\n" in file
    assert yaml.safe_load(file)["data"]["rules.yaml"] == text


def test_no_two_objects_share_a_file() -> None:
    """A hyphen is in names; the separator is not."""
    assert file_name(_object("Service", "c", "a-b")) != file_name(_object("Service", "b-c", "a"))


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ([_object("Service", "")], "a Service without one"),
        ([_object("Service", "a", None)], "none"),
        ([_object("Service", "a"), _object("Service", "a")], "14-service_shop_a.yaml twice"),
    ],
)
def test_an_object_that_could_land_anywhere_is_refused(objects: list[dict[str, Any]], found: str) -> None:
    """Without a name, without a namespace, or over another."""
    with pytest.raises(RenderError) as refused:
        to_files(objects)

    assert refused.value.found == found


def test_a_rendering_replaces_the_one_before_it_and_nothing_else(tmp_path: Path) -> None:
    """A ConfigMap of another content has another name: the old file would be applied again."""
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    (tmp_path / "README.md").write_text("ours\n")
    write({"01-a.yaml": "a: 1\n", "02-b.yaml": "b: 1\n"}, tmp_path, origin="render")

    assert write({"02-b.yaml": "b: 1\n", "03-c.yaml": "c: 1\n"}, tmp_path, origin="render") == 2

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "02-b.yaml",
        "03-c.yaml",
        "README.md",
        "kustomization.yaml",
    ]
    assert (tmp_path / "03-c.yaml").read_text() == "# Rendered by `render`. Do not edit.\nc: 1\n"


def test_a_file_that_no_rendering_wrote_is_never_overwritten(tmp_path: Path) -> None:
    """It is named, and nothing is written."""
    (tmp_path / "02-b.yaml").write_text("mine: true\n")

    with pytest.raises(UsageError) as refused:
        write({"01-a.yaml": "a: 1\n", "02-b.yaml": "b: 1\n"}, tmp_path, origin="render")

    assert refused.value.found == "a 02-b.yaml that is none of it"
    assert [path.name for path in tmp_path.iterdir()] == ["02-b.yaml"]


def test_a_file_that_has_its_text_is_not_touched(tmp_path: Path) -> None:
    """A folder that is watched or synced sees only what changed."""
    write({"01-a.yaml": "a: 1\n"}, tmp_path, origin="render")
    before = (tmp_path / "01-a.yaml").stat().st_mtime_ns

    write({"01-a.yaml": "a: 1\n"}, tmp_path, origin="render")

    assert (tmp_path / "01-a.yaml").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\n",
        "täglich",
        "a rocket 🚀\nand a line\n",
        "no: yes",
        " led by a blank",
        "x" * 300,
        "words " * 40,
        "1e3",
    ],
)
def test_the_same_bytes_are_written_with_and_without_libyaml(text: str) -> None:
    """A rendering is compared across machines, and not every PyYAML has the fast half."""
    manifest = {"data": {"key": text, "list": [text, text]}}

    plain = yaml.dump(manifest, Dumper=manifests._PlainDumper, sort_keys=False, allow_unicode=True, width=120)

    assert manifests.to_yaml(manifest) == plain
    assert yaml.safe_load(plain) == manifest
