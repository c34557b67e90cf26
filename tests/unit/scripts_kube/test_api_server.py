"""The real client, against loopback servers that behave and misbehave as API servers and proxies do."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.adapters.kubeconfig import IN_TIME
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.environment import open_environment
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, StaleError, UnreachableError
from quarterdeck_scripts.kube.logs import PodLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message
    from pathlib import Path

    Answer = Callable[["Exchange"], None]


SILENCE = 60.0
"""Seconds that a server of these tests is silent, where nobody ends it: whoever gives up has done so long before."""


class Sent(NamedTuple):
    """A request as the server received it."""

    method: str
    path: str
    headers: Message
    body: bytes


class Exchange(BaseHTTPRequestHandler):
    """One request to a scripted server, and how to answer it."""

    protocol_version = "HTTP/1.1"
    answer: Answer
    log: list[Sent]

    def handle_any(self) -> None:
        """Read the request and let the script answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.log.append(Sent(self.command, self.path, self.headers, body))
        type(self).answer(self)

    do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 -- the base class names them so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        """Say nothing."""

    def reply(self, status: int, body: Any, **headers: str) -> None:
        """Answer with JSON, or with text as it is."""
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, *chunks: bytes, end: bool = True) -> None:
        """Answer with a chunked body; without *end* it breaks off."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        if end:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[Sent]]]:
    """Serve *answer*; give the URL, and the log of what was asked."""
    log: list[Sent] = []
    handler = type("Scripted", (Exchange,), {"answer": staticmethod(answer), "log": log})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def closed() -> Iterator[str]:
    """Give the URL of a port where nobody listens: bound, so that it is nobody else's either."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def kubeconfig(
    folder: Path, url: str, user: dict[str, Any] | None = None, *, contexts: tuple[str, ...] = ("one",)
) -> Path:
    """Write a kubeconfig whose current context is the first of *contexts*."""
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": contexts[0],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in contexts],
    }
    file.write_text(json.dumps(content))
    return file


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    """Return a Status as the API server writes it."""
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


def event(kind: str, name: str) -> bytes:
    """Return a watch event as one line."""
    return json.dumps({"type": kind, "object": {"metadata": {"name": name}}}, ensure_ascii=False).encode() + b"\n"


class TestWhichCluster:
    def test_the_context_is_named_not_current(self, tmp_path: Path) -> None:
        """With two contexts none is taken unasked, and the known ones are listed."""
        file = kubeconfig(tmp_path, "http://127.0.0.1:1", contexts=("prod", "dev"))

        with pytest.raises(UsageError, match="dev, prod") as caught:
            connect(file)

        assert caught.value.exit_code == 2
        assert connect(file, "dev").server == "http://127.0.0.1:1"

    def test_an_unknown_context_is_refused(self, tmp_path: Path) -> None:
        """Also when there is only one."""
        with pytest.raises(UsageError, match="'staging'"):
            connect(kubeconfig(tmp_path, "http://127.0.0.1:1"), "staging")

    def test_a_file_of_one_context_needs_no_name(self, tmp_path: Path) -> None:
        """The local environment's kubeconfig is such a file."""
        assert connect(kubeconfig(tmp_path, "http://127.0.0.1:1")).server == "http://127.0.0.1:1"

    def test_the_default_file_always_needs_a_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`$KUBECONFIG` with one context is still somebody's current context."""
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "http://127.0.0.1:1")))

        with pytest.raises(UsageError, match="the current one is not taken unasked"):
            connect()
        assert connect(context="one").server == "http://127.0.0.1:1"

    @pytest.mark.parametrize("content", [None, "", "a: [", "[]"])
    def test_a_file_that_is_no_kubeconfig_is_named(self, tmp_path: Path, content: str | None) -> None:
        """Missing, empty, not YAML, not a map."""
        file = tmp_path / "kubeconfig"
        if content is not None:
            file.write_text(content)

        with pytest.raises(UsageError, match=str(file)):
            connect(file)


