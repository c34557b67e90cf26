"""Clusters: one component for each kind, with the same outputs, and the check that a cluster is the one that is meant.

Belongs here: what a cloud is asked for (network, control plane, node pools, keys, logs, identities), how its kubeconfig
is written, and what only such a cluster needs inside of it (Auto Mode's node pools).

Does not belong here: what runs in every cluster (`components`), numbers (`settings`). A cloud's SDK is an extra of the
distribution: its module is imported when a stack says so (`extras`), never before.
"""
