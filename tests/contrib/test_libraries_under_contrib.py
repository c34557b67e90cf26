"""Each client library in a real service, against the real server: its span is the request's child, by stable names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contrib.conftest import Program, Servers, Span

pytestmark = pytest.mark.tools

SHOP = """
import os

from fastapi import FastAPI, Request, Response

app = FastAPI()
REDIS, RABBITMQ, POSTGRES, ELSEWHERE = (
    os.environ.get(name, "") for name in ("REDIS", "RABBITMQ", "POSTGRES", "ELSEWHERE")
)
SECRET = ELSEWHERE + "/stock?token=SECRET&page=2"


@app.get("/stock")
def stock(request: Request):
    return {"traceparent": request.headers.get("traceparent")}


@app.post("/")
def sqs():
    return Response("{}", media_type="application/x-amz-json-1.0")


@app.get("/redis")
def with_redis():
    import redis
    redis.Redis.from_url(REDIS).set("key", "SECRET")


@app.get("/psycopg")
def with_psycopg():
    import psycopg
    with psycopg.connect(POSTGRES) as connection:
        connection.execute("SELECT %s", ("SECRET",))


@app.get("/psycopg2")
def with_psycopg2():
    import psycopg2
    connection = psycopg2.connect(POSTGRES)
    connection.cursor().execute("SELECT %s", ("SECRET",))
    connection.close()


@app.get("/asyncpg")
async def with_asyncpg():
    import asyncpg
    connection = await asyncpg.connect(POSTGRES)
    await connection.fetch("SELECT $1", "SECRET")
    await connection.close()


@app.get("/sqlalchemy")
def with_sqlalchemy():
    import sqlalchemy
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT :word"), {"word": "SECRET"})


@app.get("/sqlite3")
def with_sqlite3():
    import sqlite3
    sqlite3.connect(":memory:").cursor().execute("SELECT ?", ("SECRET",))


@app.get("/requests")
def with_requests():
    import requests
    return requests.get(SECRET).json()


@app.get("/httpx")
async def with_httpx():
    import httpx
    async with httpx.AsyncClient() as client:
        return (await client.get(SECRET)).json()


@app.get("/urllib3")
def with_urllib3():
    import urllib3
    return urllib3.PoolManager().request("GET", SECRET).json()


@app.get("/urllib")
def with_urllib():
    import json
    import urllib.request
    with urllib.request.urlopen(SECRET) as response:
        return json.load(response)


@app.get("/aiohttp")
async def with_aiohttp():
    import aiohttp
    async with aiohttp.ClientSession() as session, session.get(SECRET) as response:
        return await response.json()


@app.get("/botocore")
def with_botocore():
    import botocore.session
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "SECRET"}
    session = botocore.session.get_session()
    client = session.create_client("sqs", region_name="eu-west-1", endpoint_url=ELSEWHERE, **keys)
    client.list_queues()


@app.get("/grpc")
def with_grpc():
    import grpc
    from concurrent.futures import ThreadPoolExecutor
    def answer(request, context):
        return dict(context.invocation_metadata())["traceparent"].encode()
    class Handler(grpc.GenericRpcHandler):
        def service(self, call):
            return grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        received = channel.unary_unary("/shop.Stock/Count")(b"SECRET").decode()
    server.stop(None)
    return {"traceparent": received}


@app.get("/pika")
def with_pika():
    import pika
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
    channel = connection.channel()
    channel.queue_declare("orders")
    seen = []
    def consumed(channel, method, properties, body):
        seen.append(properties.headers["traceparent"])
        channel.basic_ack(method.delivery_tag)
        channel.stop_consuming()
    channel.basic_consume("orders", consumed)
    channel.basic_publish("", "orders", b"SECRET")
    channel.start_consuming()
    connection.close()
    return {"traceparent": seen[0]}


@app.get("/aio-pika")
async def with_aio_pika():
    import aio_pika
    async with await aio_pika.connect(RABBITMQ) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("letters", auto_delete=True)
        await channel.default_exchange.publish(aio_pika.Message(b"SECRET"), "letters")
        async with queue.iterator(timeout=60) as messages:
            async for message in messages:
                await message.ack()
                return {"traceparent": message.headers["traceparent"]}


