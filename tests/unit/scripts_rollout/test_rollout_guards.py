"""What speaks against a rollout is named before anything is changed, and can be overridden with an audited reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts import cli
from quarterdeck_scripts.audit.segments import Segments
from quarterdeck_scripts.kube.client import MERGE_PATCH, Around, path
from quarterdeck_scripts.rollout import command
from quarterdeck_scripts.rollout.checks.finding import Finding, require

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

START = ["rollout", "start", "checkout", "--image", V2, "--yes"]


@pytest.fixture
def typed(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the world, with the commands speaking to it instead of an environment."""
    monkeypatch.setattr(command, "_open", lambda *_: world.session())
    return world


def owned_by_flux(world: Any) -> None:
    """Mark the Deployment as Flux does."""
    labels = {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}}
    world.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=labels, content_type=MERGE_PATCH)


def test_everything_that_refuses_is_named_with_what_to_do() -> None:
    """In one message; what only deserves a word is left out of it."""
    findings = [
        Finding("budget", "too few pods", "mend them", refuses=True),
        Finding("autoscaler", "a large canary", "make it smaller", refuses=False),
        Finding("owner", "Flux describes it", "suspend it", refuses=True),
    ]

    with pytest.raises(RefusedError) as refused:
        require("checkout", findings)

    assert str(refused.value) == (
        "Expected nothing to speak against changing checkout now.\n"
        "Found too few pods; Flux describes it.\n"
        "Next: mend them; suspend it; or add --override REASON, which is audited."
    )
    require("checkout", findings[1:2])
    require("checkout", findings, "the fix for the outage")


def test_a_service_that_flux_would_put_back_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan says so, the refusal how to go on; nothing was changed."""
    owned_by_flux(typed)

    assert cli.run(START) == 4

    err = capsys.readouterr().err
    assert "  refuses    Flux's kustomize-controller describes checkout (kustomize.toolkit.fluxcd.io/name)" in err
    assert "Next: run `flux suspend kustomization`, and change the image in Git; or add --override REASON" in err
    assert typed.deployments() == ["checkout"]


def test_an_override_is_written_down_before_anything_is_changed(typed: Any) -> None:
    """Who, what was passed by, and why: the first entry of the rollout."""
    owned_by_flux(typed)

    assert cli.run([*START, "--override", "the fix for the outage"]) == 0

    assert typed.images() == [V2] * 3
    entry = json.loads(next(iter(Segments(typed.cluster).read()))[1])
    assert (entry["action"], entry["subject"]) == ("rollout: override", "Deployment shop/checkout")
    assert entry["why"] == "the fix for the outage"
    assert entry["before"][0].startswith("Flux's kustomize-controller describes checkout")


def test_an_override_of_nothing_is_no_entry(typed: Any) -> None:
    """Nothing was passed by."""
    assert cli.run([*START, "--override", "just in case"]) == 0

    actions = {json.loads(line)["action"] for _, line in Segments(typed.cluster).read()}
    assert "rollout: override" not in actions


class Mirrored(Around):
    """A cluster with a policy that writes a mirror's address into every image of a Deployment."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.watch = cluster.watch

    def request(self, method: str, where: str, **sent: Any) -> Any:
        """Store what is sent, with the mirror's address."""
        answer = self._cluster.request(method, where, **sent)
        return json.loads(json.dumps(answer).replace(V2, "mirror/checkout:v2")) if method == "PATCH" else answer


def test_an_image_that_a_policy_rewrites_is_refused(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Once it was promoted, was broken, and could not be put back: its image was not the one that was looked for."""
    typed.cluster = Mirrored(typed.cluster)

    assert cli.run(START) == 4

    assert capsys.readouterr().err.endswith(
        "Error: Expected checkout to get the image localhost/checkout:v2.\n"
        "Found a policy of the cluster that makes it mirror/checkout:v2.\n"
        "Next: start with --image mirror/checkout:v2; nothing was changed.\n"
    )
    assert (typed.images(), typed.deployments()) == ([V1] * 3, ["checkout"])


def test_a_rollout_under_way_is_walked_to_its_end(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What speaks against beginning it is said, and does not leave it half-way."""
    session = typed.session()
    plan = session.plan(V2, session.view().inspect())
    noted = {"metadata": {"annotations": {"quarterdeck.dev/rollout": plan.new.to_annotation()}}}
    typed.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=noted, content_type=MERGE_PATCH)
    owned_by_flux(typed)

    assert cli.run(START) == 0
    assert "  refuses    Flux's" in capsys.readouterr().err
    assert typed.images() == [V2] * 3


def test_scaled_objects_are_found_where_keda_is(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """And not missed where it is not."""
    collection = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects"
    body = {"metadata": {"name": "orders"}, "spec": {"scaleTargetRef": {"name": "checkout"}}}
    typed.cluster.request("POST", collection, body=body)

    assert cli.run(START) == 4
    assert "the ScaledObject orders (0 to 100 pods) may take checkout down to no pods" in capsys.readouterr().err


def test_the_change_to_write_back_is_printed_after_the_promotion(
    typed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a difference of the catalogue; with JSON on stdout it is a message."""
    assert cli.run([*START, "--dry-run", "--write-back"]) == 0
    assert "+    image: localhost/checkout:v2\n" in capsys.readouterr().out

    assert cli.run([*START, "--write-back", "--output", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["ending"] == "promoted"
    assert "+    image: localhost/checkout:v2\n" in err


def test_an_undo_is_written_back_too(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The catalogue has the old image already here, because nobody wrote the new one into it."""
    assert cli.run(START) == 0
    capsys.readouterr()

    assert cli.run(["rollout", "undo", "checkout", "--write-back", "--yes"]) == 0
    assert capsys.readouterr().out.endswith(f"services.yaml has {V1} already.\n")
