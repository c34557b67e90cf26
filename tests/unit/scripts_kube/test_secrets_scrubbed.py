"""Secrets are found in texts: by the name before them, by their own form, and where a known one is repeated."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.kube.secrets import scrubbed, secrets_in

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r"  # noqa: S105 -- the form of one


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=x", "password=(not shown)"),
        ('{"db_password": "a b", "n": 1}', '{"db_password": (not shown), "n": 1}'),
        ("API-KEY: 'k'; next", "API-KEY: (not shown); next"),
        ("api_key: 'k'; next", "api_key: (not shown); next"),
        ("Authorization: Bearer abc.def\nHost: h", "Authorization: (not shown)\nHost: h"),
        ("amqp://user:pw@host/v", "amqp://user:(not shown)@host/v"),
        (f"got {TOKEN} from anna", "got (not shown) from anna"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest", "(not shown)\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nMII, and cut", "(not shown)"),
        ("the tokens are counted, compassword=1", "the tokens are counted, compassword=1"),
    ],
)
def test_a_secret_in_a_text_is_not_shown(text: str, shown: str) -> None:
    """What is around it stays."""
    assert scrubbed(text.encode()).decode() == shown


def test_a_known_secret_is_found_wherever_it_is() -> None:
    """Also within a word, and in bytes that are no text; one too short to tell from a word is left."""
    assert scrubbed(b"\xffx-hunter22-x \xe9 ok", ["hunter22", "ok"]) == b"\xffx-(not shown)-x \xe9 ok"
    assert scrubbed("schlüssel".encode(), ["schlüssel"]) == b"(not shown)"


def test_what_is_hidden_in_objects_is_known() -> None:
    """Variables by name, members by key, passwords of URLs; not the copy of a whole object."""
    found = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "env": [{"name": "DB_PASSWORD", "value": "one"}, {"name": "TOKEN", "valueFrom": {}}],
        "data": {"api_key": "two", "url": "amqp://u:three@host", "plain": "four"},
    }

    assert sorted(secrets_in(found)) == ["one", "three", "two"]
