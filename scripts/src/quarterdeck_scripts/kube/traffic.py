"""Which pods get a service's requests: by its Service's selector, and by the weights of Gateway API routes. Pure.

A service's own Service selects by name, so every track gets its share. To keep a track out, or to let one in alone,
the track is added to the selector, which is noted in the same change; taken away again, everything is as it was. A
Service whose owner has it name a track is left alone.

A route's weights are relative to each other. To give a canary a share of what goes to a service, all weights of a rule
are multiplied by 100, and the service's divided between it and the canary's Service: so what was there before is there
to be read off, and needs no other memory.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import APP_NAME, HELD, MANAGED_BY, TRACK
from quarterdeck_scripts.kube.patches import pointer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.client import Json


def is_switched(service: Json) -> bool:
    """Return whether a rollout lets *service* lead to one track alone."""
    return HELD in (service["metadata"].get("annotations") or {})


def has_its_own(service: Json) -> bool:
    """Return whether the owner of *service* lets it lead to one track."""
    return not is_switched(service) and TRACK in (service["spec"].get("selector") or {})


def track_of(service: Json) -> str | None:
    """Return the track that a rollout lets *service* lead to alone; None when none does."""
    return str(service["spec"]["selector"][TRACK]) if is_switched(service) else None


def direct_patch(service: Json, track: str | None) -> list[Json]:
    """Return the JSON patch that lets *service* lead to *track* alone, or to all (None)."""
    where, noted = pointer("spec", "selector", TRACK), pointer("metadata", "annotations", HELD)
    selector = dict(service["spec"].get("selector") or {})
    tests: list[Json] = [
        {"op": "test", "path": pointer("metadata", "uid"), "value": service["metadata"]["uid"]},
        {"op": "test", "path": pointer("spec", "selector"), "value": selector},
    ]
    if track is None:
        return [*tests, {"op": "remove", "path": where}, {"op": "remove", "path": noted}]
    change = {"op": "add", "path": where, "value": track}
    if is_switched(service):
        return [*tests, change]
    note = json.dumps({"selector": selector}, sort_keys=True)
    if service["metadata"].get("annotations"):
        return [*tests, change, {"op": "add", "path": noted, "value": note}]
    return [*tests, change, {"op": "add", "path": pointer("metadata", "annotations"), "value": {HELD: note}}]


def service_of(service: Json, name: str, track: str) -> Json:
    """Return the Service *name* beside *service* that leads to its pods of one *track*."""
    metadata, spec = service["metadata"], service["spec"]
    labels = {**(metadata.get("labels") or {}), MANAGED_BY: "quarterdeck"}
    ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec.get("ports") or []]
    selector = {**(spec.get("selector") or {APP_NAME: metadata["name"]}), TRACK: track}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
        "spec": {"selector": selector, "ports": ports},
    }


_SCALE = 100
"""What weights are multiplied by while a canary has a share."""

MOST_WEIGHT = 1_000_000
"""The largest weight that the Gateway API takes."""


def is_made(service: Json) -> bool:
    """Return whether a rollout made *service* beside another one, and not its owner."""
    return (service["metadata"].get("labels") or {}).get(MANAGED_BY) == "quarterdeck"


def leads_to(route: Json, service: str) -> bool:
    """Return whether *route* sends anything to *service*."""
    return any(_ref(rule, service) is not None for rule in route["spec"].get("rules") or [])


def weight_of(routes: Iterable[Json], service: str, canary: str) -> int:
    """Return how many percent of what *routes* send to *service* go to *canary*: the fewest of all their rules.

    Rules that send nothing to either say nothing.
    """
    shares = (_share(rule, service, canary) for route in routes for rule in route["spec"].get("rules") or [])
    return min((share for share in shares if share is not None), default=0)


def weigh_patch(route: Json, service: str, canary: str, percent: int) -> list[Json]:
    """Return the JSON patch that sends *percent* of what *route* sends to *service* to *canary*; 0 is as it was.

    Empty where every rule does so already.
    """
    where, rules = pointer("spec", "rules"), route["spec"].get("rules") or []
    wanted = [_weighed(rule, service, canary, percent) for rule in rules]
    if wanted == rules:
        return []
    return [
        {"op": "test", "path": pointer("metadata", "uid"), "value": route["metadata"]["uid"]},
        {"op": "test", "path": where, "value": copy.deepcopy(rules)},
        {"op": "replace", "path": where, "value": wanted},
    ]


def _weighed(rule: Json, service: str, canary: str, percent: int) -> Json:
    stable, new = _ref(rule, service), _ref(rule, canary)
    if stable is None or (new is None and not (percent and _weight(stable))):
        return rule
    others = [ref for ref in rule["backendRefs"] if ref not in (stable, new)]
    scale = _SCALE if new is not None else 1
    whole = _divided(_weight(stable) + (_weight(new) if new else 0), scale)
    divided = {service: whole * (_SCALE - percent), canary: whole * percent}
    weights = divided if percent else {service: whole}
    grown = _SCALE if percent else 1
    refs = []
    for ref in rule["backendRefs"]:
        if ref is stable:
            refs += [{**stable, "name": name, "weight": weight} for name, weight in weights.items()]
        elif ref in others:
            refs.append({**ref, "weight": _divided(_weight(ref), scale) * grown})
    return {**rule, "backendRefs": refs}


def _divided(weight: int, scale: int) -> int:
    """Return *weight* by *scale*, in whole ones: what somebody set by hand is never rounded to none."""
    return max(round(weight / scale), 1 if weight else 0)


def _share(rule: Json, service: str, canary: str) -> int | None:
    """Return how many percent of what *rule* sends to *service* go to *canary*; None where it sends nothing."""
    stable, new = _ref(rule, service), _ref(rule, canary)
    if stable is None:
        return None
    part = _weight(new) if new else 0
    whole = _weight(stable) + part
    return round(100 * part / whole) if whole else None


def _ref(rule: Json, service: str) -> Json | None:
    """Return the reference of *rule* to the Service *service* of the route's own namespace."""
    for ref in rule.get("backendRefs") or []:
        if ref["name"] == service and ref.get("kind", "Service") == "Service" and not ref.get("namespace"):
            found: Json = ref
            return found
    return None


def _weight(ref: Json) -> int:
    return int(ref.get("weight", 1))
