"""Loki's configurations as rendered, judged by Loki itself; and one that runs takes a line and gives it back."""

from __future__ import annotations

import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.programs import free_port, started, until

from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render
from quarterdeck_stacks.telemetry.loki import Loki

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.tools

STORES = {
    "staging": ("staging", ()),
    "prod": ("prod", ()),
    "s3": ("prod", ("objectStore=s3://kept?region=eu-central-1",)),
    "gcs by a secret": ("prod", ("objectStore=gs://kept", "objectStoreSecret=bucket")),
    "azure": ("prod", ("objectStore=azblob://kept?account=ours",)),
    "azure by a secret": ("prod", ("objectStore=azblob://kept?account=ours", "objectStoreSecret=bucket")),
}
"""Name of a case to its stack, and to what is set beside the stack's file."""


def _judged(loki: Path, config: Path) -> subprocess.CompletedProcess[str]:
    command = (loki, "-verify-config", f"-config.file={config}", "-config.expand-env=true")
    # As the pod has it: a key that is a variable is put in before the file is read.
    variables = {"AZURE_STORAGE_KEY": "bm90IGEga2V5"}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("case", STORES)
def test_every_environments_loki_accepts_its_configuration(
    tool: Callable[[str], Path], root: Path, tmp_path: Path, case: str
) -> None:
    """With the arguments of its pod, whatever keeps the lines."""
    stack, overrides = STORES[case]
    project = load_project(root)
    objects = render(project, stack, load_stack(project, stack, overrides)).objects
    (text,) = [each["data"]["loki.yaml"] for each in objects if "loki.yaml" in each.get("data", {})]
    config = tmp_path / "loki.yaml"
    config.write_text(text)

    judged = _judged(tool("loki"), config)

    assert judged.returncode == 0, judged.stderr


def test_loki_refuses_a_key_that_it_does_not_know(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """So the test before this one means something."""
    config = tmp_path / "loki.yaml"
    config.write_text(Loki(timedelta(days=1), None).to_yaml().replace("retention_enabled", "retention_enable"))

    judged = _judged(tool("loki"), config)

    assert judged.returncode == 1
    assert "field retention_enable not found" in judged.stderr


def test_a_line_that_was_sent_by_otlp_is_found_by_its_service_and_has_its_trace(
    tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """With the rendered configuration, its folder elsewhere: the service is a label, the trace's id is not."""
    port = free_port()
    config = tmp_path / "loki.yaml"
    config.write_text(Loki(timedelta(days=14), None, directory=str(tmp_path / "data")).to_yaml())
    where = ("-server.http-listen-address=127.0.0.1", f"-server.http-listen-port={port}")
    inside = ("-server.grpc-listen-address=127.0.0.1", f"-server.grpc-listen-port={free_port()}")
    at_once = "-ingester.min-ready-duration=0s"
    command = (
        tool("loki"),
        "-target=all",
        f"-config.file={config}",
        "-config.expand-env=true",
        *where,
        *inside,
        at_once,
    )
    with (
        started(tmp_path / "loki.log", command),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        until(lambda: client.get("/ready").status_code == 200, lambda: (tmp_path / "loki.log").read_text()[-2000:])

        line = _line("checkout", "card was refused", trace="0af7651916cd43dd8448eb211c80319c")
        # Its parts find each other a moment after each of them is ready.
        sent = until(lambda: client.post("/otlp/v1/logs", json=line).raise_for_status(), "the line to be taken")
        found = until(lambda: _found(client, '{service_name="checkout"} | trace_id=`0af7651916cd43dd8448eb211c80319c`'))

    assert sent.status_code == 204
    assert [line for stream in found for _, line in stream["values"]] == ["card was refused"]
    assert found[0]["stream"]["k8s_pod_name"] == "checkout-1"


def _line(service: str, text: str, *, trace: str) -> dict[str, Any]:
    resource = {"service.name": service, "k8s.pod.name": f"{service}-1"}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in resource.items()]
    record = {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": text}, "traceId": trace}
    scopes = [{"scope": {}, "logRecords": [record]}]
    return {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": scopes}]}


def _found(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    answer = client.get("/loki/api/v1/query_range", params={"query": query}).raise_for_status().json()
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result
