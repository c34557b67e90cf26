"""A stack's settings, and what is refused before anything is registered."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.catalogue import Catalogue
from quarterdeck_dashboards.catalogue import parse as parse_catalogue
from quarterdeck_stacks.overrides import override
from quarterdeck_stacks.project import load_project
from quarterdeck_stacks.settings import Loopback, Settings, check_against, parse
from quarterdeck_stacks.settings.keys import declared

ROOT = Path(__file__).parents[3]
SCHEMA = load_project(ROOT).schema
KEYS = {name for name, _, _ in declared(Settings)}


def _as_given(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default)


CONFIG = {name: _as_given(each["default"]) for name, each in SCHEMA.items()} | {
    "kubeconfig": "kubeconfig",
    "scrapeInterval": "2s",
    "drain": "1s",
    "loopbackPrefix": "127.77",
    **dict.fromkeys(("grafana", "kubeStateMetrics", "nodeExporter", "collector"), "false"),
}


def _parse(**changes: str) -> Settings:
    return parse("local", {**CONFIG, **changes})


def test_pulumi_yaml_declares_the_keys_that_the_program_reads() -> None:
    """Neither has one that the other does not, and each has a type, a description and a default."""
    assert SCHEMA.keys() == KEYS
    assert all(set(each) - {"items"} == {"type", "description", "default"} for each in SCHEMA.values())


def test_a_stack_is_read_into_numbers_and_names() -> None:
    """Durations are durations, and the environment is the stack's name."""
    settings = _parse()

    assert settings.environment == settings.shape == "local"
    assert settings.prometheus.scrape_interval == timedelta(seconds=2)
    assert settings.prometheus.retention == timedelta(days=31)
    assert settings.drain == timedelta(seconds=1)
    assert settings.loopback == Loopback("127.77")


def test_a_stack_may_look_like_another_environment() -> None:
    """`pr-42` has the shape of the environment it names, and keeps its own name in every label."""
    settings = parse("pr-42", {**CONFIG, "environment": "local"})

    assert (settings.environment, settings.shape) == ("pr-42", "local")


@pytest.mark.parametrize(
    ("prefix", "prometheus", "alertmanager"),
    [
        ("127.77", "http://127.77.0.90:9090", "http://127.77.0.93:9093"),
        ("", "http://prometheus.quarterdeck.svc:9090", "http://alertmanager.quarterdeck.svc:9093"),
    ],
)
def test_the_urls_are_known_before_anything_runs(prefix: str, prometheus: str, alertmanager: str) -> None:
    """On loopback by address, elsewhere by the Service's name."""
    settings = _parse(loopbackPrefix=prefix)

    assert (settings.prometheus_url, settings.alertmanager_url) == (prometheus, alertmanager)


def test_images_and_replicas_are_read_by_service() -> None:
    """A value may have an equals sign or a colon in it."""
    settings = _parse(images='["checkout=host:5000/a:v2"]', replicas='["checkout=4", "worker=2"]')

    assert settings.images == {"checkout": "host:5000/a:v2"}
    assert settings.replicas == {"checkout": 4, "worker": 2}


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    """A misspelt key would be a default in silence."""
    with pytest.raises(UsageError) as refused:
        _parse(scrapeIntervall="1s")

    assert refused.value.expected.startswith(
        "a configuration key of docs/reference/environments.md, such as scrapeInterval"
    )
    assert refused.value.expected.count(",") <= 3, "the nearest, not all there are"
    assert refused.value.found == "scrapeIntervall"
    assert refused.value.next_step == "write scrapeInterval in Pulumi.local.yaml"


def test_a_missing_key_is_named() -> None:
    """Pulumi fills in every default, so one that is missing has none."""
    with pytest.raises(UsageError) as refused:
        parse("local", {key: value for key, value in CONFIG.items() if key != "retention"})

    assert refused.value.expected == "a value for retention"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"scrapeInterval": "2"}, "'2'"),
        ({"drain": "1500ms"}, "'1500ms'"),
        ({"loopbackPrefix": "10.77"}, "'10.77'"),
        ({"loopbackPrefix": "127.277"}, "'127.277'"),
        ({"images": "checkout=a:b"}, "'checkout=a:b'"),
        ({"images": '["checkout"]'}, "'[\"checkout\"]'"),
        ({"replicas": '["checkout=0"]'}, "'0'"),
        ({"replicas": '["checkout=many"]'}, "'many'"),
        ({"environment": "moon"}, "'moon'"),
        ({"kubeconfig": ""}, "neither"),
    ],
)
def test_a_wrong_value_is_refused(changes: dict[str, str], found: str) -> None:
    """What was found is quoted."""
    with pytest.raises(UsageError) as refused:
        _parse(**changes)

    assert refused.value.found == found


def test_a_value_of_the_wrong_type_is_told_what_would_be_right() -> None:
    """By key."""
    with pytest.raises(UsageError) as refused:
        _parse(loopbackPrefix="10.77")

    assert refused.value.expected == ("the key loopbackPrefix to be two octets of the loopback network, such as 127.77")


