"""Records what Prometheus sees of canaries beside stable pods.

    python tests/bench/record_traffic.py [--minutes N] [SERVICE …]

Every pod is a process of its own: `sites/shop_site.py` under uvicorn and `quarterdeck-instrument`, as it would be in a
container. Customers come over HTTP (`customers.py`), a real Prometheus scrapes the pods' own `/metrics` every 15
seconds, and at the end all that a rollout would have asked it for is written into `recordings/`, a file for each
service. Nothing is made faster: forty minutes take forty minutes, about 200 requests a second, half a core.
`verdict_recordings.py` judges them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recordings
import yaml
from customers import Customers
from loopback import process

from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.local.network import free_ports
from quarterdeck_scripts.rollout.judge import guards, queries

sys.path.insert(0, str(Path(__file__).parent / "sites"))
from shop_site import Ways

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMESPACE = "shop"
INTERVAL = 15
"""Seconds between two scrapes of a pod."""
HISTORY = 90
"""Seconds that the stable pods serve before the canaries are started."""
THRESHOLD = 0.25
"""Seconds within which a success has to be answered: the bucket that is recorded beside that of all requests."""

MIX = {
    "GET /articles": 0.5,
    "GET /articles/{n}": 0.25,
    "POST /cart": 0.15,
    "POST /pay": 0.08,
    "GET /export": 0.01,
    "GET /search": 0.01,
}
SEARCHING = {**{target: part * 0.4 / 0.99 for target, part in MIX.items()}, "GET /search": 0.6}


def steady(_: float) -> float:
    """Return ten requests a second."""
    return 10.0


def busy(second: float) -> float:
    """Return a rate with a tide of ten minutes, and a burst of a quarter of a minute in every two and a half."""
    tide = 5.0 * (1 + 0.5 * math.sin(2 * math.pi * second / 600))
    return tide * (2.5 if second % 150 < 15 else 1.0)


@dataclass(frozen=True)
class Pod:
    """One process of a service."""

    service: str
    name: str
    track: str
    ways: Ways
    rate: Callable[[float], float] = steady
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)


BASE = 0.0017
"""Share of failing requests but for `/search`; with it 0.2 % of all."""


FAULTLESS = Ways(neighbour=0.008, search_failing=0)


def pods(inventory: int) -> tuple[Pod, ...]:
    """Return every pod; *inventory* is the port of the service that `orders` asks."""
    # By nature the stable pods are up to 20 % better or worse than their mean.
    stable = [
        Pod("checkout", f"stable-{n}", "stable", Ways(failing=round(BASE * (0.8 + 0.05 * n), 6))) for n in range(9)
    ]
    canaries = {
        "as-well": Ways(failing=BASE),
        "one-percent": Ways(failing=0.0097),
        "five-percent": Ways(failing=0.05),
        "one-route": Ways(failing=0.5, failing_on="/export", between=BASE),
        "now-and-then": Ways(failing=0.1, every=300, spell=60, between=BASE),
        "slow": Ways(failing=BASE, slow=0.08),
        "cold": Ways(failing=BASE, cold=0.4),
    }
    orders = {
        **{f"stable-{n}": Ways(neighbour=0.008, asks=inventory, search_failing=0) for n in range(3)},
        "as-well": Ways(neighbour=0.008, asks=inventory, search_failing=0),
        "at-peaks": Ways(neighbour=0.008, asks=inventory, search_failing=0, limit=8),
    }
    return (
        *stable,
        *(Pod("checkout", name, "canary", ways) for name, ways in canaries.items()),
        Pod("checkout", "another-mix", "canary", Ways(failing=BASE), mix=SEARCHING),
        *(Pod("orders", n, "stable" if "stable" in n else "canary", ways, busy) for n, ways in orders.items()),
        *(Pod("browse", f"stable-{n}", "stable", FAULTLESS) for n in range(15)),
        *(Pod("browse", f"as-well-{n}", "canary", FAULTLESS) for n in range(5)),
    )


class Inventory:
    """What `orders` asks. In an incident it answers nothing for three seconds of each minute."""

    INCIDENT = range(3, 8)
    """Minutes since the canaries were started."""

    def __init__(self) -> None:
        self.began = math.inf

    async def answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        minute, second = divmod(time.monotonic() - self.began, 60)
        if not (minute in self.INCIDENT and 20 <= second < 23):
            writer.write(b"in stock\n")
        writer.close()


async def record(seconds: float, services: Sequence[str], folder: Path) -> None:
    """Run *services* for so long after the canaries' start, and write the recordings."""
    inventory = Inventory()
    server = await asyncio.start_server(inventory.answer, "127.0.0.1", 0)
    cast = [pod for pod in pods(server.sockets[0].getsockname()[1]) if pod.service in services]
    ports = free_ports(2 * len(cast) + 1)
    address = f"127.0.0.1:{ports.pop()}"
    serving, showing = ports[: len(cast)], ports[len(cast) :]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_scraping(cast, showing)))
    with ExitStack() as stack:
        from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- may fetch it

        prometheus = install(["prometheus"])["prometheus"]
        options = (
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            f"--enable-feature={','.join(FEATURE_FLAGS)}",
        )
        said = stack.enter_context(process(folder / "prometheus.log", prometheus, *options))
        made = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"python tests/bench/record_traffic.py --minutes {seconds / 60:g} {' '.join(services)}",
            "seconds": seconds,
            "interval": INTERVAL,
            "versions": {name: version(name) for name in ("fastapi", "uvicorn", "quarterdeck-instrumentation")},
            "python": platform.python_version(),
            "prometheus": _version(prometheus),
            "load": [round(each, 1) for each in os.getloadavg()],
        }
        coming = []
        for track, wait in (("stable", HISTORY), ("canary", 0)):
            left = seconds + wait
            inventory.began, since = time.monotonic(), time.time()  # in the end: of the canaries
            for pod, *places in zip(cast, serving, showing, strict=True):
                if pod.track == track:
                    stack.enter_context(_served(folder, pod, *places))
                    customers = Customers(places[0], pod.rate, pod.mix, pod.service + pod.name)
                    coming.append((pod, customers, asyncio.create_task(_once_ready(places[0], customers, left))))
            if track == "stable":
                await asyncio.sleep(wait)
        await asyncio.gather(*(task for _, _, task in coming))
        await asyncio.sleep(INTERVAL)
        assert said.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
        for pod, customers, _ in coming:
            if customers.lost:
                print(f"{pod.service}/{pod.name}: {customers.lost} without an answer")  # noqa: T201 -- its output
        api = PrometheusApi(f"http://{address}", timeout=60)
        for service in services:
            ways = {pod.name: {"track": pod.track, **_unusual(pod.ways)} for pod in cast if pod.service == service}
            recordings.write(service, {**made, "since": round(since, 3), "pods": ways}, _seen(api, service, seconds))


