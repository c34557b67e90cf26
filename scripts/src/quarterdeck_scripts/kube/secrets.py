"""Leaving secrets out of what is printed, logged or kept. Pure.

A Secret's data is never shown. Elsewhere a value is taken for a secret by its name, or by being a URL with a
password in it: manifests hold more secrets as plain environment variables than anyone means them to.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "(not shown)"
"""Stands where a secret is."""

_NAME = re.compile(
    r"(^|[_.-])(password|passwd|passphrase|token|secret|api_?key|access_?key|private_?key|credentials?|dsn)$",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")
_COPY = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that repeats the whole object as text, a Secret's data too."""


def without_secrets(value: Any) -> Any:
    """Return *value* (decoded JSON) with every secret in it replaced by `HIDDEN`; its shape stays.

    >>> without_secrets({"env": [{"name": "DB_PASSWORD", "value": "x"}], "url": "amqp://u:p@host"})
    {'env': [{'name': 'DB_PASSWORD', 'value': '(not shown)'}], 'url': 'amqp://u:(not shown)@host'}
    """
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
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


def _is_secret(name: str, value: object) -> bool:
    return isinstance(value, str) and (name == _COPY or _NAME.search(name) is not None)
