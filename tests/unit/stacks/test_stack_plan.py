"""`quarterdeck stack plan` and `stack render --diff`: what an environment costs, and what deploying it changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.changes import Comparison
from quarterdeck_stacks.plan import Requests, parse_prices, plan_of
from quarterdeck_stacks.plan_report import text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings


def _workload(kind: str, replicas: int, cpu: str, memory: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "a", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    template = {"spec": {"containers": [container], **spec.pop("pod", {})}}
    metadata = {"name": kind.lower(), "namespace": "shop"}
    return {"kind": kind, "metadata": metadata, "spec": {"replicas": replicas, "template": template, **spec}}


def _claim(size: str) -> dict[str, Any]:
    return {"kind": "PersistentVolumeClaim", "spec": {"resources": {"requests": {"storage": size}}}}


def test_what_all_pods_and_claims_ask_for_is_added_up(
    catalogue: Catalogue, settings_of: Callable[..., Settings]
) -> None:
    """Each replica has its own claim, an autoscaled workload a lower and an upper sum, agents one for each node."""
    first = {"name": "first", "resources": {"requests": {"cpu": "2", "memory": "1Mi"}}}
    scaled = {"scaleTargetRef": {"name": "deployment"}, "minReplicas": 2, "maxReplicas": 5}
    manifests = [
        _workload("Deployment", 9, "500m", "1Gi"),
        {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "x", "namespace": "shop"}, "spec": scaled},
        _workload("StatefulSet", 3, "1", "2Gi", volumeClaimTemplates=[_claim("10Gi")], pod={"initContainers": [first]}),
        _workload("DaemonSet", 0, "100m", "64Mi"),
        {"metadata": {"name": "data", "namespace": "shop"}, **_claim("5Gi")},
    ]

    plan = plan_of(settings_of("dev"), catalogue, manifests, {})

    gibibyte = Decimal(1024**3)
    assert plan.fewest == Requests(Decimal(7), 8 * gibibyte, 35 * gibibyte)
    assert plan.most == Requests(Decimal("8.5"), 11 * gibibyte, 35 * gibibyte)
    assert plan.each_node == Requests(Decimal("0.1"), gibibyte / 16)


def test_samples_of_the_whole_retention_have_to_fit_on_the_volume(
    catalogue: Catalogue, settings_of: Callable[..., Settings]
) -> None:
    """Two bytes a sample, and a fifth of the volume is left for the write-ahead log."""
    large = plan_of(settings_of("prod", "prometheusStorage=200Gi"), catalogue, [], {})
    small = plan_of(settings_of("prod", "prometheusStorage=1Gi"), catalogue, [], {})

    assert large.disk == Decimal(str(large.telemetry.total.samples)) * 31 * 86400 * 2
    assert (large.fits, small.fits) == (True, False)
    assert "make prometheusStorage larger, or retention shorter" in text(small, Comparison("nothing", None))


def test_a_price_is_for_a_month(catalogue: Catalogue, settings_of: Callable[..., Settings]) -> None:
    """Of a core, a GiB, or a hundred custom metrics; what has none is not in the sum."""
    manifests = [_workload("StatefulSet", 2, "500m", "1Gi", volumeClaimTemplates=[_claim("10Gi")])]

    plan = plan_of(settings_of("dev"), catalogue, manifests, parse_prices(["cpu=20", "memory=2.5", "storage=0.10"]))

    assert plan.monthly(plan.fewest) == {"cpu": Decimal(20), "memory": Decimal(5), "storage": Decimal(2)}
    assert "In a month 27.00 (cpu 20.00, memory 5.00, storage 2.00), at the prices given" in text(
        plan, Comparison("nothing", None)
    )


@pytest.mark.parametrize("price", ["cpu", "cpu=", "cpu=-1", "gold=3", "cpu=1e3", "cpu=1.2.3"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    """With what there are prices of."""
    with pytest.raises(UsageError, match=r"cpu \(a core\), memory \(a GiB\)"):
        parse_prices([price])


def _quarterdeck(root: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from quarterdeck_scripts.cli import main; main()", "stack", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "PATH": path},
    )


@pytest.fixture
def before(root: Path, tmp_path: Path) -> Path:
    """Return a folder with the rendering of `local` as it is, with a file of somebody's beside it."""
    folder = tmp_path / "rendered"
    assert _quarterdeck(root, "render", "--out", str(folder)).returncode == 0
    (folder / "kustomization.yaml").write_text("resources: []\n")
    return folder