class TestCredentials:
    def test_a_token_file_is_read_again_when_it_is_refused(self, tmp_path: Path) -> None:
        """A token that was renewed on disk is used, and the request is sent once more."""
        token = tmp_path / "token"
        token.write_text("old")

        def answer(exchange: Exchange) -> None:
            known = exchange.headers["Authorization"] == "Bearer new"
            exchange.reply(200 if known else 401, {} if known else status(401, "Unauthorized", "Unauthorized"))

        with serving(answer) as (url, log):
            cluster = connect(kubeconfig(tmp_path, url, {"tokenFile": str(token)}))
            token.write_text("new")

            assert cluster.request("POST", "/api/v1/namespaces", body={}) == {}
            cluster.request("GET", "/api/v1/namespaces")

        sent = [(each.method, each.headers["Authorization"]) for each in log]
        assert sent == [("POST", "Bearer old"), ("POST", "Bearer new"), ("GET", "Bearer new")]

    def test_credentials_refused_twice_are_refused(self, tmp_path: Path) -> None:
        """The configuration is read again once, not for ever."""
        with serving(lambda exchange: exchange.reply(401, status(401, "Unauthorized", "who?"))) as (url, log):
            cluster = connect(kubeconfig(tmp_path, url, {"token": "wrong"}))
            with pytest.raises(ApiError, match="401 Unauthorized: who") as caught:
                cluster.request("GET", "/api/v1/nodes")

        assert caught.value.status == 401
        assert len(log) == 2

    def test_a_plugin_is_run_again_when_its_token_is_refused(self, tmp_path: Path) -> None:
        """The plugin of this test counts its runs in the token."""
        user = {"exec": _plugin(tmp_path, 'echo x >> "$0.runs"; echo "$(wc -l < "$0.runs")"')}

        def answer(exchange: Exchange) -> None:
            exchange.reply(200 if exchange.headers["Authorization"] == "Bearer 2" else 401, {})

        with serving(answer) as (url, _):
            assert connect(kubeconfig(tmp_path, url, user)).request("GET", "/api/v1/nodes") == {}

    def test_a_plugin_that_fails_is_named_with_its_reason(self, tmp_path: Path) -> None:
        """Nothing is sent without credentials."""
        user = {"exec": _plugin(tmp_path, "echo please log in >&2; exit 3")}

        with pytest.raises(UsageError, match=r"process returned 3\. please log in"):
            connect(kubeconfig(tmp_path, "http://127.0.0.1:1", user))

    def test_a_plugin_that_fails_midway_is_named_beside_the_401(self, tmp_path: Path) -> None:
        """What a person has to do is said: log in, and run the same command again."""
        user = {"exec": _plugin(tmp_path, 'test -f "$0.again" && { echo session over >&2; exit 3; }; touch "$0.again"')}

        with (
            serving(lambda exchange: exchange.reply(401, status(401, "Unauthorized", "who?"))) as (url, _),
            pytest.raises(ApiError, match=r"(?s)401 Unauthorized.*session over.*Next: log in again, then run the same"),
        ):
            connect(kubeconfig(tmp_path, url, user)).request("GET", "/api/v1/nodes")

    def test_a_plugin_that_never_answers_is_ended_with_all_it_started(self) -> None:
        """Once it held a rollout for ever: one that hung, or asked where nobody was to answer."""
        hanging = "sleep 1000 & read answer && exit 3; wait"
        ended = subprocess.run(
            [sys.executable, "-ISc", IN_TIME, "1", "alone", "/bin/sh", "-c", hanging],
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )

        # The output's pipe has come to its end, so whoever could write to it is gone.
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "no answer within 1 s\n")


