"""Every image that the monitoring runs, each once: `registry/name:tag@sha256:…`. Pure names.

The digest is what `docker pull NAME:TAG` prints, that of the index of all platforms; the tag says to a person what the
digest says to a node. Versions are those that the tests run, where a digest of them is known. Above each is where its
digest was read: in files of public repositories that pin it.

An image is changed here, tag and digest together: `docker buildx imagetools inspect NAME:TAG` prints the digest.
"""

from __future__ import annotations

import re

_PINNED = re.compile(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}")

# Pinned on quay.io by two files, as docker.io/prom/prometheus, which is the same index, by a dozen more.
PROMETHEUS = (
    "quay.io/prometheus/prometheus:v3.15.0@sha256:efd719c99d83b060d9daefdcf00360461adf279f45ef5391f8d111892118753e"
)
"""The tests run 3.16, of which no digest was to be found."""

# Pinned on quay.io by one file, as docker.io/prom/alertmanager by nine more.
ALERTMANAGER = (
    "quay.io/prometheus/alertmanager:v0.28.1@sha256:27c475db5fb156cab31d5c18a4251ac7ed567746a2483ff264516437a39b15ba"
)

# Pinned on quay.io by two files, as docker.io/prom/node-exporter by six more.
NODE_EXPORTER = (
    "quay.io/prometheus/node-exporter:v1.12.1@sha256:1b4e4438faca4dd7e001dd445d161a4a2091b0fededa84093b3a8dfeae1f1be0"
)

# Pinned on quay.io by three files, as docker.io/prom/blackbox-exporter by five more.
BLACKBOX_EXPORTER = (
    "quay.io/prometheus/blackbox-exporter:v0.28.0"
    "@sha256:e753ff9f3fc458d02cca5eddab5a77e1c175eee484a8925ac7d524f04366c2fc"
)

# Pinned by five files, one of them beside the images of the Prometheus operator.
KUBE_STATE_METRICS = (
    "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.19.1"
    "@sha256:85108987d044b18a098126732f98602df408888c0f7d456241f5abefb9744bc1"
)

# Pinned by minikube's addon of this version and by three files more; two name it the index, and another amd64's own.
METRICS_SERVER = (
    "registry.k8s.io/metrics-server/metrics-server:v0.8.1"
    "@sha256:b2d2efaf5ac3b366ed0f839d2412a2c4279d4fc2a2a733f12c52133faed36c41"
)

# Pinned by eight files.
GRAFANA = "docker.io/grafana/grafana:13.2.2@sha256:ac461fb352abc50da10a51c7d02462e9c05488f11f53f14b3ad79a8145f638a0"

# Pinned with its tag by four files, without it by six more.
COLLECTOR = (
    "docker.io/otel/opentelemetry-collector-contrib:0.155.0"
    "@sha256:4935caa35e9a4cb387e35732e8fb22b2b5759af8d12e7043357f03837f6e8df5"
)

# Pinned by six files.
LOKI = "docker.io/grafana/loki:3.7.8@sha256:1107dd5274e0ada47e42472b7a7e71f3b2a2fe878878108f3e2f9e51528f0193"

# Pinned by eight files. The last line of 2.x, which runs as one process without Kafka.
TEMPO = "docker.io/grafana/tempo:2.10.8@sha256:f0561deb1c68ec44d6e6e7e4487f30106c4e5e768642077695b37958b105812a"

# Pinned by three files: values of a chart, and two lists of digests.
THANOS = "quay.io/thanos/thanos:v0.42.4@sha256:b567818fe608067eb0f1d7c2c4fe361e7ad83c8a256234c97685f1d0bf670cc8"

# Pinned by two files that test against this agent, and by eight of a guide to Datadog's chart 3.244.0.
DATADOG_AGENT = "gcr.io/datadoghq/agent:7.83.1@sha256:ed0bd588e955d82f661d1b8dd1cdf179c1023e74a2817e7a812c99d52f05c319"

# Pinned beside the agent's in that guide.
DATADOG_CLUSTER_AGENT = (
    "gcr.io/datadoghq/cluster-agent:7.83.1@sha256:8e420c81e68abec34ab792c72a6513b739dcba8f7682c52e1e7e276363827b1a"
)

LOCAL_PROMETHEUS = "quay.io/prometheus/prometheus:v3.16.0"
"""What the store of images of `quarterdeck local` calls this machine's own Prometheus. A program has no digest."""
LOCAL_ALERTMANAGER = "quay.io/prometheus/alertmanager:v0.28.1"
"""Likewise."""


def is_pinned(image: str) -> bool:
    """Return whether *image* names its registry, its tag and its digest, so that it is the same wherever it runs.

    >>> is_pinned(GRAFANA), is_pinned("docker.io/grafana/grafana:13.2.2")
    (True, False)
    """
    return _PINNED.fullmatch(image) is not None


def has_digest(image: str) -> bool:
    """Return whether *image* names a tag and ends in a whole digest, whatever registry it is in.

    >>> has_digest("localhost:5000/quarterdeck:1@sha256:" + "0a" * 32), has_digest("quarterdeck:1@sha256:0a")
    (True, False)
    """
    return re.fullmatch(r"[^\s@]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}", image) is not None


def version_of(image: str) -> str:
    """Return *image*'s tag.

    >>> version_of(ALERTMANAGER)
    'v0.28.1'
    """
    return image.partition("@")[0].rpartition(":")[2]
