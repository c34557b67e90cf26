"""`quarterdeck datadog` as a process: killed, without a terminal, read by programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.scripts_publish.conftest import CATALOGUE, wanted
from tests.unit.scripts_publish.datadog_server import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripts_publish.conftest import Desk


@pytest.fixture
def command(desk: Desk, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts `quarterdeck datadog` on the catalogue."""
    services = tmp_path / "services.yaml"
    services.write_text(CATALOGUE)
    environ = {**os.environ, "DD_API_KEY": KEYS["DD-API-KEY"], "DD_APP_KEY": KEYS["DD-APPLICATION-KEY"]}
    environ["KUBECONFIG"] = str(tmp_path / "none")

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [Path(sys.executable).with_name("quarterdeck"), "datadog", *arguments, "--site", desk.server.url]
        catalogue = [] if arguments[0] == "destroy" else ["--services", services]
        return subprocess.Popen(
            [*command, "--env", "prod", *catalogue],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_killed_between_two_calls_it_goes_on(desk: Desk, command: Callable[..., subprocess.Popen[str]]) -> None:
    """The monitor whose creation was under way when the process was killed is there once, and so is all the rest."""
    running: Future[subprocess.Popen[str]] = Future()

    def kill() -> None:
        process = running.result(timeout=60)
        process.kill()
        process.wait(timeout=60)

    desk.server.faults += [("POST", "/api/v1/monitor", kill)]
    running.set_result(command("apply", "--yes", "--unaudited"))
    running.result().communicate(timeout=120)
    desk.server.settle()
    assert (running.result().returncode, len(desk.server.objects["monitor"])) == (-9, 1)

    again = command("apply", "--yes", "--unaudited")
    _, said = again.communicate(timeout=120)

    made = [line for line in said.splitlines() if line.startswith("+ monitor")]
    assert (again.returncode, len(made)) == (0, len(desk.names("monitor")) - 1)
    assert len(desk.names("monitor")) == len(set(desk.names("monitor")))


def test_without_a_terminal_it_asks_for_yes(desk: Desk, command: Callable[..., subprocess.Popen[str]]) -> None:
    """The plan is shown, nothing is changed, and what to add is said."""
    process = command("apply", "--unaudited")
    out, said = process.communicate(timeout=120)

    assert (process.returncode, out) == (4, "")
    assert "+ slo checkout: availability (prod)" in said
    assert "add --yes" in said
    assert desk.server.changes() == []


def test_the_plan_is_data(desk: Desk, command: Callable[..., subprocess.Popen[str]]) -> None:
    """On stdout, a line for each resource; what Datadog cannot have as the catalogue has it is said with its reason."""
    process = command("plan")
    out, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert out.splitlines()[0] == "+ slo checkout: availability (prod)"
    assert out.splitlines()[-1] == (
        "  not there as the catalogue has it: checkout/availability: "
        "a burn rate of 1.5 over 2d stands for 1 over 3d, a window that Datadog has not"
    )
    assert desk.server.changes() == []


def test_what_was_done_is_data_as_well(desk: Desk, command: Callable[..., subprocess.Popen[str]]) -> None:
    """As JSON, with the outcome of each step, also where one failed."""
    desk.apply(tuple(each for each in wanted() if "burn_rate" not in str(each.body)))
    desk.server.faults += [("DELETE", "/api/v1/slo", 403)]

    process = command("destroy", "--yes", "--unaudited", "--output", "json")
    out, said = process.communicate(timeout=120)

    steps = json.loads(out)["steps"]
    assert process.returncode == 1
    assert {step["act"] for step in steps} == {"delete"}
    assert [step["outcome"][:16] for step in steps if step["outcome"] != "done"] == ["failed: HTTP 403"]
    assert steps[-1]["key"] == "slo/checkout/availability/metric"
    assert "✗ delete slo checkout: availability (prod): HTTP 403" in said


def test_without_an_audit_log_nothing_is_changed(desk: Desk, command: Callable[..., subprocess.Popen[str]]) -> None:
    """Where the cluster that keeps it cannot be reached, the way to go on without is said."""
    process = command("apply", "--yes")
    _, said = process.communicate(timeout=120)

    assert process.returncode == 4
    assert "by --unaudited" in said
    assert desk.server.changes() == []
