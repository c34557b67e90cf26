"""Metrics that others emit through our distribution: OpenTelemetry's contrib instrumentors, version 0.66b1.

Not of the contract, because we do not make them; stated here by name, so that what asks for them can be checked.
Of the clients that catalogues name as dependencies, those for Redis, MongoDB, RabbitMQ, Kafka and asyncpg emit no
metrics, only spans (read in their sources at that version).
"""

from __future__ import annotations

from quarterdeck_contract import labels as l_
from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import SECONDS_BUCKETS, Kind, Metric

SERVER_ADDRESS = Label("server.address", "Host that was called, as the client was told it.")
SERVER_PORT = Label("server.port", "Port that was called.")
PROTOCOL_VERSION = Label("network.protocol.version", "Version of HTTP that was spoken.")
DB_SYSTEM = Label("db.system.name", "Kind of database: `postgresql`, `mysql`, `sqlite`.")
DB_NAMESPACE = Label("db.namespace", "Name of the database.")
DB_OPERATION = Label("db.operation.name", "First word of the statement: `SELECT`.")
TASK = Label("task", "Name of a Celery task.")
WORKER = Label("worker", "Host name of a Celery worker.")

HTTP_CLIENT_DURATION = Metric(
    "http.client.request.duration",
    "s",
    Kind.HISTOGRAM,
    "Duration of HTTP client requests.",
    (l_.HTTP_METHOD, l_.HTTP_STATUS_CODE, l_.ERROR_TYPE, PROTOCOL_VERSION, SERVER_ADDRESS, SERVER_PORT),
    SECONDS_BUCKETS,
)
"""By httpx, requests, aiohttp's client, urllib and urllib3, where `OTEL_SEMCONV_STABILITY_OPT_IN` has `http`."""

DB_CLIENT_DURATION = Metric(
    "db.client.operation.duration",
    "s",
    Kind.HISTOGRAM,
    "Duration of database client operations.",
    (DB_SYSTEM, DB_NAMESPACE, DB_OPERATION, l_.ERROR_TYPE, SERVER_ADDRESS, SERVER_PORT),
    (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000),
)
"""By drivers of Python's DB API: psycopg, psycopg2, mysqlclient, PyMySQL, sqlite3. They advise no buckets, so it has
the SDK's, which are for milliseconds: ask for its mean, never for a quantile."""

CELERY_TASK_RUNTIME = Metric(
    "flower.task.runtime.seconds",
    "seconds",
    Kind.HISTOGRAM,
    "The time it took to run the task.",
    (TASK, WORKER),
    (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000),
)
"""By Celery's instrumentor; the buckets are the SDK's."""

ALL = (HTTP_CLIENT_DURATION, DB_CLIENT_DURATION, CELERY_TASK_RUNTIME)
"""Every one that a panel may ask for."""
