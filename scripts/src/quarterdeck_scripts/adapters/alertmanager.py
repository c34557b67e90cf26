"""Alertmanager over HTTP: the alerts that fire, with a deadline."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import urllib3

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.kube.client import UnreachableError

if TYPE_CHECKING:
    from quarterdeck_scripts.runbook.ports import Json

_ALERTS = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"


class AlertmanagerApi:
    """An Alertmanager at a base URL."""

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        """*url* has no trailing slash; *timeout* is in seconds for a whole call, body included."""
        self._url = url
        self._timeout = timeout
        self._pool = urllib3.PoolManager(retries=False)

    def alerts(self) -> list[Json]:
        """Return every alert that fires; see `runbook.ports.Alertmanager`."""
        status, body = self._get(_ALERTS)
        try:
            found: Any = json.loads(body)
        except ValueError:
            found = None
        if status != 200 or not isinstance(found, list) or not all(isinstance(each, dict) for each in found):  # noqa: PLR2004 -- HTTP's own number
            raise QuarterdeckError(
                f"a list of alerts from Alertmanager at {self._url}",
                f"HTTP {status}: {body[:200].decode(errors='replace')}",
                "see what answers at this address, and its log",
            )
        return found

    def _get(self, path: str) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        try:
            response = self._pool.request(
                "GET", self._url + path, preload_content=False, redirect=False, timeout=self._timeout
            )
            try:
                body = b""
                while chunk := response.read1(65536):
                    body += chunk
                    if time.monotonic() > deadline:
                        raise TimeoutError("the answer took longer than that")
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(
                f"Alertmanager at {self._url} to answer within {self._timeout:g} s",
                f"{type(error).__name__}: {error}",
                "see that it runs and can be reached from here; `for-alert -` reads an alert from standard input",
            ) from error
        return response.status, body
