"""Where Grafana is, and with which token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "GRAFANA_URL"
"""Environment variable of its address: `https://grafana.example`."""
TOKEN = "GRAFANA_TOKEN"  # noqa: S105 -- the name of the variable that has it
"""Environment variable of a service account's token, with the role Editor."""


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that show who calls.

    Raises:
        UsageError: there is no token.
    """
    token = environ.get(TOKEN, "").strip()
    if not token:
        raise UsageError(f"the token of a service account in {TOKEN}", "none", "make one in Grafana and set it")
    return {"Authorization": f"Bearer {token}"}
