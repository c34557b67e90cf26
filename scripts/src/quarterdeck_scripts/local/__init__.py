"""The local environment: a real control plane, fake nodes, and pods that are real processes on loopback.

Belongs here: starting and stopping the environment (`lifecycle`, `supervisor`), what its parts are
(`control_plane`, `bootstrap`, `pki`), the image store, the deployment of the stack to it, and the pod runner
(`pods`), which plays the kubelet. Does not belong here: anything that also holds for other environments.

Linux only: a pod has its own address in 127.0.0.0/8, and processes are followed through /proc and pidfds.
What a pod asks for and does not get here, because nothing may need root: isolation (own file system, own
network, limits of CPU and memory, securityContext). Services have no endpoints: the API server refuses
loopback addresses in them.
"""
