"""The images that the monitoring runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks import images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_stacks.settings import Settings

NAMES = sorted(name for name in vars(images) if name.isupper() and not name.startswith("_"))
OF_THIS_MACHINE = {"LOCAL_PROMETHEUS", "LOCAL_ALERTMANAGER"}


@pytest.mark.parametrize("name", sorted({*NAMES} - OF_THIS_MACHINE))
def test_every_image_is_pinned(name: str) -> None:
    """By its registry, its tag and the digest of what that tag was."""
    assert images.is_pinned(getattr(images, name))


def test_no_two_images_share_a_digest() -> None:
    """A copied line with half of it changed would be one image under another's name."""
    digests = [getattr(images, name).partition("@")[2] for name in NAMES if name not in OF_THIS_MACHINE]

    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    "image",
    [
        "quay.io/prometheus/prometheus:v3.15.0",
        "prometheus:v3.15.0@sha256:" + "a" * 64,
        "quay.io/prometheus/prometheus@sha256:" + "a" * 64,
        "quay.io/prometheus/prometheus:v3.15.0@sha256:abc",
    ],
)
def test_an_image_that_may_be_another_tomorrow_is_not_pinned(image: str) -> None:
    """Without a digest, without a registry, without a version to read, or with half a digest."""
    assert not images.is_pinned(image)


@pytest.mark.parametrize("image", ["instrumentation:1", "instrumentation:1@sha256:0a", "@sha256:" + "0a" * 32])
def test_an_instrumentation_that_may_be_another_tomorrow_is_refused(
    settings_of: Callable[..., Settings], image: str
) -> None:
    """It runs in every service. What the catalogue says of images, it says itself."""
    with pytest.raises(UsageError) as refused:
        settings_of("dev", "servicesInstrumentation=init", f"servicesInstrumentationImage={image}")

    assert (refused.value.expected, refused.value.found) == (
        "the key servicesInstrumentationImage to be an image as registry/name:tag@sha256:…",
        repr(image),
    )


def test_images_are_named_in_one_file(root: Path) -> None:
    """Whoever changes a version changes one line."""
    folder = root / "stacks" / "src" / "quarterdeck_stacks"
    others = [path for path in folder.rglob("*.py") if path.name != "images.py"]

    assert [
        path.name for path in others if re.search(r"\b(quay\.io|docker\.io|gcr\.io|ghcr\.io)/", path.read_text())
    ] == []
