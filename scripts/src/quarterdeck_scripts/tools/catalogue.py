"""Which tools there are: versions, and how each is built from its Go module.

The modules' own `go.mod` and `go.sum` are the folders of `tools/go/`; a test holds both to the same versions.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module that is built at one pinned version."""

    name: str
    """Folder below `tools/go/` with the `go.mod` that requires it and the `go.sum` that pins every dependency."""
    path: str
    """Module path, as the Go proxy knows it."""
    version: str
    """Module version. Not always the tool's own: Prometheus 3.16.0 is the module's v0.316.0."""
    tags: tuple[str, ...] = ()
    """Build tags."""
    ldflags: tuple[str, ...] = ()
    """Linker flags besides `-s -w`: where the binary keeps the version that `--version` prints."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One binary."""

    name: str
    """The file's name, and how it is asked for."""
    version: str
    """The version it must report, without a leading `v`."""
    module: Module
    """What it is built from, where no release is known."""
    package: str
    """Import path of its main package."""
    version_arguments: tuple[str, ...] = field(default=("--version",))
    """Arguments that make it print its version and exit."""


_KUBERNETES = "1.36.3"
"""The newest minor version whose kubelet still runs on cgroup v1."""
_PROMETHEUS = "3.16.0"
_ALERTMANAGER = "0.28.1"
"""Newer modules lack their page's assets and do not compile outside their own repository."""
_COLLECTOR = "0.155.0"
"""The version whose components the Go module proxy has, and of whose image a digest is known."""
_THANOS = "0.42.4"
"""The newest that Go 1.26 builds, and of whose image a digest is known."""
_LOKI = "3.7.8"
"""The version whose image is pinned."""
_ETCD = "3.6.8"
_KWOK = "0.8.0"
_KUBECONFORM = "0.8.0"

KUBERNETES = Module(
    "kubernetes",
    "k8s.io/kubernetes",
    f"v{_KUBERNETES}",
    ldflags=(
        f"-X k8s.io/component-base/version.gitVersion=v{_KUBERNETES}",
        f"-X k8s.io/client-go/pkg/version.gitVersion=v{_KUBERNETES}",
    ),
)
PROMETHEUS = Module(
    "prometheus",
    "github.com/prometheus/prometheus",
    "v0.316.0",
    # Every cloud's discovery but Kubernetes' and DNS' left out: half the build time and size.
    tags=("remove_all_sd", "enable_kubernetes_sd", "enable_dns_sd"),
    ldflags=(f"-X github.com/prometheus/common/version.Version={_PROMETHEUS}",),
)
KWOK = Module("kwok", "sigs.k8s.io/kwok", f"v{_KWOK}")
ALERTMANAGER = Module(
    "alertmanager",
    "github.com/prometheus/alertmanager",
    f"v{_ALERTMANAGER}",
    ldflags=(f"-X github.com/prometheus/common/version.Version={_ALERTMANAGER}",),
)
COLLECTOR = Module("otelcol-contrib", "go.opentelemetry.io/collector/otelcol", f"v{_COLLECTOR}")
"""A main package of ours, with those of contrib's components that the stack's configurations name."""
THANOS = Module(
    "thanos",
    "github.com/thanos-io/thanos",
    f"v{_THANOS}",
    # As its own Makefile has it: Thanos takes labels for slices, which they are with this tag alone.
    tags=("slicelabels",),
    ldflags=(f"-X github.com/prometheus/common/version.Version={_THANOS}",),
)
LOKI = Module(
    "loki",
    "github.com/grafana/loki/v3",
    f"v{_LOKI}",
    ldflags=(f"-X github.com/grafana/loki/v3/pkg/util/build.Version={_LOKI}",),
)
ETCD = Module("etcd", "go.etcd.io/etcd/server/v3", f"v{_ETCD}")
KUBECONFORM = Module(
    "kubeconform",
    "github.com/yannh/kubeconform",
    f"v{_KUBECONFORM}",
    ldflags=(f"-X main.version=v{_KUBECONFORM}",),
)

TOOLS: tuple[Tool, ...] = (
    Tool("kube-apiserver", _KUBERNETES, KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver"),
    Tool("kube-controller-manager", _KUBERNETES, KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Tool("kube-scheduler", _KUBERNETES, KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler"),
    Tool("loki", _LOKI, LOKI, "github.com/grafana/loki/v3/cmd/loki"),
    Tool("prometheus", _PROMETHEUS, PROMETHEUS, "github.com/prometheus/prometheus/cmd/prometheus"),
    Tool("promtool", _PROMETHEUS, PROMETHEUS, "github.com/prometheus/prometheus/cmd/promtool"),
    Tool("otelcol-contrib", _COLLECTOR, COLLECTOR, "quarterdeck.dev/tools/otelcol-contrib"),
    Tool("thanos", _THANOS, THANOS, "github.com/thanos-io/thanos/cmd/thanos"),
    Tool("kwok", _KWOK, KWOK, "sigs.k8s.io/kwok/cmd/kwok"),
    Tool("alertmanager", _ALERTMANAGER, ALERTMANAGER, "github.com/prometheus/alertmanager/cmd/alertmanager"),
    Tool("amtool", _ALERTMANAGER, ALERTMANAGER, "github.com/prometheus/alertmanager/cmd/amtool"),
    Tool("etcd", _ETCD, ETCD, "go.etcd.io/etcd/server/v3"),
    Tool("kubeconform", _KUBECONFORM, KUBECONFORM, "github.com/yannh/kubeconform/cmd/kubeconform", ("-v",)),
)
"""Every tool, in build order: the biggest module first, so that the estimate of what is left only improves."""


def tools_named(names: Iterable[str] | None) -> tuple[Tool, ...]:
    """Return the tools called *names*, each once and in that order; all of them for None.

    Raises:
        UsageError: there is no tool of such a name.
    """
    if names is None:
        return TOOLS
    known = {tool.name: tool for tool in TOOLS}
    asked = list(dict.fromkeys(names))
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"a tool: {', '.join(sorted(known))}",
                f"{name!r}",
                f"write {near[0]!r}" if near else "name one of these",
            )
    return tuple(known[name] for name in asked)