V2 = ("--config", 'images=["checkout=localhost/checkout:v2"]')


def test_diff_ends_as_diff_does(root: Path, before: Path) -> None:
    """0 and nothing without differences; 1 with them on stdout; 2 when it cannot say."""
    same = _quarterdeck(root, "render", "--diff", str(before))
    other = _quarterdeck(root, "render", "--diff", str(before), *V2)
    wrong = _quarterdeck(root, "render", "--diff", str(before), "--config", "retention=1h")
    nowhere = _quarterdeck(root, "render", "--diff", str(before / "none"))

    assert (same.returncode, same.stdout, same.stderr) == (0, "", "")
    assert other.returncode == 1
    assert [line for line in other.stdout.splitlines() if line.startswith("# ")] == [
        "# ~ ConfigMap quarterdeck/quarterdeck-environment",
        "# ~ Deployment shop/checkout: replaces its 3 pods, each once a new one is Ready",
    ]
    assert other.stderr == f"2 objects differ from {before}; pods are restarted by 1 of them\n"
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "make one with --out, and commit it" in nowhere.stderr


def test_diff_and_out_are_not_done_at_once(root: Path, before: Path) -> None:
    """Or the comparison would be with what was just written."""
    ended = _quarterdeck(root, "render", "--diff", str(before), "--out", str(before))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "compare first, then write" in ended.stderr


def test_without_pulumis_cli_a_plan_says_that_changes_are_not_known(root: Path) -> None:
    """And everything else all the same."""
    ended = _quarterdeck(root, "plan")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "there is no Pulumi CLI on PATH; compare with a rendering by --diff" in ended.stdout
    assert "No prices given, so no cost" in ended.stdout


def test_a_plan_compares_with_a_rendering(root: Path, before: Path) -> None:
    """For people and for programs."""
    ended = _quarterdeck(root, "plan", "--diff", str(before), "--output", "json", "--price", "cpu=20", *V2)

    document = json.loads(ended.stdout)
    assert document["compared_with"] == str(before)
    assert document["changes"][1] == {
        "action": "change",
        "kind": "Deployment",
        "name": "shop/checkout",
        "restarts": "replaces its 3 pods, each once a new one is Ready",
        "because": [
            "metadata.labels.app.kubernetes.io/version",
            "spec.template.metadata.labels",
            "spec.template.spec.containers",
        ],
    }
    assert document["monthly"]["fewest"] == {"cpu": pytest.approx(20 * document["requests"]["fewest"]["cpu"])}


def test_with_pulumis_cli_its_preview_is_what_changes(root: Path, tmp_path: Path) -> None:
    """The CLI is asked for JSON, of the stack, and told to change nothing."""
    state = {
        "urn": "urn:pulumi:local::quarterdeck::kubernetes:core/v1:ConfigMap::facts",
        "type": "kubernetes:core/v1:ConfigMap",
        "custom": True,
        "inputs": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "facts", "namespace": "a"}},
    }
    answer = json.dumps({"steps": [{"op": "create", "newState": state}], "changeSummary": {"create": 1}})
    cli = tmp_path / "pulumi"
    cli.write_text(f"#!/bin/sh\nprintf '%s' \"$*\" > {tmp_path}/asked\n/bin/cat <<'END'\n{answer}\nEND\n")
    cli.chmod(0o755)

    ended = _quarterdeck(root, "plan", path=str(tmp_path))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert (
        "Against the stack's state, by `pulumi preview`:\n  + ConfigMap a/facts\nNo pod is restarted.\n" in ended.stdout
    )
    assert (tmp_path / "asked").read_text() == ("preview --json --non-interactive --suppress-progress --stack local")


def test_a_preview_that_cannot_be_had_is_an_error_with_pulumis_own_words(root: Path, tmp_path: Path) -> None:
    """A plan without what it was asked for would be believed."""
    cli = tmp_path / "pulumi"
    cli.write_text("#!/bin/sh\necho 'error: no stack named local found' >&2\nexit 255\n")
    cli.chmod(0o755)

    ended = _quarterdeck(root, "plan", path=str(tmp_path))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "exit code 255: error: no stack named local found" in ended.stderr