def _plugin(folder: Path, token: str) -> dict[str, Any]:
    """Write a credential plugin whose token is what the shell script *token* prints."""
    version = "client.authentication.k8s.io/v1"
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": "TOKEN"}})
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\nset -e\ntoken=$({token})\necho '{answer}' | sed \"s/TOKEN/$token/\"\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": version, "command": str(file)}


class TestRequests:
    def test_a_request_is_sent_as_it_is_told(self, tmp_path: Path) -> None:
        """Method, path, encoded query, content type, body, and a User-Agent that names the field manager."""
        with serving(lambda exchange: exchange.reply(200, {"a": 1})) as (url, log):
            answer = connect(kubeconfig(tmp_path, url)).request(
                "PATCH",
                "/api/v1/nodes/a",
                query={"labelSelector": "a in (b,c)"},
                body={"b": "ä"},
                content_type=MERGE_PATCH,
            )

        assert answer == {"a": 1}
        assert (log[0].method, log[0].path) == ("PATCH", "/api/v1/nodes/a?labelSelector=a+in+%28b%2Cc%29")
        assert json.loads(log[0].body) == {"b": "ä"}
        assert log[0].headers["Content-Type"] == "application/merge-patch+json"
        assert log[0].headers["User-Agent"] == "quarterdeck"

    def test_a_list_of_operations_is_sent_as_a_list(self, tmp_path: Path) -> None:
        """Also an empty one: a JSON patch is never turned into another kind of patch."""
        with serving(lambda exchange: exchange.reply(200, {})) as (url, log):
            connect(kubeconfig(tmp_path, url)).request("PATCH", "/a", body=[])

        assert log[0].body == b"[]"

    @pytest.mark.parametrize("code", [429, 503])
    def test_a_get_waits_as_it_is_asked_to(self, tmp_path: Path, code: int) -> None:
        """A busy server's Retry-After is honoured for what changes nothing."""
        answers = iter([code, code, 200])
        with serving(lambda exchange: exchange.reply(next(answers), {}, Retry_After="0")) as (url, log):
            assert connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes") == {}

        assert len(log) == 3

    def test_a_get_gives_up_before_its_deadline(self, tmp_path: Path) -> None:
        """A pause longer than what is left of the deadline is not begun."""
        with serving(lambda exchange: exchange.reply(503, "busy", Retry_After="60")) as (url, log):
            began = time.monotonic()
            with pytest.raises(ApiError, match="503 Service Unavailable: busy"):
                connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes", timeout=50)

        assert time.monotonic() - began < 50
        assert len(log) == 1

    @pytest.mark.parametrize("code", [500, 502, 504])
    def test_a_get_is_sent_again_after_an_error_of_the_server(self, tmp_path: Path, code: int) -> None:
        """Without being asked to: it changes nothing."""
        answers = iter([code, 200])
        with serving(lambda exchange: exchange.reply(next(answers), {})) as (url, log):
            assert connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes") == {}

        assert len(log) == 2

    def test_a_get_whose_answer_was_lost_is_sent_again(self, tmp_path: Path) -> None:
        """The connection breaks once."""
        answers = iter([False, True])

        def answer(exchange: Exchange) -> None:
            if next(answers):
                exchange.reply(200, {})
            else:
                exchange.close_connection = True

        with serving(answer) as (url, log):
            assert connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes") == {}

        assert len(log) == 2

    def test_a_server_that_stays_broken_is_given_up(self, tmp_path: Path) -> None:
        """After four tries, the deadline being far."""
        with (
            serving(lambda exchange: exchange.reply(500, status(500, "InternalError", "etcd"))) as (url, log),
            pytest.raises(ApiError, match="500 InternalError: etcd"),
        ):
            connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes")

        assert len(log) == 4

    def test_a_change_that_was_too_much_is_sent_again(self, tmp_path: Path) -> None:
        """429 says that it was not carried out; the server's priority and fairness answers so, in plain text."""
        answers = iter([429, 201])
        with serving(lambda exchange: exchange.reply(next(answers), {}, Retry_After="0")) as (url, log):
            assert connect(kubeconfig(tmp_path, url)).request("POST", "/api/v1/namespaces", body={}) == {}

        assert len(log) == 2

    @pytest.mark.parametrize("code", [409, 500, 503])
    def test_a_change_that_may_have_been_made_is_not_sent_again(self, tmp_path: Path, code: int) -> None:
        """Whoever wanted it reads back first."""
        with (
            serving(lambda exchange: exchange.reply(code, {}, Retry_After="0")) as (url, log),
            pytest.raises(ApiError) as caught,
        ):
            connect(kubeconfig(tmp_path, url)).request("POST", "/api/v1/namespaces", body={})

        assert (caught.value.status, caught.value.retry_after, len(log)) == (code, 0, 1)

    def test_a_change_without_an_answer_is_not_sent_again(self, tmp_path: Path) -> None:
        """It was sent: the server may have carried it out before the connection broke."""

        def answer(exchange: Exchange) -> None:
            exchange.close_connection = True

        with serving(answer) as (url, log), pytest.raises(UnreachableError) as caught:
            connect(kubeconfig(tmp_path, url)).request("POST", "/api/v1/namespaces", body={})

        assert (caught.value.sent, len(log)) == (True, 1)

    def test_an_eviction_that_a_budget_refuses_is_not_sent_again(self, tmp_path: Path) -> None:
        """429 on an eviction is an answer: a disruption budget's."""
        refusal = status(429, "TooManyRequests", "budget")
        with (
            serving(lambda exchange: exchange.reply(429, refusal, Retry_After="0")) as (url, log),
            pytest.raises(ApiError) as caught,
        ):
            connect(kubeconfig(tmp_path, url)).request("POST", "/a/eviction", body={})

        assert (caught.value.status, caught.value.reason, caught.value.message) == (429, "TooManyRequests", "budget")
        assert len(log) == 1

    def test_a_proxys_page_is_no_answer(self, tmp_path: Path) -> None:
        """HTML with status 200 is not taken for success; whether the request was carried out is unknown."""
        with (
            serving(lambda exchange: exchange.reply(200, "<html>log in</html>")) as (url, _),
            pytest.raises(UnreachableError, match="<html>log in</html>"),
        ):
            connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes")

    def test_a_redirect_is_not_followed(self, tmp_path: Path) -> None:
        """Credentials go to the server of the kubeconfig and nowhere else."""
        with (
            serving(lambda exchange: exchange.reply(302, "", Location="/other")) as (url, log),
            pytest.raises(ApiError) as caught,
        ):
            connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes")

        assert caught.value.status == 302
        assert len(log) == 1

    def test_nobody_listening_is_unreachable(self, tmp_path: Path) -> None:
        """The message names the server and what was asked."""
        with closed() as url, pytest.raises(UnreachableError, match=rf"(?s){url} to GET /api/v1/nodes.*refused"):
            connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes")

    def test_a_change_that_was_never_sent_says_so(self, tmp_path: Path) -> None:
        """Without a connection nothing was carried out."""
        with closed() as url, pytest.raises(UnreachableError) as caught:
            connect(kubeconfig(tmp_path, url)).request("POST", "/api/v1/namespaces", body={}, timeout=0.2)
        assert not caught.value.sent

    @pytest.mark.parametrize("begun", [False, True])
    def test_a_silent_server_is_given_up(self, tmp_path: Path, *, begun: bool) -> None:
        """Silence before the answer, and within it."""
        released = threading.Event()

        def answer(exchange: Exchange) -> None:
            if begun:
                exchange.stream(b'{"a"', end=False)
            released.wait(SILENCE)

        with serving(answer) as (url, _):
            began = time.monotonic()
            with pytest.raises(UnreachableError, match="timed out"):
                connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes", timeout=0.3)
            took = time.monotonic() - began
            released.set()

        assert took < SILENCE

    def test_a_dripping_answer_is_given_up(self, tmp_path: Path) -> None:
        """The deadline is of the whole answer: a byte now and then does not extend it."""
        released = threading.Event()

        def answer(exchange: Exchange) -> None:
            exchange.stream(b"[", end=False)
            while not released.wait(0.05):
                exchange.wfile.write(b"1\r\n \r\n")
                exchange.wfile.flush()

        with serving(answer) as (url, _):
            began = time.monotonic()
            with pytest.raises(UnreachableError, match="timed out"):
                connect(kubeconfig(tmp_path, url)).request("GET", "/api/v1/nodes", timeout=0.5)
            took = time.monotonic() - began
            released.set()

        assert took < SILENCE


