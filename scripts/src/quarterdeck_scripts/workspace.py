"""What a run leaves on this machine, by place: all of it below one folder of the working directory."""

from __future__ import annotations

from pathlib import Path

STATE_ROOT = Path(".quarterdeck")
"""The folder; nothing is written elsewhere, the tools' cache apart."""

AUDIT = STATE_ROOT / "audit"
"""The audit log's copy on disk, one file a cluster. It outlives environments."""

REPORTS = STATE_ROOT / "reports"
"""Pages for people. They outlive environments."""


def state_of(env: str) -> Path:
    """Return the folder of the environment *env*: its kubeconfig, its records and, when it is local, its parts."""
    return STATE_ROOT / env


def kubeconfig_of(env: str) -> Path:
    """Return where the local environment *env* keeps its kubeconfig."""
    return state_of(env) / "kubeconfig"
