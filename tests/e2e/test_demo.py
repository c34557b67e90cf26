"""`quarterdeck demo`, as a person runs it: it tells the truth, notices what dies, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.local import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.tools, pytest.mark.timeout(900)]

QUARTERDECK = str(Path(sys.executable).parent / "quarterdeck")

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "pod-runner", "supervisor")
"""Every process that the environment is made of."""


def cmdline(pid: int) -> bytes:
    """Return the command line of a process, its words separated by blanks; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


class Demo:
    """A running demo in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.state = folder / ".quarterdeck" / "local"
        self._log = folder / "demo.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [QUARTERDECK, "demo", *arguments], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )

    def text(self) -> str:
        """Return everything said until now."""
        return self._log.read_text()

    def until(self, words: str, seconds: float = 240) -> None:
        """Wait until the demo says *words*."""
        deadline = time.monotonic() + seconds
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def end(self, seconds: float = 600) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout=seconds)

    def nothing_left(self) -> None:
        """Require that no process and no file of the environment is there."""
        assert list(process.marked(process.STATE_VARIABLE, str(self.state))) == []
        assert not self.state.exists()


@pytest.fixture
def demo(root: Path, tmp_path: Path, tool: Callable[[str], Path]) -> Iterator[Callable[..., Demo]]:
    """Return a function that starts the demo in an empty folder with this repository's project files."""
    tool("kube-apiserver")
    for name in ("Pulumi.yaml", "services.yaml", "stacks"):
        (tmp_path / name).symlink_to(root / name)
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(tmp_path, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGINT)
            each.process.wait(timeout=120)


def test_a_bad_release_is_rolled_back_a_good_one_promoted_and_a_page_mended(
    demo: Callable[..., Demo], tmp_path: Path
) -> None:
    """The whole story, with the numbers it is told in, and a report that needs nothing from elsewhere."""
    shown = demo()

    assert shown.end() == 0, shown.text()
    text = shown.text()
    assert re.search(r"^  v2  rolled back", text, re.MULTILINE), text
    assert re.search(r"^  v3  promoted", text, re.MULTILINE), text
    assert re.search(r"paged \d+ s after the first bad answer", text), text
    report = (tmp_path / ".quarterdeck" / "reports" / "demo.html").read_text()
    assert report.count("<svg") >= 2
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", report)
    shown.nothing_left()


def test_the_verdict_changes_when_the_behaviour_does(demo: Callable[..., Demo]) -> None:
    """With a v2 that loses no payment the same demo promotes v2."""
    shown = demo("--v2-failures", "0")

    assert shown.end() == 0, shown.text()
    assert re.search(r"^  v2  promoted", shown.text(), re.MULTILINE), shown.text()
    shown.nothing_left()


def test_monitoring_that_is_killed_while_it_is_asked_changes_no_verdict(demo: Callable[..., Demo]) -> None:
    """Prometheus and Alertmanager come back as restarted containers; the demo waits, and ends as ever."""
    shown = demo()
    shown.until("Judge the canary")
    folders = shown.state / "run"
    for program in ("prometheus", "alertmanager"):
        found = [
            each.pid
            for each in process.marked(process.STATE_VARIABLE, str(shown.state))
            if f"/{program} --config.file={folders}".encode() in cmdline(each.pid)
        ]
        assert len(found) == 1
        os.kill(found[0], signal.SIGKILL)

    assert shown.end() == 0, shown.text()
    assert re.search(r"^  v2  rolled back", shown.text(), re.MULTILINE), shown.text()
    shown.nothing_left()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_dies_ends_the_demo_with_its_name(demo: Callable[..., Demo], part: str) -> None:
    """SIGKILL to any process of the environment: exit code 1, the part named, nothing left, no hang."""
    shown = demo()
    shown.until("Deploying the stack")
    record = json.loads((shown.state / "state.json").read_text())
    pids = {each["name"]: each["process"]["pid"] for each in (record["supervisor"], *record["parts"])}

    os.kill(pids[part], signal.SIGKILL)

    assert shown.end(120) == 1, shown.text()
    assert part in shown.text().partition("Error:")[2], shown.text()
    shown.nothing_left()


@pytest.mark.parametrize("moment", ["Starting a control plane", "Deploying the stack", "$ quarterdeck rollout start"])
def test_ctrl_c_leaves_nothing_behind(demo: Callable[..., Demo], moment: str) -> None:
    """Interrupted at any moment: exit code 130, and no process or file is left."""
    shown = demo()
    shown.until(moment)

    shown.process.send_signal(signal.SIGINT)

    assert shown.end(120) == 130, shown.text()
    shown.nothing_left()


def test_a_running_environment_is_not_touched(demo: Callable[..., Demo], tmp_path: Path) -> None:
    """The demo refuses, exit code 4, and what runs goes on running."""
    subprocess.run([QUARTERDECK, "local", "up", "--no-deploy"], cwd=tmp_path, check=True)
    try:
        shown = demo()

        assert shown.end(120) == 4, shown.text()
        assert "quarterdeck local down" in shown.text()
        status = subprocess.run(
            [QUARTERDECK, "local", "status", "--output", "json"], cwd=tmp_path, check=True, capture_output=True
        )
        assert json.loads(status.stdout)["phase"] == "running"
    finally:
        subprocess.run([QUARTERDECK, "local", "down"], cwd=tmp_path, check=True)
