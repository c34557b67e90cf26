"""Leaving secrets out of what is printed, logged or kept. Pure.

A Secret's data is never shown. Elsewhere a value is taken for a secret by its name, or by being a URL with a
password in it: manifests hold more secrets as plain environment variables than anyone means them to.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN = "(not shown)"
"""Stands where a secret is."""

_TELLING_NAMES = (
    "password|passwd|passphrase|token|secret|credentials?|authorization"
    "|(?:api|access|private|secret|encryption|signing)[_-]?key"
)
"""What names of secrets end in, whatever is before it: PGPASSWORD, dbPassword."""
_SHORT_NAMES = "pass|pwd|auth|pat|dsn"
"""The same, where a word begins: SMTP_PASS and smtpPass, but no bypass or compass."""
_BEGINS = "(?:(?<![a-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
_NAMES = f"(?:{_TELLING_NAMES}|{_BEGINS}(?:{_SHORT_NAMES}))"
_NAME = re.compile(f"{_NAMES}$", re.IGNORECASE)
_FLAG = re.compile(rf"(--?[\w.-]*{_NAMES})(?:=(.+))?", re.IGNORECASE | re.DOTALL)
"""An argument that is followed by a secret, in itself or as the next one."""
_URL_PASSWORD = re.compile(r"""(?<=://)([^/\s:@]*):([^/\s@]+|(?!\d{1,5}/)[^\s@"',<>]{1,200})@""")
"""A slash in it should have been escaped, and often is not; digits before one are a port. No password is that long."""
_SAID = re.compile(
    rf"""({_NAMES}["']?\s*[:=]\s*)("[^"\n]*"|'[^'\n]*'|(?:bearer|basic|token|digest)\s+\S+|[^\s,;&"']+)""",
    re.IGNORECASE,
)
"""In a text: a name that is a secret's, and the value that follows it."""
_BY_ITSELF = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    re.DOTALL,
)
"""A private key, or a JSON web token: secrets that need no name."""
_TELLING = 6
"""Characters from which on a secret is looked for wherever it may be repeated: a shorter one is in many words."""
_COPY = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that repeats the whole object as text, a Secret's data too."""


def without_secrets(value: Any) -> Any:
    """Return *value* (decoded JSON) with every secret in it replaced by `HIDDEN`; its shape stays.

    >>> without_secrets({"env": [{"name": "DB_PASSWORD", "value": "x"}], "url": "amqp://u:p@host"})
    {'env': [{'name': 'DB_PASSWORD', 'value': '(not shown)'}], 'url': 'amqp://u:(not shown)@host'}
    """
    if isinstance(value, list):
        return [
            f"{each.removesuffix(secret)}{HIDDEN}" if (secret := _secret_of(before, each)) else without_secrets(each)
            for before, each in pairwise([None, *value])
        ]
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)
    if not isinstance(value, dict):
        return value
    shown = {key: HIDDEN if _is_secret(key, each) else without_secrets(each) for key, each in value.items()}
    if value.get("kind") == "Secret":
        shown |= {key: dict.fromkeys(value[key] or {}, HIDDEN) for key in ("data", "stringData") if key in value}
    if isinstance(value.get("name"), str) and _is_secret(value["name"], value.get("value")):
        shown["value"] = HIDDEN
    return shown


def secrets_in(value: Any) -> Iterator[str]:
    """Yield every text that `without_secrets` hides in *value*, to look for it elsewhere.

    >>> sorted(secrets_in({"env": [{"name": "DB_PASSWORD", "value": "x"}], "url": "amqp://u:p@host"}))
    ['p', 'x']
    """
    if isinstance(value, list):
        for before, each in pairwise([None, *value]):
            secret = _secret_of(before, each)
            yield from [secret] if secret else secrets_in(each)
    elif isinstance(value, str):
        yield from (password for _, password in _URL_PASSWORD.findall(value))
    elif isinstance(value, dict):
        for key, each in value.items():
            if not _is_secret(key, each):
                yield from secrets_in(each)
            elif key != _COPY:
                yield each
        if isinstance(value.get("name"), str) and _is_secret(value["name"], value.get("value")):
            yield value["value"]


def scrubbed(text: bytes, known: Iterable[str] = ()) -> bytes:
    r"""Return a text of any encoding without the secrets *known*, values after a secret's name, and URLs' passwords.

    >>> scrubbed(b"login as anna with hunter22; password=x, ok \xff", ["hunter22"])
    b'login as anna with (not shown); password=(not shown), ok \xff'
    """
    # Latin-1 has a character for every byte, so nothing is lost on the way there and back.
    plain = text.decode("latin-1")
    for secret in sorted(set(known), key=len, reverse=True):
        if len(secret) >= _TELLING:
            plain = plain.replace(secret.encode().decode("latin-1"), HIDDEN)
    plain = _BY_ITSELF.sub(HIDDEN, plain)
    plain = _SAID.sub(rf"\1{HIDDEN}", plain)
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", plain).encode("latin-1")


def _is_secret(name: str, value: object) -> bool:
    return isinstance(value, str) and (name == _COPY or _NAME.search(name) is not None)


def _secret_of(before: object, argument: object) -> str:
    """Return the secret that *argument* of a command, the one after *before*, ends with; nothing where it has none."""
    if not isinstance(argument, str):
        return ""
    flag = _FLAG.fullmatch(argument)
    if flag and flag[2]:
        return flag[2]
    asking = _FLAG.fullmatch(before) if isinstance(before, str) else None
    return argument if asking and not asking[2] and not argument.startswith("--") else ""