class TestAnswersOfThePast:
    """What was seen once is not unseen, whatever a server or a cache before it says."""

    WHERE = "/apis/apps/v1/namespaces/shop/deployments"

    @staticmethod
    def seen(version: int) -> dict[str, Any]:
        """Return a Deployment at a version."""
        return {"metadata": {"name": "checkout", "uid": "u", "resourceVersion": str(version)}}

    def test_an_older_state_than_our_own_change_is_asked_for_again(self, tmp_path: Path) -> None:
        """Until the server knows of the change."""
        answers = iter([self.seen(9), self.seen(8), self.seen(8), self.seen(9)])
        with serving(lambda exchange: exchange.reply(200, next(answers))) as (url, log):
            cluster = connect(kubeconfig(tmp_path, url))
            cluster.request("PATCH", f"{self.WHERE}/checkout", body={})

            assert cluster.request("GET", f"{self.WHERE}/checkout") == self.seen(9)

        assert len(log) == 4

    def test_what_was_made_is_there(self, tmp_path: Path) -> None:
        """404 right after the creation is asked about again."""
        missing = status(404, "NotFound", "not found")
        answers = iter([(201, self.seen(9)), (404, missing), (200, self.seen(9))])
        with serving(lambda exchange: exchange.reply(*next(answers))) as (url, _):
            cluster = connect(kubeconfig(tmp_path, url))
            cluster.request("POST", self.WHERE, body={})

            assert cluster.request("GET", f"{self.WHERE}/checkout") == self.seen(9)

    def test_what_somebody_else_deleted_is_gone(self, tmp_path: Path) -> None:
        """404 again and again is believed, and then at once."""
        answers = iter([(201, self.seen(9)), *[(404, status(404, "NotFound", "not found"))] * 5])
        with serving(lambda exchange: exchange.reply(*next(answers))) as (url, log):
            cluster = connect(kubeconfig(tmp_path, url))
            cluster.request("POST", self.WHERE, body={})

            for _ in range(2):
                with pytest.raises(ApiError, match="404 NotFound"):
                    cluster.request("GET", f"{self.WHERE}/checkout")

        assert len(log) == 6

    def test_a_server_that_stays_in_the_past_is_named(self, tmp_path: Path) -> None:
        """At the deadline: nothing is decided on what is known to be wrong."""
        answers = iter([self.seen(9)])
        with serving(lambda exchange: exchange.reply(200, next(answers, self.seen(8)))) as (url, _):
            cluster = connect(kubeconfig(tmp_path, url))
            cluster.request("PATCH", f"{self.WHERE}/checkout", body={})

            for timeout in (1, 5, 25):
                with pytest.raises(UnreachableError) as caught:
                    cluster.request("GET", f"{self.WHERE}/checkout", timeout=timeout)
                if isinstance(caught.value, StaleError):  # at its end a busy machine may have answered no more
                    break

        assert isinstance(caught.value, StaleError)
        assert "version 8 after 9" in str(caught.value)


