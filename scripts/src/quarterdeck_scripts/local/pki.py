"""Certificates of one environment: its own authority, one identity a part, and their kubeconfigs.

Everything is made anew by every `up` and removed by `down`; no key outlives the environment.
"""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VALIDITY = timedelta(days=365)
"""Longer than any development environment is kept running."""
CLOCK_SKEW = timedelta(minutes=5)
"""How long before now a certificate is valid: a virtual machine's clock may step back after start."""

ADMINS = "system:masters"
"""The group that RBAC lets do everything: the administrator's alone."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of one certificate and its key, PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that writes what it issues into one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = _write(
            folder / "ca.crt", builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )

    def issue(self, file: str, common_name: str, *, groups: Sequence[str] = (), serves: Sequence[str] = ()) -> Pair:
        """Issue a certificate for a client, and for a server too when *serves* names hosts or addresses.

        Args:
            file: file name, without extension.
            common_name: the user's name, for a client.
            groups: the user's groups, for a client.
            serves: host names and IP addresses, for a server.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(_name(common_name, groups), self._name, key.public_key())
        if serves:
            usage.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in serves]), critical=False
            )
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return Pair(_write(self._folder / f"{file}.crt", certificate), write_key(self._folder / f"{file}.key", key))


def service_account_keys(folder: Path) -> tuple[Path, Path]:
    """Make the key that signs ServiceAccount tokens; return the files of the private and of the public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return write_key(folder / "service-account.key", key), _write(folder / "service-account.pub", public)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """Write a private key, readable by its owner only."""
    return _write(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def write_kubeconfig(path: Path, *, context: str, server: str, authority: Path, client: Pair) -> Path:
    """Write a kubeconfig that names its certificates by absolute path.

    Not embedded: clients unpack embedded keys to the folder of temporary files and leave them there when killed.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [
            {
                "name": context,
                "user": {"client-certificate": str(client.certificate), "client-key": str(client.key)},
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    return _write(path, json.dumps(config, indent=2).encode())  # JSON is YAML


def _write(path: Path, content: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def _name(common_name: str, groups: Sequence[str] = ()) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
    )