@app.get("/confluent-kafka")
def with_confluent_kafka():
    import confluent_kafka
    producer = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    producer.produce("orders", b"SECRET")
    producer.purge()


@app.get("/loaded")
def loaded():
    import grpc.aio, pymongo, pymysql
    from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient
    from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
    from opentelemetry.instrumentation.pymysql import PyMySQLInstrumentor
    which = (GrpcAioInstrumentorClient, PymongoInstrumentor, PyMySQLInstrumentor)
    return [each().is_instrumented_by_opentelemetry for each in which]
"""


QUERY_TEXT = "db.query.text"
URL = "url.full"
NAMES_OF_OLD = frozenset(
    {"db.statement", "db.system", "db.name", "db.user", "http.method", "http.url", "http.target", "http.flavor"}
)
"""Attributes that the stable conventions for databases and HTTP renamed."""
POSTGRES = {"db.system.name": "postgresql", "db.namespace": "postgres"}
RABBITMQ = {"messaging.system": "rabbitmq"}
MADE = [
    ("redis", "redis", "SET", "CLIENT", {"db.system.name": "redis", QUERY_TEXT: "SET ? ?"}),
    ("psycopg", "psycopg", "SELECT", "CLIENT", {**POSTGRES, QUERY_TEXT: "SELECT %s"}),
    ("psycopg2", "psycopg2", "SELECT", "CLIENT", {**POSTGRES, QUERY_TEXT: "SELECT %s"}),
    ("asyncpg", "asyncpg", "SELECT", "CLIENT", {**POSTGRES, QUERY_TEXT: "SELECT $1"}),
    ("sqlalchemy", "sqlalchemy", "SELECT", "CLIENT", {"db.system.name": "sqlite", QUERY_TEXT: "SELECT ?"}),
    ("sqlite3", "sqlite3", "SELECT", "CLIENT", {"db.system.name": "sqlite", QUERY_TEXT: "SELECT ?"}),
    *[
        (name, name if name != "aiohttp" else "aiohttp_client", "GET", "CLIENT", {"http.response.status_code": 200})
        for name in ("requests", "httpx", "urllib3", "urllib", "aiohttp")
    ],
    ("botocore", "botocore.sqs", "SQS.ListQueues", "CLIENT", {"rpc.system": "aws-api"}),
    ("grpc", "grpc", "/shop.Stock/Count", "CLIENT", {"rpc.system": "grpc", "rpc.grpc.status_code": 0}),
    ("pika", "pika.pika_instrumentor", "orders send", "PRODUCER", RABBITMQ),
    ("aio-pika", "aio_pika", ",letters send", "PRODUCER", RABBITMQ),
    ("confluent-kafka", "confluent_kafka", "orders send", "PRODUCER", {"messaging.system": "kafka"}),
]
"""Path, and of the span that its library makes: instrumentor, name, kind, attributes among others."""
PASSED_ON = ("requests", "httpx", "urllib3", "urllib", "aiohttp", "grpc", "pika", "aio-pika")
"""Paths that answer with the `traceparent` that came out at the other end."""


class Shop:
    """A service, another that it asks, and the collector of both."""

    def __init__(self, program: Program, port: int, collected: Callable[[], list[Span]], until: Any, get: Any) -> None:
        self.program = program
        self.spans = collected
        self.until = until
        self._port = port
        self._get = get

    def ask(self, path: str) -> tuple[Any, Span]:
        """Send one request, and return the answer and the request's span, the newest of its route."""
        before = len(self._of(path))
        status, text = self._get(self._port, f"/{path}")
        assert status == 200, self.program.log.read_text()
        self.until(lambda: len(self._of(path)) > before, self.program.log.read_text)
        return json.loads(text), self._of(path)[-1]

    def below(self, span: Span, scope: str) -> list[Span]:
        """Return the spans of *scope* in the trace of *span*, when there are some."""
        scope = f"opentelemetry.instrumentation.{scope}"

        def mine() -> list[Span]:
            return [each for each in self.spans() if each.trace == span.trace and each.scope == scope]

        found: list[Span] = self.until(mine, lambda: f"{scope} in {self.spans()}; {self.program.log.read_text()}")
        return found

    def _of(self, path: str) -> list[Span]:
        return [each for each in self.spans() if each.name == f"GET /{path}" and each.service == "shop"]


