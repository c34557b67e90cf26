"""`quarterdeck stack render`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path


def _quarterdeck(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", "stack", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_stdout_is_one_stream_of_documents_in_the_order_of_application(root: Path) -> None:
    """And nothing else: it can be piped into `kubectl apply --server-side -f -`."""
    ended = _quarterdeck(root, "render", "--env", "local")

    kinds = [document["kind"] for document in yaml.safe_load_all(ended.stdout)]
    assert (ended.returncode, ended.stderr) == (0, "")
    assert kinds[:2] == ["Namespace", "Namespace"]
    assert kinds[-3:] == ["Deployment", "Deployment", "Deployment"]


def test_a_folder_gets_one_file_an_object(root: Path, tmp_path: Path) -> None:
    """The same documents as on stdout, twice the same, from any folder of the project."""
    stream = _quarterdeck(root, "render", "--env", "local").stdout
    first = _quarterdeck(root / "stacks", "render", "--env", "local", "--out", str(tmp_path / "a"))
    _quarterdeck(root, "render", "--env", "local", "--out", str(tmp_path / "b"))

    texts = {path.name: path.read_text() for path in sorted((tmp_path / "a").iterdir())}
    assert texts == {path.name: path.read_text() for path in sorted((tmp_path / "b").iterdir())}
    assert [yaml.safe_load(text) for text in texts.values()] == list(yaml.safe_load_all(stream))
    assert {text.splitlines()[0] for text in texts.values()} == {
        "# Rendered by `quarterdeck stack render --env local`. Do not edit."
    }
    assert (first.stdout, first.stderr) == ("", f"{len(texts)} objects in {tmp_path / 'a'}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--env", "moon"), 2, "Found 'moon'."),
        (("--config", "retention=1h"), 2, "Found 1h."),
        (("--config", "retentoin=1h"), 2, "Next: write --config retention=…, as docs/reference/environments.md"),
        (("--config", "zzz=1h"), 2, "Next: write --config KEY=…, as docs/reference/environments.md"),
        (("--config", "quarterdeck:drain=soon"), 2, "Next: write --config drain=…, as docs/reference/environments.md"),
        (("--config", "collector=true"), 2, "Next: `--config collector=false`"),
        (("--config", "quotaCpu=4"), 2, "Next: leave `--config quotaCpu=…` out"),
        (("--config", "retention"), 2, "Found --config retention."),
        (("--config", "catalogue=nowhere.yaml"), 2, "nowhere.yaml"),
    ],
)
def test_a_wrong_call_says_what_and_writes_nothing(
    root: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """With the exit code for a wrong input."""
    ended = _quarterdeck(root, "render", *arguments, "--out", str(tmp_path / "out"))

    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_help_imports_neither_pulumi_nor_yaml(root: Path) -> None:
    """`quarterdeck --help` loads every command and takes 150 ms in all."""
    code = "import sys, quarterdeck_stacks.command; print(*sorted({m.split('.')[0] for m in sys.modules}))"

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=280, check=True
    ).stdout.split()

    assert not {"pulumi", "pulumi_kubernetes", "grpc", "yaml", "pydantic"} & set(loaded)
