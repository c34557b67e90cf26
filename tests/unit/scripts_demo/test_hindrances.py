"""What is waited for in vain is named: the pod, its reason, and the end of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.demo.hindrances import PodHindrances
from quarterdeck_scripts.demo.stage import Stage
from quarterdeck_scripts.kube.client import MERGE_PATCH, path

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.kube.fake import FakeCluster

BAD = "localhost/checkout:bad"
"""An image whose pods crash; see the fixture `controllers`."""


class Told:
    """Hindrances that are known beforehand."""

    def __init__(self, believed: str = "", present: str = "") -> None:
        self._believed, self._present = believed, present

    def believed(self) -> str:
        """Return what waiting does not mend."""
        return self._believed

    def present(self) -> str:
        """Return what is wrong now."""
        return self._present


@pytest.fixture
def crashing(cluster: FakeCluster, checkout: Json) -> str:
    """Give `checkout` an image that crashes; return the name of a pod of it."""
    container = {**checkout["spec"]["template"]["spec"]["containers"][0], "image": BAD}
    template = {"spec": {"template": {"spec": {"containers": [container]}}}}
    cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=template, content_type=MERGE_PATCH)
    pods = cluster.request("GET", path("Pod", "shop"))["items"]
    return str(next(pod["metadata"]["name"] for pod in pods if pod["spec"]["containers"][0]["image"] == BAD))


def test_a_failure_is_believed_when_it_lasts(cluster: FakeCluster, crashing: str, tmp_path: Path) -> None:
    """Not at the first sight, and looked for once a second at most."""
    moments = iter([100.0, 100.5, 104.0, 105.0])
    hindrances = PodHindrances(cluster, ["shop"], tmp_path, lambda: next(moments))

    *before, said = [hindrances.believed() for _ in range(4)]

    assert before == ["", "", ""]
    assert said.startswith(f"pod {crashing}, container checkout: CrashLoopBackOff")


def test_the_end_of_a_failing_containers_log_is_shown(cluster: FakeCluster, crashing: str, tmp_path: Path) -> None:
    """The folder is gone with the environment when a person reads the message."""
    folder = tmp_path / f"shop_{crashing}_uid"
    folder.mkdir()
    (folder / "checkout.log").write_text("no such database\n")

    problem = next(
        line for line in PodHindrances(cluster, ["shop"], tmp_path).present().split("pod ") if crashing in line
    )

    assert problem.rstrip().endswith("the end of its log:\n  no such database")


def test_where_all_is_well_nothing_hinders(cluster: FakeCluster, checkout: Json, tmp_path: Path) -> None:
    """Ready pods have no problems."""
    del checkout
    hindrances = PodHindrances(cluster, ["shop", "quarterdeck"], tmp_path)

    assert (hindrances.present(), hindrances.believed()) == ("", "")


def test_waiting_ends_at_once_when_it_is_in_vain() -> None:
    """With the reason; once the demo waited for its whole time and then said `Found nothing`."""
    stage = Stage(lambda: None, Told(believed="pod one: ErrImagePull"))

    with pytest.raises(QuarterdeckError) as failure:
        stage.wait_until("three pods to be Ready", 1000, lambda: None)

    assert (failure.value.expected, failure.value.found) == ("three pods to be Ready", "pod one: ErrImagePull")


def test_when_the_time_is_up_the_present_problems_are_named() -> None:
    """Before what was seen last of the condition itself."""
    stage = Stage(lambda: None, Told(present="pod one: NotReady (its probe does not pass)"))

    with pytest.raises(QuarterdeckError) as failure:
        stage.wait_until("three pods to be Ready", 0, lambda: None)

    assert failure.value.found == "pod one: NotReady (its probe does not pass)"
