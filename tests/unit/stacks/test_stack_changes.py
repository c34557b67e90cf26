"""What going from one rendering to another changes, and what that does to running pods."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_stacks.changes import Action, compare, restarts
from quarterdeck_stacks.preview import changes_of, others_of


def _deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template, **spec},
    }


def _with_image(workload: dict[str, Any], image: str) -> dict[str, Any]:
    changed = copy.deepcopy(workload)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return changed


def _of_kind(kind: str, **more: Any) -> dict[str, Any]:
    return {**_deployment(), "kind": kind, **more}


def _config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rules", "namespace": "shop"}, "data": data}


def test_the_same_objects_are_no_change() -> None:
    """In whatever order they come."""
    assert compare([_deployment(), _config_map()], [_config_map(), _deployment()]) == []


@pytest.mark.parametrize(
    ("before", "effect"),
    [
        (_deployment(), "replaces its 3 pods, a few at a time"),
        (
            _deployment(replicas=1, strategy={"type": "Recreate"}),
            "replaces its one pod, all at once: nothing runs in between",
        ),
        (
            _deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}),
            "replaces its 3 pods, each once a new one is Ready",
        ),
        (_of_kind("StatefulSet"), "replaces its 3 pods, one after another"),
        (_of_kind("DaemonSet"), "replaces its pod on every node, one after another"),
    ],
    ids=["rolling", "recreate", "none unavailable", "stateful", "daemons"],
)
def test_another_template_replaces_pods_in_the_workloads_manner(before: dict[str, Any], effect: str) -> None:
    """What somebody on call wants to know before it happens."""
    (change,) = compare([before], [_with_image(before, "a:2")])

    assert (change.action, change.restarts) == (Action.CHANGE, effect)
    assert change.because == ("spec.template.spec.containers",)


def test_an_autoscalers_pods_are_not_counted() -> None:
    """A rendering leaves their number to it."""
    before = _deployment()
    del before["spec"]["replicas"]

    (change,) = compare([before], [_with_image(before, "a:2")])

    assert change.restarts == "replaces its pods, as many as its autoscaler runs, a few at a time"


def test_another_number_of_replicas_restarts_nothing() -> None:
    """Only the template makes new pods of old ones."""
    (change,) = compare([_deployment()], [_deployment(replicas=5)])

    assert (change.action, change.restarts, change.because) == (Action.CHANGE, "", ("spec.replicas",))
    assert restarts([change]) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_deployment(), _deployment(selector={"matchLabels": {"a": "c"}})),
        (_of_kind("StatefulSet"), _of_kind("StatefulSet", spec={**_deployment()["spec"], "serviceName": "other"})),
        ({**_config_map(a="1"), "immutable": True}, {**_config_map(a="2"), "immutable": True}),
        (_of_kind("RoleBinding", roleRef={"name": "a"}), _of_kind("RoleBinding", roleRef={"name": "b"})),
    ],
    ids=["selector", "service name", "immutable data", "role"],
)
def test_what_the_api_server_never_changes_is_replaced(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A deletion first: worth knowing before `pulumi up`."""
    (change,) = compare([before], [after])

    assert change.action is Action.REPLACE


def test_a_larger_volume_in_a_template_is_said_to_change_none_that_is_there() -> None:
    """Claims are made of their template once: the pods would come back to volumes of the old size."""
    small, large = (
        _of_kind("StatefulSet", spec={**_deployment()["spec"], "volumeClaimTemplates": [{"storage": size}]})
        for size in ("50Gi", "100Gi")
    )

    (change,) = compare([small], [large])

    assert change.restarts == "stops its 3 pods before new ones start; volumes that are there stay as they are"


def test_what_holds_data_says_so_when_it_goes() -> None:
    """A claim and a namespace take what is in them along; a workload its pods."""
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"}}

    lost = compare([claim, _deployment()], [])

    assert [(each.action, each.name, each.restarts) for each in lost] == [
        (Action.DELETE, "shop/data", "deletes what is in it"),
        (Action.DELETE, "shop/checkout", "stops its 3 pods"),
    ]


def test_a_difference_reads_as_that_of_two_files() -> None:
    """With the object's name in its head."""
    (change,) = compare([_config_map(a="1")], [_config_map(a="2")])

    assert change.diff == (
        "--- before: ConfigMap shop/rules\n"
        "+++ after: ConfigMap shop/rules\n"
        "@@ -4,4 +4,4 @@\n"
        "   name: rules\n"
        "   namespace: shop\n"
        " data:\n"
        "-  a: '1'\n"
        "+  a: '2'\n"
    )
    assert change.summary == "~ ConfigMap shop/rules"


def _step(op: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    def state(inputs: dict[str, Any] | None) -> dict[str, Any] | None:
        if inputs is None:
            return None
        kind = f"kubernetes:{inputs['apiVersion']}:{inputs['kind']}"
        return {"urn": f"urn:pulumi:prod::quarterdeck::{kind}::a", "type": kind, "custom": True, "inputs": inputs}

    return {"op": op, "oldState": state(old), "newState": state(new)}


def test_pulumis_preview_is_read_as_changes_of_objects() -> None:
    """A replacement is several steps on one object, and what stays the same is none."""
    old, new = {**_config_map(a="1"), "immutable": True}, {**_config_map(a="2"), "immutable": True}
    digest = {
        "steps": [
            _step("same", _of_kind("DaemonSet"), _of_kind("DaemonSet")),
            _step("update", _deployment(), _with_image(_deployment(), "a:2")),
            _step("create-replacement", old, new),
            _step("replace", old, new),
            _step("delete-replaced", old, None),
            {
                "op": "create",
                "newState": {
                    "urn": "urn:pulumi:prod::q::aws:eks/cluster:Cluster::prod",
                    "type": "aws:eks/cluster:Cluster",
                    "custom": True,
                },
            },
        ]
    }

    assert [each.summary for each in changes_of(digest)] == [
        "~ Deployment shop/checkout: replaces its 3 pods, a few at a time",
        "± ConfigMap shop/rules",
    ]
    assert others_of(digest) == ("create aws:eks/cluster:Cluster prod",)


def test_a_preview_that_failed_says_why() -> None:
    """Pulumi writes its digest all the same."""
    digest = json.loads('{"steps": [], "diagnostics": [{"severity": "error", "message": "no cluster\\n"}]}')

    with pytest.raises(QuarterdeckError, match="no cluster"):
        changes_of(digest)
