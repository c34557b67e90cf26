"""A hundred thousand requests that nobody should send: the service answers each as it would without us."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.fuzzing import Fuzz, GoneError

from quarterdeck_contract.labels import HTTP_METHOD, URL_SCHEME
from quarterdeck_instrumentation import asgi, failures, tracing, wsgi
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.sampling import Sampling
from quarterdeck_instrumentation.spans.sender import body
from quarterdeck_instrumentation.testing import Recording, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ASGI, WSGI, FASTAPI, FLASK = 45_000, 45_000, 7_000, 3_000
"""Requests of each kind: a hundred thousand in all."""
LABEL_SETS = 200
_BATCH = 512


class Decoded:
    """Takes spans as a sender does, encodes them as it does, and has OpenTelemetry's own classes decode them."""

    def __init__(self) -> None:
        self._queue: list[Any] = []
        self.spans = 0

    def add(self, span: Any) -> None:
        """Take *span*."""
        self._queue.append(span)
        if len(self._queue) == _BATCH:
            self.flush(0.0)

    def flush(self, seconds: float) -> bool:
        """Decode what is queued: protobuf refuses text that is not UTF-8."""
        del seconds
        queue, self._queue = self._queue, []
        if queue:
            for resource in ExportTraceServiceRequest.FromString(body(queue)).resource_spans:
                for scope in resource.scope_spans:
                    self.spans += len(scope.spans)
                    assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in scope.spans)
        return True


class Telemetry:
    """What the fuzzed requests leave behind."""

    def __init__(self, recorded: Recording) -> None:
        self.recorded = recorded
        self.sender = Decoded()
        provider = LeanProvider(self.sender, Sampling.everything())  # type: ignore[arg-type]
        recorded.runtime.trace_with(tracing.Tracing(provider))

    def is_sound(self) -> None:
        """Require that memory is bounded, that pages can be read, that nothing of ours failed, and all is ended."""
        self.sender.flush(0.0)
        assert failures.counts() == {}, failures._said
        for form in Format:
            page = self.recorded.text(form)
            page.encode()
        page = self.recorded.page()
        durations = page.find("http_server_request_duration_seconds_count")
        assert len(durations) <= LABEL_SETS + 1
        assert {each.labels.get("http_request_method", "GET") for each in durations} <= set(HTTP_METHOD.values)
        assert {each.labels.get("url_scheme", "http") for each in durations} <= set(URL_SCHEME.values)
        assert {each.value for each in page.find("http_server_active_requests")} == {0.0}
        assert self.sender.spans > 0


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Return telemetry with few label sets, so that the limit is met, and every request traced."""
    failures.forget()
    logging.disable()  # OpenTelemetry's propagators and the frameworks say something of nearly every request
    with recording(Settings(label_sets=LABEL_SETS)) as recorded:
        yield Telemetry(recorded)
    logging.disable(logging.NOTSET)
    failures.forget()


def outcome_of(coroutine: Any) -> str:
    """Return how a coroutine ended that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return "returned"
    except BaseException as error:  # noqa: BLE001 -- any is an outcome
        return f"{type(error)}: {error}"
    raise AssertionError("it waits")


def asgi_exchange(seed: int, wrap: Callable[[Any], Any]) -> list[Any]:
    """Return all that happens between a server and an application that is wrapped so."""
    fuzz = Fuzz(seed)
    scope, steps, messages = fuzz.scope(), fuzz.steps(), fuzz.received()
    gone_after = fuzz.random.randrange(12)
    happened: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        happened.append({name: scope[name] for name in scope if name != asgi.MARK})
        for step, what in steps:
            if step == "receive":
                happened.append(await receive())
            elif step == "send":
                await send(what)
            else:
                raise what

    async def receive() -> Any:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        happened.append(copy.copy(message))
        if len(happened) > gone_after:
            raise GoneError("the client is gone")
        if message["type"] == "http.response.start":
            happened.append(f"{message['status']:03d}")  # as a server uses it, which may raise

    happened.append(outcome_of(wrap(app)(scope, receive, send)))
    return happened


def test_any_asgi_application_and_server(telemetry: Telemetry) -> None:
    """The same messages both ways, the same scope, the same end."""
    for seed in range(ASGI):
        with_us = asgi_exchange(seed, asgi.Instrumented)
        assert with_us == asgi_exchange(seed, lambda app: app), seed

    telemetry.is_sound()


