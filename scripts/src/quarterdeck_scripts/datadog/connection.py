"""Where Datadog is, and with which keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

API_KEY, APP_KEY = "DD_API_KEY", "DD_APP_KEY"
"""Environment variables of the two keys: the names that Datadog's own clients read."""

API_KEY_HEADER = "DD-API-KEY"
"""Header of the first; enough to post events."""
SITE, DEFAULT_SITE = "DD_SITE", "datadoghq.com"
"""Environment variable of the site, and the one where it says nothing."""


def url_of(site: str) -> str:
    """Return the base URL of *site*: a site of Datadog's, or the URL of something in front of its API.

    >>> url_of("datadoghq.eu"), url_of("https://proxy.example/datadog/")
    ('https://api.datadoghq.eu', 'https://proxy.example/datadog')
    """
    return site.rstrip("/") if "://" in site else f"https://api.{site}"


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that show who calls.

    Raises:
        UsageError: a key is missing.
    """
    absent = [name for name in (API_KEY, APP_KEY) if not environ.get(name)]
    if absent:
        raise UsageError(
            f"Datadog's keys in the environment variables {API_KEY} and {APP_KEY}",
            f"no {' and no '.join(absent)}",
            "set them; an application key needs the scopes for monitors, SLOs, dashboards and downtimes",
        )
    return {API_KEY_HEADER: environ[API_KEY].strip(), "DD-APPLICATION-KEY": environ[APP_KEY].strip()}
