"""Reading kubeconfigs with the official client: contexts, TLS, tokens, credential plugins.

The client checks little and logs what it should raise; here that becomes UsageError.
"""

from __future__ import annotations

import ipaddress
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.config.kube_config import KubeConfigMerger

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json

_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError, ConfigException)
"""What the official client raises for a file that is no kubeconfig: it checks little."""


def contexts(source: str) -> dict[str, Json]:
    """Return each context's name and its user entry (`{}` for none) of the kubeconfig files in *source*."""
    try:
        merged = KubeConfigMerger(source).config  # type: ignore[no-untyped-call]  # the client is half typed
        if merged is None:
            raise FileNotFoundError("no such file")
        users = {entry["name"]: entry["user"] for entry in _plain(merged.value.get("users"))}
        found = {entry["name"]: entry["context"] for entry in _plain(merged.value.get("contexts"))}
        return {name: users.get(entry.get("user"), {}) or {} for name, entry in found.items()}
    except _UNREADABLE as error:
        raise _unreadable(source, error) from error


def _plain(nodes: Any) -> list[Json]:
    return [getattr(node, "value", node) for node in nodes or []]


def _unreadable(source: str, reason: object) -> UsageError:
    return UsageError(f"a kubeconfig at {source}", str(reason), "name another with KUBECONFIG, or correct it")


def configuration(source: str, context: str, user: Json) -> Configuration:
    """Read *source* afresh: token files are read and credential plugins run every time this is called."""
    read = Configuration()
    with _collected_errors() as messages:
        try:
            load_kube_config(  # type: ignore[no-untyped-call]  # likewise
                config_file=source, context=context, client_configuration=read, persist_config=False
            )
        except _UNREADABLE as error:
            raise _unreadable(source, error) from error
    # The client logs a failing plugin and goes on without credentials, as the anonymous user.
    if "exec" in user and not (read.auth_settings() or read.cert_file):
        raise UsageError(
            f"credentials from the plugin `{user['exec'].get('command')}` of the context {context}",
            "; ".join(messages) or "no token and no certificate in its answer",
            "run the plugin by hand and log in again",
        )
    if _is_loopback(str(read.host)):
        read.proxy = None  # as Go's clients do: no proxy of the environment's leads to our own loopback
    return read


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _collected_errors() -> Iterator[list[str]]:
    """Collect what is logged at the root logger, which is where the client says why a plugin failed."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    collector = Collector()
    logging.getLogger().addHandler(collector)
    try:
        yield messages
    finally:
        logging.getLogger().removeHandler(collector)
