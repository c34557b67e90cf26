"""Rules about what service accounts and people may do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_stacks.policy.rule import ObjectRule, is_exempt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Manifest = Mapping[str, Any]

_ROLES = frozenset({"Role", "ClusterRole"})
_READS = frozenset({"get", "list", "watch", "*"})


def _no_wildcards(manifest: Manifest, exempt: frozenset[str]) -> Iterator[str]:
    if is_exempt(manifest, exempt):
        return
    for number, rule in _rules(manifest):
        for part in ("apiGroups", "resources", "verbs", "nonResourceURLs"):
            if any("*" in each for each in rule.get(part) or ()):
                yield f"rules[{number}].{part} must name what is needed instead of *"


def _no_secrets(manifest: Manifest, exempt: frozenset[str]) -> Iterator[str]:
    if is_exempt(manifest, exempt):
        return
    for number, rule in _rules(manifest):
        secrets = {"", "*"} & {*(rule.get("apiGroups") or ())} and {"secrets", "*"} & {*(rule.get("resources") or ())}
        if not secrets or not _READS & {*(rule.get("verbs") or ())}:
            continue
        if manifest["kind"] == "ClusterRole":
            yield f"rules[{number}] must not read Secrets of the whole cluster: use a Role, with resourceNames"
        elif not rule.get("resourceNames"):
            yield f"rules[{number}] must name the Secrets it reads by resourceNames"


def _rules(manifest: Manifest) -> Iterator[tuple[int, Manifest]]:
    if manifest.get("kind") in _ROLES:
        yield from enumerate(manifest.get("rules") or ())


RULES = (
    ObjectRule("quarterdeck-no-wildcards", "Roles name the groups, resources and verbs they are for.", _no_wildcards),
    ObjectRule("quarterdeck-no-secret-reads", "Nobody reads Secrets that are not named.", _no_secrets),
)
"""Rules about access."""
