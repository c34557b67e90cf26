"""Is an API server ready? Its own answer, `/readyz`, which is text: `Cluster` speaks JSON only."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.local.pki import Pair

_OK = 200
_TIMEOUT = 2.0
"""Seconds for one try; the caller tries again."""


def api_server_ready(address: str, port: int, authority: Path, client: Pair) -> bool:
    """Ask once; every failure means "not yet"."""
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(client.certificate, client.key)
    connection = http.client.HTTPSConnection(address, port, timeout=_TIMEOUT, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
