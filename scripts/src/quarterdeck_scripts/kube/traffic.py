"""Which pods a Service leads to. Pure: JSON patches of its selector.

A service's own Service selects by name, so every track gets its share. To keep a track out, or to let one in alone,
the track is added to the selector; taken away again, everything is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import TRACK
from quarterdeck_scripts.kube.patches import pointer

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


def track_of(service: Json) -> str | None:
    """Return the track that *service* leads to alone; None when it leads to all."""
    track = (service["spec"].get("selector") or {}).get(TRACK)
    return None if track is None else str(track)


def direct_patch(service: Json, track: str | None) -> list[Json]:
    """Return the JSON patch that lets *service* lead to *track* alone, or to all (None)."""
    where = pointer("spec", "selector", TRACK)
    selector = service["spec"].get("selector") or {}
    change: Json = {"op": "remove", "path": where} if track is None else {"op": "add", "path": where, "value": track}
    return [
        {"op": "test", "path": pointer("metadata", "uid"), "value": service["metadata"]["uid"]},
        {"op": "test", "path": pointer("spec", "selector"), "value": dict(selector)},
        change,
    ]
