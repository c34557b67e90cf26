"""Whose facts a command reads: those of the environment it was asked for, and of no other in the same cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.environment import EnvironmentFacts
from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.environment import read_environment
from quarterdeck_scripts.kube.client import ApiError

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

FACTS = "/api/v1/namespaces/quarterdeck/configmaps/"
UID = "0d2f5a52-8c55-4f4c-9d3e-2f7a4a1f9c11"


@dataclass
class Deployed:
    """A cluster in which the stacks of these environments have written their facts."""

    environments: tuple[str, ...]
    server: str = "https://dev.example"

    def request(self, method: str, path: str, **_: Any) -> Json:
        """Answer for the facts, and for who the cluster is."""
        if path == "/api/v1/namespaces/kube-system":
            return {"metadata": {"uid": UID}}
        for name in self.environments:
            configmap = "quarterdeck-environment" + (f"-{name}" if name.startswith("pr-") else "")
            if path == FACTS + configmap:
                facts = EnvironmentFacts(name, "http://p", "http://a", "version: 1", "15s")
                return {"data": facts.to_data()}
        raise ApiError(404, "NotFound", "no such ConfigMap", method=method, path=path)


@pytest.mark.parametrize("env", ["dev", "pr-42"])
def test_a_change_and_the_environment_beside_it_are_told_apart(env: str) -> None:
    """Both in one cluster: with dev's facts, a command for the change would act on dev's services."""
    found = read_environment(env, Deployed(("dev", "pr-42")))  # type: ignore[arg-type]  # answers reads alone

    assert (found.facts.environment, found.cluster_uid) == (env, UID)


def test_a_change_that_is_not_deployed_has_no_facts() -> None:
    """Dev's are not taken for them."""
    with pytest.raises(UsageError) as refused:
        read_environment("pr-42", Deployed(("dev",)))  # type: ignore[arg-type]  # answers reads alone

    assert refused.value.expected.startswith("the ConfigMap quarterdeck/quarterdeck-environment-pr-42 in the cluster ")
    assert refused.value.next_step == "deploy the stack: `pulumi up --stack pr-42`"
