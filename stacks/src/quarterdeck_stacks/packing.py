"""Files into ConfigMaps, which the API server refuses above a mebibyte. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 900 * 1024
"""Bytes of one ConfigMap's names and texts. The API server's own limit is 1 MiB of them (`MaxSecretSize` in
pkg/apis/core/types.go of kubernetes/kubernetes); what is left is for a rule file that grows between two releases."""


def pack(files: Mapping[str, str], limit: int = LIMIT) -> list[dict[str, str]]:
    """Return *files* in as few parts as their order allows, each of at most *limit* bytes; at least one part.

    In the order of their names, so that the same files give the same parts.

    Raises:
        UsageError: one file alone is too large.
    """
    parts: list[dict[str, str]] = [{}]
    used = 0
    for name in sorted(files):
        size = len(name.encode()) + len(files[name].encode())
        if size > limit:
            raise UsageError(
                f"{name} to fit into a ConfigMap, {limit} bytes",
                f"{size} bytes",
                "give the service fewer objectives, or split it in the catalogue",
            )
        if used + size > limit:
            parts.append({})
            used = 0
        parts[-1][name] = files[name]
        used += size
    return parts