class Parts:
    """A response's body: it may have a length, fail on the way, and fail to close."""

    def __init__(self, items: list[Any], closing: BaseException | None) -> None:
        self._items = items
        self._closing = closing

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Close, or fail to."""
        if self._closing is not None:
            raise self._closing


def wsgi_exchange(seed: int, wrap: Callable[[Any], Any]) -> list[Any]:
    """Return all that happens between a server and an application that is wrapped so."""
    fuzz = Fuzz(seed)
    draw = fuzz.random
    environ = fuzz.environ()
    items: list[Any] = [fuzz.blob() for _ in range(draw.randrange(4))]
    if draw.random() < 0.1:
        items.append(fuzz.error())
    whole: Any = items if draw.random() < 0.3 else Parts(items, fuzz.error() if draw.random() < 0.05 else None)
    if draw.random() < 0.02:
        whole = draw.choice((None, b"bytes", "text", 7))
    starts = [(fuzz.status(), fuzz.headers()) for _ in range(draw.choice((0, 1, 1, 1, 1, 2)))]
    raised = fuzz.error() if draw.random() < 0.1 else None
    with_error, writes = draw.random() < 0.2, draw.random() < 0.1
    happened: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        happened.append({name: environ[name] for name in environ if name != wsgi.MARK})
        for number, (status, headers) in enumerate(starts):
            error = ValueError("late")
            more = ((ValueError, error, None),) if with_error or number else ()
            write = start_response(status, headers, *more)
            if writes:
                write(b"written")
        if raised is not None:
            raise raised
        return whole

    served(wrap(app), environ, draw.randrange(6), happened)
    return happened


def served(app: Any, environ: Any, taken: int, happened: list[Any]) -> None:
    """Call *app* as a server does that takes some items of the body and then has no client left."""

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        happened.append((status, headers, exc_info and exc_info[0]))
        if status == "abc":
            raise AssertionError("a server may refuse")
        return happened.append

    try:
        answer = app(environ, start_response)
        try:
            for number, item in enumerate(answer):
                happened.append(repr(item))
                if number >= taken:
                    break
        finally:
            if hasattr(answer, "close"):
                answer.close()
        happened.append("ended")
    except BaseException as error:  # noqa: BLE001 -- any is an outcome
        happened.append(f"{type(error)}: {error}")


def test_any_wsgi_application_and_server(telemetry: Telemetry) -> None:
    """The same environ, status, headers, items and end."""
    for seed in range(WSGI):
        with_us = wsgi_exchange(seed, wsgi.Instrumented)
        assert with_us == wsgi_exchange(seed, lambda app: app), seed

    telemetry.is_sound()


def fastapi_exchanges() -> list[Any]:
    """Return how a FastAPI application answers."""
    from fastapi import FastAPI, Request  # noqa: PLC0415 -- after it was patched, or before

    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    @app.api_route("/{rest:path}", methods=["GET", "PUT", "POST", "BREW"])
    async def echo(rest: str, request: Request) -> Any:
        return {"rest": len(rest), "body": len(await request.body()), "query": len(request.query_params)}

    @app.get("/fails")
    async def fails() -> None:
        raise LookupError

    async def exchange(seed: int) -> list[Any]:
        fuzz = Fuzz(seed)
        scope, messages = fuzz.scope(), fuzz.received()
        happened: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def send(message: Any) -> None:
            happened.append(message)

        try:
            if scope["type"] != "lifespan":
                await app(scope, receive, send)
        except BaseException as error:  # noqa: BLE001 -- any is an outcome
            happened.append(f"{type(error)}: {error}")
        return happened

    async def all_of_them() -> list[Any]:
        return [await exchange(seed) for seed in range(FASTAPI)]

    return asyncio.run(all_of_them())


def test_an_asgi_framework(telemetry: Telemetry, patched: Callable[..., AbstractContextManager[None]]) -> None:
    """FastAPI answers as it does unpatched, to the byte."""
    unpatched = fastapi_exchanges()
    assert telemetry.sender.spans == 0
    with patched("starlette.applications", "starlette.routing", "fastapi.applications", "fastapi.routing"):
        with_us = fastapi_exchanges()

    assert [seed for seed, (ours, theirs) in enumerate(zip(with_us, unpatched, strict=True)) if ours != theirs] == []
    telemetry.is_sound()


def flask_exchanges() -> list[Any]:
    """Return how a Flask application answers."""
    from flask import Flask, request  # noqa: PLC0415 -- after it was patched, or before

    app = Flask(__name__)

    @app.get("/items/<int:item>")
    def item(item: int) -> str:
        return str(item)

    @app.route("/<path:rest>", methods=["GET", "PUT", "POST"])
    def echo(rest: str) -> str:
        return f"{len(rest)} {len(request.get_data())} {len(request.args)}"

    @app.get("/fails")
    def fails() -> None:
        raise LookupError

    answers: list[Any] = []
    for seed in range(FLASK):
        happened: list[Any] = []
        served(app, Fuzz(seed).environ(), 1000, happened)
        answers.append(happened)
    return answers


def test_a_wsgi_framework(telemetry: Telemetry, patched: Callable[..., AbstractContextManager[None]]) -> None:
    """Flask answers as it does unpatched, to the byte."""
    unpatched = flask_exchanges()
    assert telemetry.sender.spans == 0
    with patched("flask.app"):
        with_us = flask_exchanges()

    assert [seed for seed, (ours, theirs) in enumerate(zip(with_us, unpatched, strict=True)) if ours != theirs] == []
    telemetry.is_sound()
