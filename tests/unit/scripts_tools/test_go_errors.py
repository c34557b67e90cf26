"""What Go says when a build fails, as one error with its next step. The texts are Go 1.26's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.tools.catalogue import KUBECONFORM
from quarterdeck_scripts.tools.golang import explain
from quarterdeck_scripts.tools.process import Finished

if TYPE_CHECKING:
    from quarterdeck_scripts.tools.settings import Settings

REFUSED = (
    'github.com/yannh/kubeconform@v0.8.0: Get "http://127.0.0.1:1/github.com/yannh/kubeconform/@v/v0.8.0.zip": '
    "dial tcp 127.0.0.1:1: connect: connection refused"
)
FULL = (
    "# github.com/yannh/kubeconform/cmd/kubeconform\n"
    "/usr/lib/go/pkg/tool/linux_amd64/link: mapping output file failed: no space left on device"
)
CHANGED = (
    "verifying github.com/yannh/kubeconform@v0.8.0: checksum mismatch\n"
    "\tdownloaded: h1:dLg=\n\tgo.sum:     h1:AAA=\n\nSECURITY ERROR\nThis download does NOT match an earlier one.\n"
)


@pytest.mark.parametrize(
    ("said", "found", "next_step"),
    [
        (
            f"go: downloading github.com/yannh/kubeconform v0.8.0\n{REFUSED}",
            f"no way to its modules: {REFUSED}",
            "make the Go module proxy reachable, or set GOPROXY to one that is, then run it again",
        ),
        (
            "go: module lookup disabled by GOPROXY=off",
            "no way to its modules: go: module lookup disabled by GOPROXY=off",
            "make the Go module proxy reachable, or set GOPROXY to one that is, then run it again",
        ),
        (
            FULL,
            f"a full disk: {FULL}".replace("\n", " · "),
            "free some 5 GB where `go env GOCACHE GOMODCACHE` and the tools' cache are, then run it again",
        ),
        (
            CHANGED,
            "verifying github.com/yannh/kubeconform@v0.8.0: checksum mismatch",
            "find out what `go env GOPROXY` serves; nothing was built from it",
        ),
        (
            "go: unknown GOEXPERIMENT nothing",
            "that Go failed: go: unknown GOEXPERIMENT nothing",
            "compare `go env` with a fresh installation's (GOFLAGS, GOEXPERIMENT), then run it again",
        ),
        (
            "",
            "that Go failed: exit code 1",
            "compare `go env` with a fresh installation's (GOFLAGS, GOEXPERIMENT), then run it again",
        ),
    ],
    ids=["proxy refuses", "proxy off", "disk full", "other checksum", "other", "silent"],
)
def test_each_failure_has_its_next_step(settings: Settings, said: str, found: str, next_step: str) -> None:
    """One error, and never Go's whole output."""
    error = explain(KUBECONFORM, Finished(1, said), settings)

    assert error.found == found
    assert error.next_step == next_step


def test_offline_the_missing_modules_are_the_cause(settings: Settings) -> None:
    """The user chose it, so the proxy is not to blame."""
    error = explain(KUBECONFORM, Finished(1, "module lookup disabled by GOPROXY=off"), replace(settings, offline=True))

    assert error.found == "modules that Go's cache does not hold, and --offline"
    assert error.next_step == "run it once without --offline"


def test_a_go_that_says_nothing_for_long_has_hung(settings: Settings) -> None:
    """The deadline is on silence, so a slow build on a slow machine is no failure."""
    error = explain(KUBECONFORM, Finished(None, ""), settings)

    assert error.found == "no word from Go for 900 s"