def test_a_kubeconfig_is_never_shown() -> None:
    """It may be given as a secret's text."""
    assert "token" not in repr(_parse(kubeconfig="users:\n- token: abc\n"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("remoteWrite", '["vendor=https://acme:hunter2@metrics.example.com/api/v1/write"]'),
        ("probes", '["https://hunter2@shop.example.com/"]'),
        ("grafanaUrl", "https://admin:hunter2@grafana.example.com"),
    ],
)
def test_credentials_in_a_url_are_refused_without_being_shown(key: str, value: str) -> None:
    """They would be in a ConfigMap, and in each rendering that is committed."""
    with pytest.raises(UsageError) as refused:
        _parse(**{key: value})

    assert refused.value.expected.startswith(f"the key {key} without a user or a password")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("remoteWrite", '["vendor=metrics.example.com"]', "'metrics.example.com'"),
        ("remoteWrite", '["vendor=ftp://metrics.example.com"]', "'ftp://metrics.example.com'"),
        ("remoteWrite", '["Our vendor=https://metrics.example.com"]', "'Our vendor'"),
        ("probes", '["https:///health"]', "'https:///health'"),
        ("probes", '["https://shop.example.com:none/"]', "'https://shop.example.com:none/'"),
        ("grafanaUrl", "grafana.example.com", "'grafana.example.com'"),
        ("objectStore", "s3://samples?region=eu-west-1&secret_key=hunter2", "secret_key"),
        ("objectStore", "gs://samples?region=eu-west-1", "region"),
    ],
)
def test_what_no_program_could_ask_is_refused_before_anything_is_made(key: str, value: str, found: str) -> None:
    """Else a pod would say so, long after; what follows a bucket's name may be a credential and is not shown."""
    with pytest.raises(UsageError) as refused:
        _parse(**{key: value})

    assert refused.value.found == found
    assert "hunter2" not in str(refused.value)


def test_an_at_sign_after_a_urls_host_is_no_credential() -> None:
    """Paths may have one."""
    settings = parse("dev", {**CONFIG, "probes": '["https://shop.example.com/@acme"]'})

    assert settings.monitoring.probes == ("https://shop.example.com/@acme",)


def test_samples_outlive_every_slo_window(catalogue: Catalogue) -> None:
    """A 30 day budget cannot be computed from 15 days."""
    with pytest.raises(UsageError) as refused:
        check_against(_parse(retention="15d"), catalogue)

    assert refused.value.expected == "retention of at least 30d, the window of checkout's SLO availability"
    assert refused.value.found == "15d"


@pytest.mark.parametrize(
    ("name", "namespace"), [("checkout", "kube-system"), ("prometheus", "quarterdeck"), ("alertmanager", "quarterdeck")]
)
def test_a_service_takes_no_place_that_is_taken(catalogue: Catalogue, name: str, namespace: str) -> None:
    """Not the cluster's own namespaces, and not the monitoring's names."""
    service = catalogue.services[0].model_copy(update={"name": name, "namespace": namespace})

    with pytest.raises(UsageError):
        check_against(_parse(), catalogue.model_copy(update={"services": (service,)}))


def test_a_catalogue_that_fits_is_left_alone(catalogue: Catalogue) -> None:
    """Retention as long as the longest window is enough."""
    settings = _parse()

    check_against(replace(settings, prometheus=replace(settings.prometheus, retention=timedelta(days=30))), catalogue)


def test_overrides_are_part_of_the_catalogue_as_deployed(catalogue_text: str) -> None:
    """Whoever reads the facts sees what runs."""
    text = override(catalogue_text, images={"checkout": "registry.example.com/shop/checkout:2"}, replicas={"worker": 5})

    after = parse_catalogue(text, origin="services.yaml")
    assert after.service("checkout").version == "2"
    assert after.service("checkout").replicas == 3
    assert after.service("worker").replicas == 5


def test_without_overrides_the_catalogues_text_is_untouched(catalogue_text: str) -> None:
    """Comments and order included."""
    assert override(catalogue_text, images={}, replicas={}) is catalogue_text


@pytest.mark.parametrize("key", ["images", "replicas"])
def test_an_override_for_no_service_is_refused(catalogue_text: str, key: str) -> None:
    """The key that has it is named."""
    with pytest.raises(UsageError) as refused:
        override(
            catalogue_text,
            images={"chekout": "a:b"} if key == "images" else {},
            replicas={"chekout": 3} if key == "replicas" else {},
        )

    assert refused.value.found == "chekout"
    assert refused.value.next_step == f"correct the stack's key `{key}`"


def test_the_local_stack_keeps_pulumi_off_the_ambient_cluster(root: Path) -> None:
    """A resource without the explicit provider is refused by the engine."""
    config = yaml.safe_load((root / "stacks" / "Pulumi.local.yaml").read_text())["config"]

    assert config["pulumi:disable-default-providers"] == ["kubernetes"]