@pytest.fixture(scope="module")
def shop(  # noqa: PLR0917 -- fixtures are parameters
    program: Callable[..., Program],
    servers: Servers,
    lasting_collector: Collector,
    spans: Callable[[Collector], list[Span]],
    until: Any,
    get: Any,
    a_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Shop:
    """Return the service `shop`, which asks the service `stock`."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(SHOP)
    port, elsewhere = a_port(), a_port()
    sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{lasting_collector.port}"}
    uses = {name.upper(): servers.url(name) for name in ("redis", "rabbitmq", "postgres")}
    uses["ELSEWHERE"] = f"http://127.0.0.1:{elsewhere}"
    uvicorn = ("uvicorn", "app:app", "--port")
    asked = program(folder, *uvicorn, str(elsewhere), OTEL_SERVICE_NAME="stock", **sent)
    asking = program(folder, *uvicorn, str(port), OTEL_SERVICE_NAME="shop", **sent, **uses)

    def answered(which: int) -> bool:
        try:
            return bool(get(which, "/stock")[0] == 200)
        except OSError:
            return False

    until(lambda: answered(port) and answered(elsewhere), lambda: asking.log.read_text() + asked.log.read_text())
    return Shop(asking, port, lambda: spans(lasting_collector), until, get)


@pytest.mark.parametrize(("path", "scope", "name", "kind", "said"), MADE, ids=[case[0] for case in MADE])
def test_a_call_is_a_child_of_its_request(  # noqa: PLR0917 -- likewise
    shop: Shop, path: str, scope: str, name: str, kind: str, said: dict[str, Any]
) -> None:
    """One request: its span, below it the library's, by stable names where there are any, and without secrets."""
    _, request = shop.ask(path)

    (span, *_) = (each for each in shop.below(request, scope) if each.parent == request.id and each.name == name)
    assert (span.kind, {key: span.attributes.get(key) for key in said}) == (kind, said)
    for each in (request, *shop.below(request, scope)):
        assert NAMES_OF_OLD.isdisjoint(each.attributes)
        assert not [value for value in each.attributes.values() if "SECRET" in str(value)]


@pytest.mark.parametrize("path", PASSED_ON)
def test_the_trace_is_passed_on(shop: Shop, path: str) -> None:
    """What comes out at the other end names a span of the client's, in the request's trace."""
    answer, request = shop.ask(path)

    _, trace, parent, _ = answer["traceparent"].split("-")
    assert trace == request.trace
    client = shop.until(
        lambda: [each for each in shop.spans() if each.id == parent], lambda: f"{parent} in {shop.spans()}"
    )
    assert [(each.service, each.trace) for each in client] == [("shop", request.trace)]


def test_another_service_goes_on_with_the_trace(shop: Shop) -> None:
    """Its server span is the child of the client's span, and neither says the query."""
    _, request = shop.ask("httpx")

    (client,) = shop.below(request, "httpx")
    (server,) = shop.until(
        lambda: [each for each in shop.spans() if each.parent == client.id], lambda: f"a child in {shop.spans()}"
    )
    assert (server.service, server.name, server.trace) == ("stock", "GET /stock", request.trace)
    assert "url.query" not in server.attributes
    assert client.attributes[URL].endswith("/stock?REDACTED")


def test_a_consumer_is_in_the_trace_of_the_producer(shop: Shop) -> None:
    """RabbitMQ's message carries it."""
    _, request = shop.ask("pika")

    kinds = {(each.kind, each.name) for each in shop.below(request, "pika.pika_instrumentor")}
    assert kinds == {("PRODUCER", "orders send"), ("CONSUMER", "orders receive")}


def test_libraries_without_a_server_here_are_instrumented(shop: Shop) -> None:
    """MongoDB, MySQL, and gRPC for asyncio: no server, no span, so it is asked of the instrumentors themselves."""
    assert shop.ask("loaded")[0] == [True, True, True]


def test_nothing_failed(shop: Shop) -> None:
    """No instrumentor, no span, nothing of the page: nothing was said, and nothing was counted."""
    shop.ask("loaded")

    assert "the service is not affected" not in shop.program.log.read_text()
    page = shop.until(shop.program.scrape, shop.program.log.read_text)
    assert page.value("quarterdeck_instrumentation_failures_total") == 0
