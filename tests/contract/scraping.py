"""A real Prometheus that scrapes one service, for the tests that ask what it makes of the page."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.programs import free_port, until

from quarterdeck_contract.prometheus import FEATURE_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

GREATEST = ("shop_info", "shop_rate_ratio")
"""Gauges, of which a page shows the greatest of its workers'."""

CONFIGURATION = """
global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}
scrape_configs:
  - job_name: checkout
    static_configs: {targets}
"""


class Prometheus:
    """A Prometheus server that scrapes one port, or some with labels, from outside."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        scraped: int,
        *,
        interval: str = "200ms",
        flags: bool = True,
        otlp_port: int | None = None,
        others: dict[int, dict[str, str]] | None = None,
    ) -> None:
        """Start *program* with its files in *folder*, to scrape the port *scraped* every *interval*.

        With the contract's feature *flags* or without; with *otlp_port* it takes OTLP too, and listens there. *others*
        are scraped too, *scraped* among them if it has labels: port to labels.
        """
        targets = [
            {"targets": [f"127.0.0.1:{port}"], "labels": labels}
            for port, labels in {scraped: {}, **(others or {})}.items()
        ]
        self._scraped = {scraped, *(others or ())}
        configuration = CONFIGURATION.format(targets=json.dumps(targets), interval=interval)
        (folder / "prometheus.yml").write_text(configuration)
        self._port = otlp_port or free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        arguments = [
            program,
            *(["--web.enable-otlp-receiver"] if otlp_port else []),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            *([f"--enable-feature={','.join(FEATURE_FLAGS)}"] if flags else []),
        ]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)

    def ask(self, what: str, **parameters: str) -> Any:
        """Return the data of an API call; None while there is no answer."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", f"/api/v1/{what}?{urlencode(parameters)}")
            response = connection.getresponse()
            return json.load(response)["data"] if response.status == 200 else None
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def value(self, query: str, **parameters: str) -> float | None:
        """Return the one value of *query*; None while there is none."""
        data = self.ask("query", query=query, **parameters)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def vector(self, job: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return the values of *job* at this moment by name and labels; over its instances their sum, or the greatest.

        Bounds are spelt as numbers: 10 as it is pushed is 10.0 as it is scraped, which is Prometheus' own affair.
        """
        found: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
        for each in (self.ask("query", query=f'{{job="{job}"}}') or {"result": []})["result"]:
            labels = {name: value for name, value in each["metric"].items() if name not in ("job", "instance")}
            if "le" in labels:
                labels["le"] = str(float(labels["le"]))
            key = (labels.pop("__name__"), tuple(sorted(labels.items())))
            found.setdefault(key, []).append(float(each["value"][1]))
        return {key: max(values) if key[0] in GREATEST else sum(values) for key, values in found.items()}

    def samples(self, series: str) -> list[tuple[float, float]]:
        """Return the samples of the one series, (time, value)."""
        data = self.ask("query", query=f"{series}[1h]")
        return [(when, float(value)) for each in data["result"] for when, value in each["values"]] if data else []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it scrape nothing while the block runs.

        A page that it has asked for is waited for: what happens in the block is not to be on it.
        """
        self._process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: not self._is_answered(), "the page that was asked for")
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _is_answered(self) -> bool:
        """Return whether somebody is being sent a page: whoever serves it ends the connection after it."""
        connections = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(int(each[1].partition(":")[2], 16) in self._scraped and each[3] == "01" for each in connections)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()
