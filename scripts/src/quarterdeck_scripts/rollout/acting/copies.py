"""Copies of the ConfigMaps that a version reads, made before it is replaced, and what putting them back takes. Pure.

A ConfigMap may be edited or deleted while a rollout runs or after it; the template that names it does not bring back
what was in it. A copy belongs to a pod template, so it is found again by whoever goes back to that template; and to the
rollout that made it: going back from what others rolled out leaves ConfigMaps as they are. Secrets are never copied.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import KEPT, KEPT_OF, MANAGED_BY
from quarterdeck_scripts.kube.revisions import without_restart
from quarterdeck_scripts.rollout.acting.configuration import config_maps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Json

_CONTENT = ("data", "binaryData")


def template_digest(template: Json) -> str:
    """Return what tells a pod template from others, whatever restarted it."""
    return hashlib.sha256(json.dumps(without_restart(template), sort_keys=True).encode()).hexdigest()[:16]


def copy_of(workload: Json, config_map: Json, *, rollout: str, image: str, revision: int) -> Json:
    """Return the copy of *config_map* for the present template of *workload*; it goes when that goes.

    *rollout* is the id of the rollout that keeps it, *image* the version which that lets in, *revision* the number of
    the template's.
    """
    metadata, name = workload["metadata"], config_map["metadata"]["name"]
    template = template_digest(workload["spec"]["template"])
    told = {
        "name": name,
        "template": template,
        "rollout": rollout,
        "image": image,
        "revision": revision,
        "labels": config_map["metadata"].get("labels") or {},
        "immutable": bool(config_map.get("immutable")),
    }
    digest = hashlib.sha256(f"{template} {name}".encode()).hexdigest()[:10]
    owner = {"apiVersion": "apps/v1", "kind": workload["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{metadata['name']}-kept-{digest}",
            "namespace": metadata["namespace"],
            "labels": {MANAGED_BY: "quarterdeck", KEPT_OF: metadata["name"]},
            "annotations": {KEPT: json.dumps(told, sort_keys=True)},
            "ownerReferences": [owner],
        },
        **content_of(config_map),
    }


def content_of(config_map: Json) -> Json:
    """Return what is in a ConfigMap."""
    return {key: copy.deepcopy(config_map[key]) for key in _CONTENT if config_map.get(key)}


def kept_for(copies: Iterable[Json], image: str, rollout: str = "") -> list[Json]:
    """Return those *copies* that were kept by *rollout*, an id; where that is over, by one that let *image* in."""
    key, wanted = ("rollout", rollout) if rollout else ("image", image)
    return [each for each in copies if _told(each).get(key) == wanted]


def of_template(copies: Iterable[Json], template: Json) -> list[Json]:
    """Return those *copies* that serve to go back to *template*."""
    digest = template_digest(template)
    return [each for each in copies if _told(each)["template"] == digest]


def is_of(kept: Json, revision: int) -> bool:
    """Return whether a copy was made for the revision with that number.

    A template that comes back gets another one: whoever deployed it again took its ConfigMaps as they were then.
    """
    return bool(_told(kept).get("revision", revision) == revision)


def outdated(copies: Iterable[Json], templates: Iterable[Json]) -> list[Json]:
    """Return those *copies* that belong to none of *templates*: nobody can go back to what they are for."""
    known = {template_digest(template) for template in templates}
    return [each for each in copies if _told(each)["template"] not in known]


@dataclass(frozen=True, slots=True)
class Restoration:
    """What makes the ConfigMaps of a template as they were."""

    create: tuple[Json, ...]
    """ConfigMaps that are gone."""
    replace: tuple[tuple[Json, Json], ...]
    """ConfigMaps that have another content now, each with the copy that has its former one."""
    lost: tuple[str, ...]
    """What cannot be put back, and why."""

    def lines(self) -> Iterator[str]:
        """Yield what it does, for people."""
        yield from (f"+ ConfigMap {each['metadata']['name']}, which is gone" for each in self.create)
        for present, kept in self.replace:
            keys = sorted(
                key
                for part in _CONTENT
                for key in {*(present.get(part) or {}), *(kept.get(part) or {})}
                if (present.get(part) or {}).get(key) != (kept.get(part) or {}).get(key)
            )
            yield f"~ ConfigMap {present['metadata']['name']}: {', '.join(keys)}"
        yield from (f"! not restored: {each}" for each in self.lost)


def restoration(template: Json, present: Mapping[str, Json], copies: Iterable[Json]) -> Restoration:
    """Return what makes the ConfigMaps that *template* reads as they were.

    Args:
        template: the pod template that is gone back to.
        present: the ConfigMaps that are there, by name.
        copies: that the rollout has kept which is gone back from, for any template.
    """
    kept = {_told(each)["name"]: each for each in of_template(copies, template)}
    create, replace, lost = [], [], []
    for name in sorted(set(config_maps_of(template).values())):
        found, before = present.get(name), kept.get(name)
        if before is None:
            if found is None:
                lost.append(f"ConfigMap {name}, which is gone, and of which there is no copy")
        elif found is None:
            create.append(_original(before))
        elif content_of(found) != content_of(before):
            if found.get("immutable"):
                lost.append(f"ConfigMap {name}, which is immutable and has another content than before")
            else:
                replace.append((found, before))
    secrets = sorted(_secrets_of(template))
    if secrets and (create or replace):
        lost.append(f"Secrets are never copied: {', '.join(secrets)} as they are now")
    return Restoration(tuple(create), tuple(replace), tuple(lost))


def _original(kept: Json) -> Json:
    told = _told(kept)
    metadata = {"name": told["name"], "namespace": kept["metadata"]["namespace"], "labels": told["labels"]}
    immutable = {"immutable": True} if told["immutable"] else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content_of(kept), **immutable}


def _told(kept: Json) -> Json:
    told: Json = json.loads(kept["metadata"]["annotations"][KEPT])
    return told


def _secrets_of(template: Json) -> set[str]:
    spec = template["spec"]
    found = set()
    for volume in spec.get("volumes") or []:
        found.add((volume.get("secret") or {}).get("secretName", ""))
        for source in (volume.get("projected") or {}).get("sources") or []:
            found.add((source.get("secret") or {}).get("name", ""))
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        for source in container.get("envFrom") or []:
            found.add((source.get("secretRef") or {}).get("name", ""))
        for variable in container.get("env") or []:
            found.add(((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", ""))
    return found - {""}
