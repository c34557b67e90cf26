"""Who a pod is to the cloud, and how programs are told of the object store: never with a credential of the stack's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulumi_kubernetes.core.v1 import EnvVarArgs, EnvVarSourceArgs, SecretKeySelectorArgs, ServiceAccount

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import metadata
from quarterdeck_stacks.components.server_pod import SecretMount
from quarterdeck_stacks.settings.monitoring import StoreKind
from quarterdeck_stacks.telemetry.storing import for_thanos

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from quarterdeck_stacks.settings import MonitoringSettings

_ANNOTATIONS = {
    StoreKind.S3: "eks.amazonaws.com/role-arn",
    StoreKind.GCS: "iam.gke.io/gcp-service-account",
    StoreKind.AZURE: "azure.workload.identity/client-id",
}
"""On a service account: who its pods are to the cloud that has the bucket."""
_AZURE_LABEL = {"azure.workload.identity/use": "true"}
"""On a pod: without it, Azure's webhook gives it no token, whatever its service account says."""
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY")
"""Keys that the Secret of the object store may have beside `objstore.yml`, for programs that read them as variables."""
_OBJSTORE = "objstore.yml"
_DIRECTORY = "/etc/object-store"
_GOOGLE_KEY = "google.json"
"""Key of the same Secret with a Google service account's key: Google's libraries take a file, and by a variable."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How the pods of one environment reach its object store."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of their service accounts."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pods."""
    credentials: tuple[EnvVarArgs, ...] = ()
    """Variables from the Secret that somebody has made, or where its files are."""
    files: tuple[SecretMount, ...] = ()
    """That Secret as a folder, for programs that read files."""
    objstore: EnvVarArgs | None = None
    """The variable OBJECT_STORE of Thanos' programs."""


def identity_of(settings: MonitoringSettings) -> Identity:
    """Return how pods reach the object store of *settings*."""
    store, secret = settings.object_store, settings.object_store_secret
    annotations, labels = {}, {}
    if store is not None and settings.object_store_identity and store.kind in _ANNOTATIONS:
        annotations = {_ANNOTATIONS[store.kind]: settings.object_store_identity}
        labels = _AZURE_LABEL if store.kind is StoreKind.AZURE else {}
    if not secret:
        told = EnvVarArgs(name="OBJECT_STORE", value=for_thanos(store)) if store is not None else None
        return Identity(annotations, labels, objstore=told)
    objstore = _from(secret, _OBJSTORE, "OBJECT_STORE", optional=False)
    if store is not None and store.kind is StoreKind.GCS:
        path = EnvVarArgs(name="GOOGLE_APPLICATION_CREDENTIALS", value=f"{_DIRECTORY}/{_GOOGLE_KEY}")
        return Identity(annotations, labels, (path,), (SecretMount(secret, _DIRECTORY),), objstore)
    credentials = tuple(_from(secret, key, key, optional=True) for key in _CREDENTIALS)
    return Identity(annotations, labels, credentials, objstore=objstore)


def account(
    name: str, *, opts: pulumi.ResourceOptions, identity: Identity | None = None, namespace: str = SYSTEM_NAMESPACE
) -> ServiceAccount:
    """Make the service account of *name*, which is somebody to the cloud with an *identity*, and nobody without."""
    annotations = identity.annotations if identity else {}
    return ServiceAccount(
        name,
        metadata=metadata(name, namespace, app=name, annotations=annotations),
        automount_service_account_token=False,
        opts=opts,
    )


def _from(secret: str, key: str, variable: str, *, optional: bool) -> EnvVarArgs:
    selected = SecretKeySelectorArgs(name=secret, key=key, optional=optional or None)
    return EnvVarArgs(name=variable, value_from=EnvVarSourceArgs(secret_key_ref=selected))
