"""What the stack writes, the commands read."""

from __future__ import annotations

import pytest

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_contract.errors import UsageError

FACTS = EnvironmentFacts(
    environment="local",
    prometheus_url="http://127.77.0.90:9090",
    alertmanager_url="http://127.77.0.93:9093",
    catalogue="version: 1\n",
    scrape_interval="2s",
)


def test_facts_survive_the_configmap() -> None:
    """Written and read back they are equal."""
    assert EnvironmentFacts.from_data(FACTS.to_data()) == FACTS


def test_keys_of_a_newer_stack_are_ignored() -> None:
    """An older command reads what a newer stack wrote."""
    assert EnvironmentFacts.from_data({**FACTS.to_data(), "tempo-url": "http://tempo"}) == FACTS


def test_a_missing_key_says_that_the_stack_is_old() -> None:
    """The message names the key and the command that writes it."""
    data = FACTS.to_data()
    del data["scrape-interval"]

    with pytest.raises(UsageError) as caught:
        EnvironmentFacts.from_data(data)

    assert caught.value.found == "no scrape-interval"
    assert caught.value.exit_code == 2


def test_what_an_older_stack_does_not_say_is_empty() -> None:
    """Where nobody needs it, an environment without it is no error."""
    data = {key: text for key, text in FACTS.to_data().items() if key not in {"grafana-url", "cluster-uid"}}

    assert EnvironmentFacts.from_data(data) == FACTS
