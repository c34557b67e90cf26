"""Reading kubeconfigs with the official client: contexts, TLS, tokens, credential plugins.

The client checks little and logs what it should raise; here that becomes UsageError.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json

_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError, ConfigException)
"""What the official client raises for a file that is no kubeconfig: it checks little."""


_ALONE, _ATTENDED = 30, 300
"""Seconds a credential plugin may take: without a terminal as long as any call to the API server; with one as long as a
person takes to log in. Also kubectl's waits for ever, but nobody's canary waits for it meanwhile."""

IN_TIME = """
import os, signal, subprocess, sys
seconds, attended, command = int(sys.argv[1]), sys.argv[2] == "attended", sys.argv[3:]
try:
    plugin = subprocess.Popen(command, stdin=None if attended else subprocess.DEVNULL, start_new_session=not attended)
except OSError as error:
    sys.exit(str(error))
try:
    sys.exit(plugin.wait(timeout=seconds))
except subprocess.TimeoutExpired:
    plugin.kill() if attended else os.killpg(plugin.pid, signal.SIGKILL)
    sys.exit(f"no answer within {seconds} s")
"""
"""Runs the plugin that its arguments say, and ends it when its time is up: the official client gives it none. Without a
terminal it can ask nobody, and what it starts ends with it."""


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


_READABLE = "run `kubectl config view` until it shows contexts, or name another file: `export KUBECONFIG=…`"
"""What to do about a kubeconfig that cannot be read."""


def _unreadable(source: str, reason: object) -> UsageError:
    return UsageError(f"a kubeconfig at {source}", str(reason), _READABLE)


def configuration(source: str, context: str, user: Json) -> Configuration:
    """Read *source* afresh: token files are read and credential plugins run every time this is called."""
    read = Configuration()
    with _collected_errors() as messages:
        try:
            merged = KubeConfigMerger(source).config  # type: ignore[no-untyped-call]  # likewise
            _give_deadlines(_plain(merged.value.get("users")))
            loader = KubeConfigLoader(merged, context, config_base_path=None)  # type: ignore[no-untyped-call]  # likewise
            loader.load_and_set(read)  # type: ignore[no-untyped-call]  # likewise
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


def _give_deadlines(users: list[Json]) -> None:
    """Have each user's credential plugin run by `IN_TIME`."""
    attended = sys.stdin is not None and sys.stdin.isatty()
    how = (str(_ATTENDED), "attended") if attended else (str(_ALONE), "alone")
    for plugin in filter(None, ((entry.get("user") or {}).get("exec") for entry in users)):
        if "command" in plugin:
            plugin["args"] = ["-ISc", IN_TIME, *how, plugin["command"], *(plugin.get("args") or ())]
            plugin["command"] = sys.executable


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
