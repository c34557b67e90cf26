"""What `pulumi preview --json` says of the objects in the cluster, as changes of manifests. Pure.

Source: pkg/backend/display/json.go (`previewDigest`) of pulumi/pulumi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_stacks.changes import compare
from quarterdeck_stacks.manifests import clean

if TYPE_CHECKING:
    from quarterdeck_stacks.changes import Change
    from quarterdeck_stacks.manifests import Manifest


def changes_of(digest: dict[str, Any]) -> list[Change]:
    """Return what the Kubernetes objects' steps in *digest* change.

    Raises:
        QuarterdeckError: Pulumi reports that the preview failed.
    """
    failed = [each["message"].strip() for each in digest.get("diagnostics") or () if each.get("severity") == "error"]
    if failed:
        raise QuarterdeckError("`pulumi preview` to succeed", failed[0], "correct what it names")
    before: list[Manifest] = []
    after: list[Manifest] = []
    for step in digest.get("steps") or ():
        # A replacement is up to three steps on one object, which `compare` takes for one.
        for state, found in ((step.get("oldState"), before), (step.get("newState"), after)):
            inputs = (state or {}).get("inputs") or {}
            if str((state or {}).get("type", "")).startswith("kubernetes:") and inputs.get("metadata"):
                found.append(clean(inputs))
    return compare(before, after)


def others_of(digest: dict[str, Any]) -> tuple[str, ...]:
    """Return the steps of *digest* that are about nothing in Kubernetes: `create aws:eks/cluster:Cluster prod`."""
    steps = digest.get("steps") or ()
    states = [(step["op"], step.get("newState") or step.get("oldState") or {}) for step in steps]
    return tuple(
        f"{op} {state['type']} {state['urn'].rpartition('::')[2]}"
        for op, state in states
        if op != "same" and state.get("custom") and not str(state["type"]).startswith(("kubernetes:", "pulumi:"))
    )