class TestClocks:
    @pytest.mark.parametrize(("date", "skew"), [("Sat, 01 Jan 2000 00:00:00 GMT", -1), ("", 0), ("soon", 0)])
    def test_the_servers_clock_is_compared_with_ours(self, tmp_path: Path, date: str, skew: int) -> None:
        """By the `Date` of its answers; one that says nothing leaves it open."""

        def answer(exchange: Exchange) -> None:
            exchange.send_response_only(200)
            exchange.send_header("Date", date)
            exchange.send_header("Content-Length", "2")
            exchange.end_headers()
            exchange.wfile.write(b"{}")

        with serving(answer) as (url, log):
            cluster = connect(kubeconfig(tmp_path, url))
            # An answer that took long says nothing of the clock: on a busy machine the next one does.
            while cluster.skew == 0 and len(log) < (100 if skew else 1):
                cluster.request("GET", "/api/v1/nodes")

        assert cluster.skew == pytest.approx(skew and 946_684_800 - time.time(), abs=60)

    def test_a_person_is_told_before_anything_is_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """On stderr, by every command that opens an environment."""
        facts = dict.fromkeys(
            ("environment", "prometheus-url", "alertmanager-url", "catalogue", "scrape-interval"), "x"
        )
        answer = json.dumps({"metadata": {"uid": "u"}, "data": facts}).encode()

        def dated(exchange: Exchange) -> None:
            exchange.send_response_only(200)
            exchange.send_header("Date", "Sat, 01 Jan 2000 00:00:00 GMT")
            exchange.send_header("Content-Length", str(len(answer)))
            exchange.end_headers()
            exchange.wfile.write(answer)

        monkeypatch.chdir(tmp_path)
        with serving(dated) as (url, _):
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, url)))
            for _ in range(100):
                open_environment("prod", "one")
                captured = capsys.readouterr()
                if captured.err:  # an answer that took long, on a busy machine, says nothing of the clock
                    break

        assert captured.out == ""
        assert captured.err.startswith("This machine's clock is ")
        assert "ahead of the API server's" in captured.err


