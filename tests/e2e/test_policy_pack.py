"""The policy pack in an environment of its own, asked as the Pulumi CLI asks it."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import yaml
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def analyzer(root: Path, environment: Callable[..., Path]) -> Iterator[Any]:
    """Return a client of the pack, which runs as Pulumi runs it: its folder, by its environment's Python."""
    python = environment("policy-pack", "pulumi-policy==1.21.0")
    with _serving(python, root) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        yield analyzer_pb2_grpc.AnalyzerStub(channel)


@contextmanager
def _serving(python: Path, root: Path) -> Iterator[int]:
    # The operator's packages by path: their rules need nothing but the contract, which the environment has.
    variables = {**os.environ, "PYTHONPATH": str(root / "stacks" / "src")}
    command = [str(python), "-u", str(root / "policy")]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _properties(manifest: dict[str, Any]) -> struct_pb2.Struct:
    properties = struct_pb2.Struct()
    properties.update(manifest)
    return properties


def _deployment(image: str) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": image,
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}},
    }


def test_the_packs_folder_is_what_pulumi_looks_for(root: Path) -> None:
    """A project file that names Python and an environment, what goes into that, and the program."""
    project = yaml.safe_load((root / "policy" / "PulumiPolicy.yaml").read_text(encoding="utf-8"))

    assert project["runtime"] == {"name": "python", "options": {"virtualenv": "venv"}}
    assert {path.name for path in (root / "policy").iterdir() if path.is_file()} == {
        "PulumiPolicy.yaml",
        "__main__.py",
        "requirements.txt",
    }


def test_it_says_what_it_checks_and_stops_an_update(analyzer: Any) -> None:
    """Every rule is mandatory, and can be configured by its own name."""
    info = analyzer.GetAnalyzerInfo(struct_pb2.Struct())

    assert info.name == "quarterdeck"
    assert {policy.name for policy in info.policies} == {
        "quarterdeck-restricted",
        "quarterdeck-bounded",
        "quarterdeck-digests",
        "quarterdeck-no-wildcards",
        "quarterdeck-no-secret-reads",
        "quarterdeck-budgets",
        "quarterdeck-isolated",
    }
    assert {policy.enforcementLevel for policy in info.policies} == {analyzer_pb2.MANDATORY}


def test_a_resource_is_judged_by_itself(analyzer: Any) -> None:
    """A fault is reported under its rule; a resource of another provider is nobody's business here."""

    def judged(kind: str, image: str) -> list[tuple[str, str]]:
        request = analyzer_pb2.AnalyzeRequest(
            type=kind, urn="urn:pulumi:a::b::c::d", name="web", properties=_properties(_deployment(image))
        )
        return [(each.policyName, each.message) for each in analyzer.Analyze(request).diagnostics]

    kind = "kubernetes:apps/v1:Deployment"
    assert judged(kind, f"web:1@sha256:{'0a' * 32}") == []
    ((rule, message),) = judged(kind, "web:1")
    assert rule == "quarterdeck-digests"
    assert "container web: the image web:1 must end in @sha256:… of what was tested" in message
    assert judged("aws:s3/bucket:Bucket", "web:1") == []


def test_resources_are_judged_together(analyzer: Any) -> None:
    """At the end of an update, with all of the stack's."""
    deployment = analyzer_pb2.AnalyzerResource(
        type="kubernetes:apps/v1:Deployment",
        urn="urn:pulumi:a::b::c::d",
        name="web",
        properties=_properties(_deployment("web:1")),
    )

    found = analyzer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[deployment])).diagnostics

    assert [each.policyName for each in found] == ["quarterdeck-budgets", "quarterdeck-isolated"]
