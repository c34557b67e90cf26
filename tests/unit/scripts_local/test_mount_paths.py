"""Mount paths in values become the folders that stand for them."""

from __future__ import annotations

import pytest

from quarterdeck_scripts.local.pods.paths import normalised, rewrite

MOUNTS = {
    "/etc/app": "/state/config",
    "/etc/app/tls": "/state/certificates",
    "/data": "/state/data",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/etc/app", "/state/config"),
        ("/etc/app/", "/state/config/"),
        ("/etc/app/app.yml", "/state/config/app.yml"),
        ("/etc/app/tls/tls.crt", "/state/certificates/tls.crt"),
        ("--config=/etc/app/app.yml", "--config=/state/config/app.yml"),
        ("a=/data/x=/etc/app", "a=/state/data/x=/state/config"),
        ("-Dx.y=/data", "-Dx.y=/state/data"),
    ],
)
def test_a_mount_path_at_the_start_or_after_an_equals_sign_is_replaced(value: str, expected: str) -> None:
    """The longest mount path wins."""
    assert rewrite(value, MOUNTS) == expected


@pytest.mark.parametrize(
    "value",
    ["/etc/application", "/etc/app-2/x", "/datastore", "x/etc/app", "cat /etc/app/x", "http://host/data/", "", "/"],
)
def test_other_text_stays_as_it_is(value: str) -> None:
    """Only whole components, and only where a value begins: a program's own text is not ours to change."""
    assert rewrite(value, MOUNTS) == value


def test_without_mounts_nothing_is_replaced() -> None:
    """The common case."""
    assert rewrite("--config=/etc/app/app.yml", {}) == "--config=/etc/app/app.yml"


def test_a_trailing_slash_says_nothing() -> None:
    """A mount path is the same with and without it."""
    assert (normalised("/etc/app/"), normalised("/etc/app"), normalised("/")) == ("/etc/app", "/etc/app", "/")