class TestWatches:
    def test_events_are_told_one_by_one(self, tmp_path: Path) -> None:
        """Wherever the chunks cut the lines and the letters in them; bookmarks are left out."""
        told = event("ADDED", "ä") + event("BOOKMARK", "") + event("DELETED", "b")
        chunks = [told[place : place + 1] for place in range(len(told))]

        with serving(lambda exchange: exchange.stream(*chunks)) as (url, log):
            events = list(
                connect(kubeconfig(tmp_path, url)).watch("/api/v1/pods", query={"resourceVersion": "7"}, timeout=5)
            )

        assert [(each["type"], each["object"]["metadata"]["name"]) for each in events] == [
            ("ADDED", "ä"),
            ("DELETED", "b"),
        ]
        assert log[0].path == "/api/v1/pods?resourceVersion=7&watch=true&timeoutSeconds=5"

    def test_bookmarks_are_told_to_who_asks_for_them(self, tmp_path: Path) -> None:
        """They say up to which version everything was told."""
        told = event("ADDED", "a") + event("BOOKMARK", "")
        with serving(lambda exchange: exchange.stream(told)) as (url, _):
            watching = connect(kubeconfig(tmp_path, url)).watch(
                "/api/v1/pods", query={"allowWatchBookmarks": "true"}, timeout=5
            )

            assert [each["type"] for each in watching] == ["ADDED", "BOOKMARK"]

    def test_an_expired_version_asks_for_a_new_list(self, tmp_path: Path) -> None:
        """The ERROR event within the stream, and 410 instead of a stream, are the same error."""
        expired = status(410, "Expired", "too old resource version: 1 (5)")
        error = json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n"

        for answer in (lambda exchange: exchange.stream(error), lambda exchange: exchange.reply(410, expired)):
            with serving(answer) as (url, _), pytest.raises(ApiError) as caught:
                list(connect(kubeconfig(tmp_path, url)).watch("/api/v1/pods", query={}, timeout=5))
            assert (caught.value.status, caught.value.reason) == (410, "Expired")

    def test_a_stream_that_breaks_is_an_error(self, tmp_path: Path) -> None:
        """What came before is told; the end is not taken for the end of the watch."""
        with serving(lambda exchange: exchange.stream(event("ADDED", "a"), end=False)) as (url, _):
            events = connect(kubeconfig(tmp_path, url)).watch("/api/v1/pods", query={}, timeout=5)

            assert next(events)["type"] == "ADDED"
            with pytest.raises(UnreachableError):
                next(events)

    def test_an_event_cut_off_is_an_error(self, tmp_path: Path) -> None:
        """A proxy that ends the stream properly within a line has still lost an event."""
        with (
            serving(lambda exchange: exchange.stream(event("ADDED", "a")[:-9])) as (url, _),
            pytest.raises(UnreachableError, match="ended within an event"),
        ):
            list(connect(kubeconfig(tmp_path, url)).watch("/api/v1/pods", query={}, timeout=5))

    def test_a_silent_watch_ends_in_time(self, tmp_path: Path) -> None:
        """The client's own deadline ends it without an error, when the server does not."""
        released = threading.Event()

        def answer(exchange: Exchange) -> None:
            exchange.stream(event("ADDED", "a"), end=False)
            released.wait(SILENCE)

        with serving(answer) as (url, _):
            cluster, events = connect(kubeconfig(tmp_path, url)), []
            for timeout in (0.3, 3, 15):  # a busy machine may tell the event, or answer at all, too late for the first
                began = time.monotonic()
                with suppress(UnreachableError):
                    events = list(cluster.watch("/api/v1/pods", query={}, timeout=timeout))
                if events:
                    break
            took = time.monotonic() - began
            released.set()

        assert len(events) == 1
        assert took < SILENCE


