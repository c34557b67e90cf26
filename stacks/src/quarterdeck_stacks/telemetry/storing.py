"""Object stores as each program is told of them. Pure data: never a credential, only where one is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import yaml

from quarterdeck_stacks.settings.monitoring import ObjectStore, StoreKind

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

_AZURE_KEY = "${AZURE_STORAGE_KEY}"
"""Put in by the program itself, from the variable: Azure's libraries, unlike S3's, do not look for one."""


def endpoint(store: ObjectStore) -> str:
    """Return the host of an S3 *store*.

    >>> endpoint(ObjectStore(StoreKind.S3, "samples", {"region": "eu-central-1"}))
    's3.eu-central-1.amazonaws.com'
    """
    return store.options.get("endpoint") or f"s3.{store.options['region']}.amazonaws.com"


def for_thanos(store: ObjectStore) -> str:
    """Return Thanos' `objstore.yml`, for pods whose service account is somebody to the cloud.

    Source: https://thanos.io/tip/thanos/storage.md/.
    """
    match store.kind:
        case StoreKind.S3:
            config: Document = {
                "bucket": store.bucket,
                "endpoint": endpoint(store),
                "region": store.options["region"],
                # Who the pod is comes from its service account, by the cloud's own library.
                "aws_sdk_auth": True,
            }
            name = "S3"
        case StoreKind.GCS:
            name, config = "GCS", {"bucket": store.bucket}
        case StoreKind.AZURE:
            name, config = "AZURE", {"storage_account": store.options["account"], "container": store.bucket}
        case StoreKind.FILE:
            name, config = "FILESYSTEM", {"directory": store.bucket}
        case _:
            assert_never(store.kind)
    return yaml.safe_dump({"type": name, "config": config}, sort_keys=False)


def for_loki(store: ObjectStore | None, folder: str, *, has_secret: bool = False) -> tuple[str, Document]:
    """Return Loki's name for the kind of *store*, and the section of `storage_config`; None is *folder*.

    With *has_secret* the pod has the store's credentials in its environment.

    Source: https://grafana.com/docs/loki/v3.7.x/configure/#storage_config.
    """
    if store is None:
        return "filesystem", {"filesystem": {"directory": folder}}
    match store.kind:
        case StoreKind.S3:
            options: Mapping[str, str] = store.options
            return "s3", {
                "aws": {"bucketnames": store.bucket, "region": options["region"], "endpoint": endpoint(store)}
            }
        case StoreKind.GCS:
            return "gcs", {"gcs": {"bucket_name": store.bucket}}
        case StoreKind.AZURE:
            azure = {"account_name": store.options["account"], "container_name": store.bucket}
            trust: Document = {"account_key": _AZURE_KEY} if has_secret else {"use_federated_token": True}
            return "azure", {"azure": {**azure, **trust}}
        case StoreKind.FILE:
            return "filesystem", {"filesystem": {"directory": store.bucket}}
        case _:
            assert_never(store.kind)


def for_tempo(store: ObjectStore | None, folder: str, *, has_secret: bool = False) -> Document:
    """Return Tempo's `storage.trace` as far as it says where blocks are; None is *folder*.

    With *has_secret* the pod has the store's credentials in its environment.

    Source: https://grafana.com/docs/tempo/v2.10.x/configuration/#storage.
    """
    if store is None:
        return {"backend": "local", "local": {"path": folder}}
    match store.kind:
        case StoreKind.S3:
            s3 = {"bucket": store.bucket, "region": store.options["region"], "endpoint": endpoint(store)}
            return {"backend": "s3", "s3": {**s3, "prefix": _TEMPO_PREFIX}}
        case StoreKind.GCS:
            return {"backend": "gcs", "gcs": {"bucket_name": store.bucket, "prefix": _TEMPO_PREFIX}}
        case StoreKind.AZURE:
            azure = {"storage_account_name": store.options["account"], "container_name": store.bucket}
            trust: Document = {"storage_account_key": _AZURE_KEY} if has_secret else {"use_federated_token": True}
            return {"backend": "azure", "azure": {**azure, "prefix": _TEMPO_PREFIX, **trust}}
        case StoreKind.FILE:
            return {"backend": "local", "local": {"path": store.bucket}}
        case _:
            assert_never(store.kind)


_TEMPO_PREFIX = "traces"
"""Folder of the bucket for traces: one bucket holds samples and logs as well."""
