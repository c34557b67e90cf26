"""What a right `services.yaml` means, and files that cannot be read."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.catalogue import Catalogue, Slo, SloKind, load, parse
from quarterdeck_dashboards.catalogue.document import read
from quarterdeck_dashboards.catalogue.model import json_schema

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    owner: payments
    image: registry.example:5000/team/checkout:v1.2
"""


def test_what_is_left_out_has_its_documented_default() -> None:
    """A service needs a name, an owner and an image."""
    service = parse(MINIMAL, "services.yaml").service("checkout")

    assert (service.namespace, service.tier, service.port, service.replicas) == ("default", 2, 8080, 2)
    assert (service.health, service.slos, service.version) == ("/healthz", (), "v1.2")
    assert service.rollout.max_wait == timedelta(minutes=10)


def test_the_repositorys_own_catalogue_is_valid(root: Path) -> None:
    """It is the example that users start from."""
    catalogue = load(root / "services.yaml")

    assert [service.name for service in catalogue.services] == ["checkout"]
    assert catalogue.service("checkout").slos[1] == Slo(
        name="latency", kind=SloKind.LATENCY, objective=99, threshold=timedelta(milliseconds=250)
    )


def test_a_service_that_is_not_there_is_a_key_error() -> None:
    """Callers know what they asked for and say it better."""
    with pytest.raises(KeyError, match="orders"):
        parse(MINIMAL, "services.yaml").service("orders")


def test_anchors_and_merge_keys_share_what_services_have_in_common() -> None:
    """What a mapping says itself wins over what is merged, and earlier merges over later ones."""
    text = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - &first
    name: a
    owner: payments
    image: &image a/b:v1
    rollout: &slow {max_wait: 20m}
  - <<: [{tier: 3}, *first]
    name: b
    rollout: {<<: *slow, canary_replicas: 2}
"""

    first, second = parse(text, "services.yaml").services

    assert (second.name, second.owner, second.image, second.tier) == ("b", "payments", "a/b:v1", 3)
    assert (second.rollout.max_wait, second.rollout.canary_replicas) == (timedelta(minutes=20), 2)
    assert first.tier == 2


def test_words_that_old_yaml_took_for_booleans_and_numbers_are_text() -> None:
    """An owner called `on`, a time that is not base 60: YAML 1.2, as editors read it."""
    assert read("[on, no, 1:30, 2026-01-02, 0x10, 1_000]").data == ["on", "no", "1:30", "2026-01-02", "0x10", "1_000"]
    assert read("[true, null, ~, -7, 1.5, 1e3, .inf]").data == [True, None, None, -7, 1.5, 1000.0, float("inf")]


def test_a_byte_order_mark_is_no_text() -> None:
    """Some editors write one."""
    assert parse("\ufeff" + MINIMAL, "services.yaml") == parse(MINIMAL, "services.yaml")


def test_a_catalogue_survives_being_written_as_json() -> None:
    """Durations are written as they are read."""
    catalogue = parse(MINIMAL, "services.yaml")

    assert '"max_wait":"10m"' in catalogue.model_dump_json()
    assert Catalogue.model_validate_json(catalogue.model_dump_json()) == catalogue


def test_the_rules_hold_for_catalogues_made_in_code_too() -> None:
    """They are the models' own, not the file reader's."""
    slo = {"name": "a", "kind": "availability", "objective": 99}
    service = {"name": "checkout", "owner": "payments", "image": "a/b:v1", "slos": [slo, slo]}

    with pytest.raises(ValidationError, match="expected each SLO name once, found 'a' again"):
        Catalogue.model_validate({"version": 1, "runbook_base_url": "https://example.org/", "services": [service]})


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    """The usual case: the command runs in the wrong folder."""
    path = tmp_path / "services.yaml"

    with pytest.raises(UsageError) as caught:
        load(path)

    assert str(caught.value) == (
        f"Expected a readable file {path}.\nFound No such file or directory.\nNext: name the catalogue with --services."
    )


def test_a_file_that_is_not_text_says_where(tmp_path: Path) -> None:
    """Saved in another encoding."""
    path = tmp_path / "services.yaml"
    path.write_bytes(b"owner: caf\xe9")

    with pytest.raises(UsageError) as caught:
        load(path)

    assert caught.value.found == "the byte 0xe9 at 10"


def test_the_json_schema_for_editors_is_as_committed(root: Path) -> None:
    """Rebuild it with `quarterdeck rules schema > docs/reference/services.schema.json`."""
    committed = json.loads((root / "docs/reference/services.schema.json").read_text(encoding="utf-8"))

    assert json_schema() == committed


def test_every_field_of_the_schema_is_described() -> None:
    """Editors show the description when a key is typed."""
    schema = json_schema()
    models = {"Catalogue": schema, **schema["$defs"]}

    undescribed = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, field in model.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert undescribed == []
    assert schema["$defs"]["RolloutPlan"]["properties"]["max_wait"]["default"] == "10m"


def test_the_tag_before_a_digest_is_the_version() -> None:
    """A pinned image still says which version it is."""
    pinned = MINIMAL.replace(":v1.2", f":v1.2@sha256:{'0a' * 32}")

    service = parse(pinned, "services.yaml").service("checkout")

    assert service.version == "v1.2"
    assert service.image == f"registry.example:5000/team/checkout:v1.2@sha256:{'0a' * 32}"


def test_what_pods_are_given_may_be_said() -> None:
    """Resources, the autoscaler's bound, who may call it, and where what it calls is."""
    text = MINIMAL + (
        "    max_replicas: 8\n"
        "    resources: {cpu: 250m, memory: 1Gi, memory_limit: 1024Mi}\n"
        "    callers: [ingress-nginx]\n"
        "    dependencies: [{name: orders-db, kind: postgresql, cidr: 10.20.0.0/16, port: 5433}]\n"
    )

    service = parse(text, "services.yaml").service("checkout")

    assert (service.max_replicas, service.callers) == (8, ("ingress-nginx",))
    assert (service.resources.cpu, service.resources.memory_limit) == ("250m", "1024Mi")
    assert (service.dependencies[0].port, service.dependencies[0].cidr) == (5433, "10.20.0.0/16")