async def _once_ready(port: int, customers: Customers, seconds: float) -> None:
    began = time.monotonic()
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            break
    await customers.come(seconds - (time.monotonic() - began))


def _served(folder: Path, pod: Pod, port: int, shown: int) -> Any:
    beside = Path(sys.executable).parent
    return process(
        folder / f"{pod.service}-{pod.name}.log",
        *("env", f"SHOP={json.dumps(asdict(pod.ways))}", f"OTEL_SERVICE_NAME={pod.service}"),
        *(f"OTEL_EXPORTER_PROMETHEUS_PORT={shown}", f"QUARTERDECK_METRICS_DIR={folder}"),
        *(beside / "quarterdeck-instrument", beside / "uvicorn", "shop_site:app"),
        *("--app-dir", Path(__file__).parent / "sites", "--port", str(port), "--no-access-log"),
    )


def _scraping(cast: Sequence[Pod], ports: Sequence[int]) -> dict[str, Any]:
    targets = [
        {
            "targets": [f"127.0.0.1:{port}"],
            "labels": {
                "cluster": "bench",
                "namespace": NAMESPACE,
                "service": pod.service,
                "pod": pod.name,
                "track": pod.track,
                "version": "v2" if pod.track == "canary" else "v1",
            },
        }
        for pod, port in zip(cast, ports, strict=True)
    ]
    times = {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": f"{INTERVAL - 5}s"}
    return {"global": times, "scrape_configs": [{"job_name": "pods", "static_configs": targets}]}


def _seen(api: PrometheusApi, service: str, seconds: float) -> list[Any]:
    """Return the series of all that a rollout of *service* asks for."""
    window = seconds + HISTORY + 4 * INTERVAL
    texts = [
        queries.requests(NAMESPACE, service, [THRESHOLD], window),
        queries.scrapes(NAMESPACE, service, window),
        *(queries.gauge(metric, NAMESPACE, service, window) for metric in guards.METRICS),
        queries.logged(NAMESPACE, service, window),
    ]
    return [series for text in texts for series in api.query(text).series]


def _unusual(ways: Ways) -> dict[str, Any]:
    return {name: value for name, value in asdict(ways).items() if value != getattr(Ways(), name)}


def _version(prometheus: Path) -> str:
    said = subprocess.run([prometheus, "--version"], capture_output=True, text=True, check=True)
    return (said.stdout + said.stderr).split("\n", 1)[0]


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0, help="of each canary (default %(default)s)")
    parser.add_argument("services", nargs="*", default=["checkout", "orders"], help="(default checkout orders)")
    options = parser.parse_args()
    with suppress(OSError):
        # On a machine with much else to do, what is recorded would be its scheduler; only root may ask for this.
        Path("/proc/self/autogroup").write_text("-10")
    with tempfile.TemporaryDirectory(prefix="quarterdeck-recorded-") as name:
        asyncio.run(record(options.minutes * 60, options.services, Path(name)))


if __name__ == "__main__":
    main()
