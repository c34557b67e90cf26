"""Who else describes an object is read from what the tools themselves write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.ownership import managers_of, owners

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


def deployment(*managers: str, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None) -> Json:
    """Return a Deployment whose template *managers* own a part of."""
    template: Json = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"checkout"}': {"f:image": {}}}}}}
    }
    fields = [{"manager": manager, "operation": "Apply", "fieldsV1": template} for manager in managers]
    metadata = {"name": "checkout", "labels": labels, "annotations": annotations, "managedFields": fields}
    return {"kind": "Deployment", "metadata": metadata, "spec": {}}


@pytest.mark.parametrize(
    ("found", "tool", "reverts"),
    [
        (deployment("argocd-controller"), "Argo CD", True),
        (
            deployment(annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/checkout"}),
            "Argo CD",
            True,
        ),
        (deployment(labels={"kustomize.toolkit.fluxcd.io/name": "shop"}), "Flux's kustomize-controller", True),
        (deployment("helm-controller"), "Flux's helm-controller", True),
        (deployment(annotations={"objectset.rio.cattle.io/id": "default-shop"}), "Fleet", True),
        (deployment(annotations={"configmanagement.gke.io/managed": "enabled"}), "Config Sync", True),
        (deployment("rollouts-controller"), "Argo Rollouts or Flagger", True),
        (deployment("helm"), "Helm", False),
        (deployment("Terraform"), "Terraform", False),
        (deployment(labels={"kapp.k14s.io/app": "1"}), "kapp", False),
        (deployment("pulumi-kubernetes-1f2e3d4c"), "Pulumi", False),
        (deployment("quarterdeck"), "quarterdeck stack", False),
        (deployment("kubectl-client-side-apply"), "kubectl apply", False),
    ],
)
def test_each_tool_is_known_by_its_mark(found: Json, tool: str, reverts: bool) -> None:  # noqa: FBT001 -- parametrised
    """By field manager, label or annotation; and whether it puts things back by itself."""
    (owner,) = owners(found)

    assert (owner.tool.name, owner.tool.reverts) == (tool, reverts)


def test_several_tools_are_all_named_with_their_signs() -> None:
    """A chart that Argo CD renders has marks of both."""
    found = deployment(
        "argocd-controller", annotations={"meta.helm.sh/release-name": "shop", "argocd.argoproj.io/instance": "shop"}
    )

    assert [(owner.tool.name, owner.sign) for owner in owners(found)] == [
        ("Argo CD", "argocd.argoproj.io/instance"),
        ("Helm", "meta.helm.sh/release-name"),
    ]


def test_whoever_owns_another_field_describes_no_pods() -> None:
    """An autoscaler owns the number of pods, a controller the status; so does whoever labelled the Deployment."""
    found = deployment("quarterdeck-rollout")
    scaled = {"manager": "pulumi-kubernetes", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    found["metadata"]["managedFields"] += [scaled, {"manager": "argocd-controller", "subresource": "status"}]

    assert owners(found) == ()
    assert managers_of(found) == ("quarterdeck-rollout",)


def test_a_promoted_image_does_not_hide_who_describes_the_pods() -> None:
    """The image is the rollout's then, the rest of the template is still Pulumi's."""
    found = deployment("quarterdeck-rollout")
    rest: Json = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"checkout"}': {"f:env": {}}}}}}}
    found["metadata"]["managedFields"].append({"manager": "pulumi-kubernetes-1f2e3d4c", "fieldsV1": rest})

    assert [owner.tool.name for owner in owners(found)] == ["Pulumi"]


def test_an_object_without_marks_is_nobodys() -> None:
    """Made by a test, or by a hand long ago."""
    assert owners({"kind": "Deployment", "metadata": {"name": "checkout"}}) == ()
