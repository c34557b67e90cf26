"""Rules that one object cannot keep by itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_stacks.policy.rule import StackRule, at, is_exempt, name, namespace, pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Manifest = Mapping[str, Any]


def _evicted_one_by_one(manifests: Iterable[Manifest], exempt: frozenset[str]) -> Iterator[str]:
    every = [each for each in manifests if not is_exempt(each, exempt)]
    budgets = [each for each in every if each.get("kind") == "PodDisruptionBudget"]
    scaled = {
        (namespace(each), at(each, "spec", "scaleTargetRef", "name"))
        for each in every
        if each.get("kind") == "HorizontalPodAutoscaler"
    }
    for each in every:
        if each.get("kind") not in {"Deployment", "StatefulSet"}:
            continue
        several = (at(each, "spec", "replicas") or 1) > 1
        if several or (namespace(each), at(each, "metadata", "name")) in scaled:
            labels = at(each, "spec", "template", "metadata", "labels") or {}
            if not any(
                namespace(b) == namespace(each) and _selects(at(b, "spec", "selector"), labels) for b in budgets
            ):
                yield f"{name(each)} has replicas and no PodDisruptionBudget: a drained node may take all of them"


def _isolated(manifests: Iterable[Manifest], exempt: frozenset[str]) -> Iterator[str]:
    every = [each for each in manifests if not is_exempt(each, exempt)]
    closed = {
        namespace(each)
        for each in every
        if each.get("kind") == "NetworkPolicy"
        and not any((at(each, "spec", "podSelector") or {}).values())
        and {*(at(each, "spec", "policyTypes") or ())} == {"Ingress", "Egress"}
        and not at(each, "spec", "ingress")
        and not at(each, "spec", "egress")
    }
    for where in sorted({namespace(each) for each in every if pod_spec(each) is not None} - closed):
        yield f"the namespace {where} has pods and no NetworkPolicy that denies what no other allows"


def _selects(selector: Manifest | None, labels: Manifest) -> bool:
    """Whether a selector of labels selects pods with *labels*; expressions are taken for fitting."""
    return all(labels.get(key) == value for key, value in (at(selector, "matchLabels") or {}).items())


RULES = (
    StackRule(
        "quarterdeck-budgets", "What has replicas has a PodDisruptionBudget that selects its pods.", _evicted_one_by_one
    ),
    StackRule("quarterdeck-isolated", "Namespaces with pods have a NetworkPolicy that denies by default.", _isolated),
)
"""Rules about objects together."""
