"""Secrets are found in texts: by the name before them, by their own form, and where a known one is repeated."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.kube.secrets import HIDDEN, scrubbed, secrets_in, without_secrets

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
        ("the tokens are counted, compass=1", "the tokens are counted, compass=1"),
        ("authorization: token abcdef\nHost: h", "authorization: (not shown)\nHost: h"),
        ("postgres://u:pa/ss@h/db", "postgres://u:(not shown)@h/db"),
        ("http://h:8080/users/a@b", "http://h:8080/users/a@b"),
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


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASSWORD", "PGPASSWORD", "dbPassword", "SMTP_PASS", "smtpPass", "MYSQL_PWD", "SECRET_KEY"),
        *("DJANGO_SECRET_KEY", "ENCRYPTION_KEY", "signing-key", "clientSecret", "REDIS_AUTH", "redisAuth"),
        *("GITHUB_PAT", "AWS_SECRET_ACCESS_KEY", "sentryDsn", "Authorization"),
    ],
)
def test_a_secret_is_known_by_its_name_however_words_are_joined(name: str) -> None:
    """In a variable, a member, an argument of its own or the next one, and a log; the rest of it stays."""
    planted = "s3cr3tvalue"
    found = {
        "env": [{"name": name, "value": planted}],
        "data": {name: planted},
        "command": ["serve", f"--{name}", planted, f"--{name}={planted}", f"--{name}", "--verbose"],
    }

    assert without_secrets(found) == {
        "env": [{"name": name, "value": HIDDEN}],
        "data": {name: HIDDEN},
        "command": ["serve", f"--{name}", HIDDEN, f"--{name}={HIDDEN}", f"--{name}", "--verbose"],
    }
    assert [*secrets_in(found)] == [planted] * 4
    assert scrubbed(f"with {name}={planted}; next".encode()).decode() == f"with {name}={HIDDEN}; next"


@pytest.mark.parametrize(
    "name",
    [
        *("AUTHOR", "authority", "compass", "BYPASS", "tls_passthrough", "PASSENGERS", "OLDPWD", "tokens", "PATH"),
        *("secretName", "PASSWORD_FILE", "KEY", "monkey", "AWS_ACCESS_KEY_ID", "gitAuthor"),
    ],
)
def test_a_name_that_only_looks_like_a_secrets_hides_nothing(name: str) -> None:
    """Evidence without what is no secret would be none."""
    found = {
        "env": [{"name": name, "value": "plain"}],
        name: "plain",
        "args": [f"--{name}", "plain", f"--{name}=plain"],
    }

    assert without_secrets(found) == found
    assert [*secrets_in(found)] == []
    assert scrubbed(f"{name}=plain".encode()) == f"{name}=plain".encode()
