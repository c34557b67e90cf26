"""The control plane's parts trust only each other, and kwok has no say over pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local import bootstrap, control_plane, pulumi
from quarterdeck_scripts.local.pki import Authority
from quarterdeck_scripts.local.state import Layout

if TYPE_CHECKING:
    from pathlib import Path

PORTS = control_plane.Ports(etcd=1, etcd_peer=2, api_server=3, kubelet=4)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return the layout of an environment called `local`."""
    layout = Layout(tmp_path / "local")
    layout.state.mkdir()
    return layout


def test_every_part_has_a_certificate_of_one_authority(layout: Layout) -> None:
    """Servers name where they answer; only the administrator may do everything."""
    identities = control_plane.issue_identities(layout, PORTS, ["127.77.255.1"])

    authority = x509.load_pem_x509_certificate(identities.authority.read_bytes())
    for pair in (identities.etcd, identities.api_server, identities.kubelet, identities.admin):
        x509.load_pem_x509_certificate(pair.certificate.read_bytes()).verify_directly_issued_by(authority)
        assert pair.key.stat().st_mode & 0o777 == 0o600
    kubelet = x509.load_pem_x509_certificate(identities.kubelet.certificate.read_bytes())
    names = kubelet.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["127.77.255.1"]
    masters = [
        file.stem
        for file in layout.pki.glob("*.crt")
        if "O=system:masters" in x509.load_pem_x509_certificate(file.read_bytes()).subject.rfc4514_string()
    ]
    assert masters == ["admin"]


def test_the_administrators_kubeconfig_has_one_context_named_after_the_environment(layout: Layout) -> None:
    """Absolute paths, readable by its owner only."""
    control_plane.issue_identities(layout, PORTS, ["127.77.255.1"])

    config = yaml.safe_load(layout.kubeconfig.read_text())

    assert [context["name"] for context in config["contexts"]] == ["quarterdeck-local"]
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:3"
    assert config["users"][0]["user"]["client-key"] == str(layout.pki / "admin.key")
    assert layout.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_nothing_of_the_control_plane_listens_beyond_loopback(layout: Layout) -> None:
    """Nor without asking for a certificate."""
    identities = control_plane.issue_identities(layout, PORTS, ["127.77.255.1"])
    etcd = control_plane.etcd("etcd", layout, PORTS, identities)
    api_server = control_plane.api_server("kube-apiserver", PORTS, identities)
    manager = control_plane.controller_manager("kube-controller-manager", identities)
    scheduler = control_plane.scheduler("kube-scheduler", identities)

    assert {"--client-cert-auth", "--peer-client-cert-auth", "--listen-client-urls=https://127.0.0.1:1"} <= {*etcd}
    assert {"--bind-address=127.0.0.1", "--anonymous-auth=false", "--authorization-mode=RBAC"} <= {*api_server}
    assert "--secure-port=0" in manager
    assert "--secure-port=0" in scheduler


def test_kwok_manages_our_nodes_and_has_stages_for_nothing_else(layout: Layout) -> None:
    """The nodes' leases are renewed, and no Stage speaks of pods."""
    identities = control_plane.issue_identities(layout, PORTS, ["127.77.255.1"])

    command = control_plane.kwok("kwok", layout, identities)

    assert "--manage-nodes-with-label-selector=quarterdeck.dev/node=process" in command
    assert any(argument.startswith("--node-lease-duration-seconds=") for argument in command)
    stages = [*yaml.safe_load_all((layout.state / "kwok-stages.yaml").read_text())]
    assert {stage["spec"]["resourceRef"]["kind"] for stage in stages} == {"Node"}
    assert bootstrap.node(1, "127.77.255.1", 4)["metadata"]["labels"]["quarterdeck.dev/node"] == "process"


def test_roles_grant_no_wildcard_and_kwok_no_change_of_a_pod() -> None:
    """What the API server refuses cannot go wrong here."""
    roles = {role["metadata"]["name"]: role for role in bootstrap.roles() if role["kind"] == "ClusterRole"}

    verbs = {resource: rule["verbs"] for rule in roles["quarterdeck:kwok"]["rules"] for resource in rule["resources"]}
    assert verbs["pods"] == ["list", "watch"]
    assert not {"pods/status", "secrets"} & verbs.keys()
    everything = [word for role in roles.values() for rule in role["rules"] for part in rule.values() for word in part]
    assert "*" not in everything


def test_an_authority_names_hosts_and_addresses_apart(tmp_path: Path) -> None:
    """Clients check the one they connect to."""
    pair = Authority(tmp_path, "test").issue("server", "server", serves=("127.0.0.1", "localhost"))

    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_the_pulumi_project_in_the_state_folder_runs_the_checkouts_program(tmp_path: Path) -> None:
    """Its stack speaks of this environment; its encryption salt survives a second deployment."""
    checkout, folder = tmp_path / "checkout", tmp_path / "state"
    (checkout / "stacks").mkdir(parents=True)
    project = {"name": "quarterdeck", "main": "stacks", "stackConfigDir": "stacks", "runtime": {"name": "python"}}
    (checkout / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    config = {"config": {"quarterdeck:kubeconfig": "elsewhere", "quarterdeck:scrapeInterval": "2s"}}
    (checkout / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump(config))
    kubeconfig = tmp_path / "kubeconfig"

    fresh = pulumi.prepare(folder, checkout, stack="local", kubeconfig=kubeconfig, prefix="127.78")
    stack = yaml.safe_load((folder / "Pulumi.local.yaml").read_text())
    (folder / "Pulumi.local.yaml").write_text(yaml.safe_dump({**stack, "encryptionsalt": "v1:x"}))
    made = folder / ".pulumi" / "stacks" / "quarterdeck" / "local.json"
    made.parent.mkdir(parents=True)
    made.touch()
    again = pulumi.prepare(folder, checkout, stack="local", kubeconfig=kubeconfig, prefix="127.78")

    assert (fresh, again) == (True, False)
    assert yaml.safe_load((folder / "Pulumi.yaml").read_text())["main"] == str(checkout / "stacks")
    assert yaml.safe_load((folder / "Pulumi.local.yaml").read_text()) == {
        "config": {
            "quarterdeck:kubeconfig": str(kubeconfig),
            "quarterdeck:loopbackPrefix": "127.78",
            "quarterdeck:scrapeInterval": "2s",
        },
        "encryptionsalt": "v1:x",
    }
    assert pulumi.pulumi_environment(folder)["PULUMI_BACKEND_URL"] == f"file://{folder}"


def test_a_folder_in_no_project_is_told_how_one_begins(tmp_path: Path) -> None:
    """Or how to do without."""
    with pytest.raises(UsageError) as refused:
        pulumi.prepare(tmp_path / "state", tmp_path, stack="local", kubeconfig=tmp_path / "kubeconfig", prefix="127.78")

    assert refused.value.next_step == (
        "run this in a project's folder, begin one with `quarterdeck init`, or add --no-deploy"
    )