class TestLogs:
    """Logs are bytes, and only their end is kept."""

    def test_a_log_comes_as_it_is(self, tmp_path: Path) -> None:
        """Bytes that are no text stay; what is asked for is bounded, and says whose and which run."""
        with serving(lambda exchange: exchange.stream(b"one\n\xff\xfe", b"\x80 two\n")) as (url, log):
            cluster = connect(kubeconfig(tmp_path, url))
            assert isinstance(cluster, PodLogs)
            whole = cluster.log("shop", "a-1", "app", most=100)
            end = cluster.log("shop", "a-1", "app", previous=True, most=9)

        assert whole == b"one\n\xff\xfe\x80 two\n"
        assert end == b"\xff\xfe\x80 two\n"
        asked = "/api/v1/namespaces/shop/pods/a-1/log?container=app&tailLines=2000&limitBytes=8388608"
        assert [sent.path for sent in log] == [asked, f"{asked}&previous=true"]

    def test_no_log_is_an_error_of_the_servers(self, tmp_path: Path) -> None:
        """A container that never ran has none; the server says so as JSON."""
        said = {"kind": "Status", "code": 400, "reason": "BadRequest", "message": "container app is waiting to start"}
        with serving(lambda exchange: exchange.reply(400, said)) as (url, _):
            cluster = connect(kubeconfig(tmp_path, url))
            assert isinstance(cluster, PodLogs)
            with pytest.raises(ApiError, match="waiting to start"):
                cluster.log("shop", "a-1", "app", most=100)

    def test_a_log_that_drips_has_a_deadline(self, tmp_path: Path) -> None:
        """Evidence is read while a rollback waits."""
        released = threading.Event()

        def answer(exchange: Exchange) -> None:
            exchange.stream(b"a line\n", end=False)
            released.wait(SILENCE)

        with serving(answer) as (url, _):
            cluster = connect(kubeconfig(tmp_path, url))
            assert isinstance(cluster, PodLogs)
            with pytest.raises(UnreachableError, match="Read timed out"):
                cluster.log("shop", "a-1", "app", most=100, timeout=0.3)
            released.set()
