"""A plain consumer: a loop in a script, which no framework starts and SIGTERM ends."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Collector
    from tests.contrib.conftest import Program, Servers, Span

pytestmark = pytest.mark.tools

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CONSUMER = """
import os
import pika

channel = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER"])).channel()
channel.queue_declare("parcels")


def packed(channel, method, properties, body):
    channel.basic_ack(method.delivery_tag)
    print("packed", flush=True)


channel.basic_consume("parcels", packed)
print("waiting", flush=True)
channel.start_consuming()
"""
PRODUCER = f"""
import os
import pika

channel = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER"])).channel()
properties = pika.BasicProperties(headers={{"traceparent": "00-{TRACE}-00f067aa0ba902b7-01"}})
for number in range(3):
    channel.basic_publish("", "parcels", b"SECRET", properties)
channel.connection.close()
"""


def test_it_goes_on_with_the_traces_of_its_messages(  # noqa: PLR0917 -- fixtures are parameters
    contrib: Path,
    program: Callable[..., Program],
    servers: Servers,
    collector: Collector,
    spans: Callable[[Collector], list[Span]],
    until: Any,
    tmp_path: Path,
) -> None:
    """Three messages, three spans in the sender's trace, sent before SIGTERM kills it as it would have without us."""
    broker = {"BROKER": servers.url("rabbitmq")}
    (tmp_path / "consumer.py").write_text(CONSUMER)
    running = program(
        tmp_path,
        *("python", "consumer.py"),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
        OTEL_SERVICE_NAME="packer",
        OTEL_BSP_SCHEDULE_DELAY="60000",
        **broker,
    )
    until(lambda: "waiting" in running.log.read_text(), running.log.read_text)
    subprocess.run([contrib / "python", "-c", PRODUCER], env=broker, check=True)
    until(lambda: running.log.read_text().count("packed") == 3, running.log.read_text)

    status = running.stop()

    assert status == -signal.SIGTERM, running.log.read_text()
    received = [each for each in spans(collector) if each.kind == "CONSUMER"]
    assert [(each.name, each.trace) for each in received] == [("parcels receive", TRACE)] * 3
