"""`quarterdeck local` where no control plane is needed: what it says, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.cli import run
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.local import images, lifecycle
from quarterdeck_scripts.local.network import claim
from quarterdeck_scripts.local.process import ProcessId
from quarterdeck_scripts.local.state import Layout, Part, Phase, Record, part_of, write_record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Work in an empty folder; return the layout of its environment `local`."""
    monkeypatch.chdir(tmp_path)
    return Layout(tmp_path / ".quarterdeck" / "local")


def _record(layout: Layout) -> Record:
    layout.logs.mkdir(parents=True)
    own = part_of("supervisor", os.getpid(), layout.log("supervisor"))
    dead = Part("etcd", ProcessId(os.getpid(), 1), own.since, str(layout.log("etcd")))
    failure = f"etcd (pid {os.getpid()}) was killed by SIGKILL"
    return Record(Phase.FAILED, own, (dead,), failure=failure, server="https://127.0.0.1:1")


def test_status_without_an_environment_says_so(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1: nothing runs. The way in is on stderr."""
    assert run(["local", "status"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("local: absent\n", "Next: start it with `quarterdeck local up`.\n")
    assert not layout.state.exists()


def test_status_shows_each_part_and_names_the_dead_one(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """The data on stdout, the failure and the way out on stderr."""
    write_record(layout, _record(layout))

    assert run(["local", "status"]) == 1

    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "local: failed at https://127.0.0.1:1"
    assert lines[1].split()[:3] == ["supervisor", "pid", str(os.getpid())]
    assert lines[2].split()[:2] == ["etcd", "DEAD"]
    failure, way_out = shown.err.splitlines()
    assert failure == f"etcd (pid {os.getpid()}) was killed by SIGKILL"
    assert way_out == "Next: run `quarterdeck local down`, then `quarterdeck local up`."


def test_status_as_json_has_the_same_facts(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts; exit code 0 while everything runs."""
    record = _record(layout)
    write_record(layout, replace(record, phase=Phase.RUNNING, parts=(), failure=""))

    assert run(["local", "status", "--output", "json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["phase"], found["server"]) == ("running", "https://127.0.0.1:1")
    assert [(part["name"], part["alive"]) for part in found["parts"]] == [("supervisor", True)]


def test_an_image_is_added_before_the_environment_runs(
    layout: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or from stdin; the list has it."""
    monkeypatch.setattr("sys.stdin", io.StringIO('{"config": {"Entrypoint": ["/bin/echo"], "Cmd": ["two words"]}}'))

    assert run(["local", "image", "add", "localhost/echo", "-"]) == 0
    assert capsys.readouterr().err == "localhost/echo:latest runs /bin/echo 'two words'\n"
    assert run(["local", "image", "list", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"localhost/echo:latest": "/bin/echo 'two words'"}
    assert images.find(layout.state, "localhost/echo") is not None


def test_an_image_that_is_no_json_is_refused(
    layout: Layout, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2, with the file's name."""
    (tmp_path / "image.json").write_text("config:")

    assert run(["local", "image", "add", "x", "image.json"]) == 2
    err = capsys.readouterr().err
    assert "Expected JSON in image.json." in err
    assert 'Next: write an image\'s configuration, such as {"config": {"Entrypoint": ["/path/of/program"]}}.' in err
    assert not layout.state.exists()


def test_logs_are_there_without_an_api_server(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """As bytes, as they were written."""
    folder = layout.pods / "shop_checkout-1_uid"
    folder.mkdir(parents=True)
    (folder / "main.log").write_bytes(b"one\ntw\xc3\xb6\n")

    assert run(["local", "logs", "checkout-1", "--tail", "1"]) == 0
    assert capsys.readouterr().out == "twö\n"


def test_down_removes_what_is_left_and_may_be_run_again(layout: Layout) -> None:
    """Exit code 0 both times."""
    record = _record(layout)
    write_record(layout, replace(record, supervisor=record.parts[0]))

    assert [run(["local", "down"]), run(["local", "down"])] == [0, 0]
    assert not layout.state.parent.exists()


def test_one_up_or_down_at_a_time(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is refused, with the reason."""
    with claim(lifecycle.claim_name(layout)) or pytest.fail("claimed by another test"):
        assert run(["local", "down"]) == 4
    assert "another `quarterdeck local up` or `down` at work on it" in capsys.readouterr().err


def test_the_machines_proxy_is_not_asked_for_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy reaches our own loopback, whatever the variables of the office network say."""

    class Nodes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with an empty list."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"items": []}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with ThreadingHTTPServer(("127.0.0.1", 0), Nodes) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        try:
            answer = connect(tmp_path / "kubeconfig").request("GET", path("Node"))
        finally:
            server.shutdown()
    assert answer == {"items": []}
