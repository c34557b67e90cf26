"""What dashboards are called in URLs, so that alerts can lead to them."""

from __future__ import annotations

import hashlib

TAG = "quarterdeck"
"""How the name of every dashboard of ours begins."""
_LONGEST = 40
"""Characters that Grafana allows."""


def uid_of(kind: str, name: str = "") -> str:
    """Return a dashboard's name in URLs: readable, and still its own when shortened.

    >>> uid_of("service", "checkout")
    'quarterdeck-service-checkout'
    """
    uid = "-".join(part for part in (TAG, kind, name) if part)
    if len(uid) <= _LONGEST:
        return uid
    digest = hashlib.sha256(uid.encode()).hexdigest()[:8]
    return f"{uid[: _LONGEST - 9].rstrip('-')}-{digest}"
