"""The pod runner: what a kubelet does, with processes on loopback in place of containers.

Pure parts: `status` (container states to pod status), `backoff`, `probes`, `environment`, `paths`, `payload`.
Effects: `processes`, `prober`, `volumes`, `api`. The loop: `container`, `pod`, `runner`.

Does not belong here: starting the control plane, and anything that decides about more than one pod.
"""
