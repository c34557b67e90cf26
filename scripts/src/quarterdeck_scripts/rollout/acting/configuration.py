"""Which configuration a version runs with, and what of it is another than before. Pure; no secret is in it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.differences import differences
from quarterdeck_scripts.kube.revisions import without_restart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json


def config_maps_of(template: Json) -> dict[str, str]:
    """Return the ConfigMaps that pods of *template* read: where they are named, to their name."""
    spec = template["spec"]
    found = {}
    for volume in spec.get("volumes") or []:
        sources = [volume, *((volume.get("projected") or {}).get("sources") or [])]
        for number, source in enumerate(sources):
            where = f"volume {volume['name']}" + (f", source {number}" if number else "")
            found[where] = (source.get("configMap") or {}).get("name", "")
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        for number, source in enumerate(container.get("envFrom") or []):
            where = f"container {container['name']}, envFrom {number}"
            found[where] = (source.get("configMapRef") or {}).get("name", "")
        for variable in container.get("env") or []:
            reference = (variable.get("valueFrom") or {}).get("configMapKeyRef") or {}
            found[f"container {container['name']}, variable {variable['name']}"] = reference.get("name", "")
    return {where: name for where, name in found.items() if name}


def template_of(image: str, workloads: Iterable[Json]) -> Json | None:
    """Return the first pod template with a container of *image* in *workloads* and their revisions, or None."""
    for found in workloads:
        template: Json = (found.get("data") or found)["spec"]["template"]
        if any(container["image"] == image for container in template["spec"]["containers"]):
            return template
    return None


def changes(old: Json, new: Json, config_maps: Mapping[str, Json]) -> Iterator[str]:
    """Yield what is another for pods of the template *new* than for those of *old*, as lines a person reads.

    A ConfigMap that both name has no before: when it was last written, and by whom, is all that is known.
    """
    yield "Pod template:"
    yield from _indented(differences(without_restart(old), without_restart(new)))
    before, after = config_maps_of(old), config_maps_of(new)
    pairs = {(before.get(where, ""), name): where for where, name in after.items()}
    for (then, now), where in sorted(pairs.items()):
        if then == now:
            yield f"ConfigMap {now} ({where}), read by both: {_written(config_maps.get(now))}"
        else:
            yield f"ConfigMap {then or 'none'} → {now} ({where}):"
            yield from _indented(_data_changes(config_maps.get(then) or {}, config_maps.get(now) or {}))
    for where, then in before.items():
        if where not in after:
            yield f"ConfigMap {then} → none ({where})"


def _data_changes(old: Json, new: Json) -> Iterator[str]:
    before, after = old.get("data") or {}, new.get("data") or {}
    for key in sorted({*before, *after}):
        texts = before.get(key, ""), after.get(key, "")
        if texts[0] == texts[1]:
            continue
        if any("\n" in text for text in texts):
            then, now = (text.splitlines() for text in texts)
            yield f"~ {key}:"
            yield from _indented([*difflib.unified_diff(then, now, n=0, lineterm="")][2:])
        else:
            yield from differences({"data": {key: texts[0]}}, {"data": {key: texts[1]}})


def _written(config_map: Json | None) -> str:
    if config_map is None:
        return "it could not be read"
    fields = config_map["metadata"].get("managedFields") or []
    newest: Json = max(fields, key=lambda field: field.get("time") or "", default={})
    when = newest.get("time") or config_map["metadata"].get("creationTimestamp", "at a time unknown")
    return f"last written {when}" + (f" by {newest['manager']}" if newest.get("manager") else "")


def _indented(lines: Iterable[str]) -> Iterator[str]:
    nothing = True
    for line in lines:
        nothing = False
        yield f"  {line}"
    if nothing:
        yield "  the same"
