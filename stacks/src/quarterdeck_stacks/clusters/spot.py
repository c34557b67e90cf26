"""Nodes that the cloud may take back at any time: what keeps pods off them, and which pods may run there."""

TAINT = "quarterdeck.dev/spot"
"""On every spot node. What holds data does not tolerate it; services do, and their budgets and spread do the rest."""

AKS_TAINT = "kubernetes.azure.com/scalesetpriority"
"""AKS puts one of its own on spot nodes and allows no other name for it; its value is `spot`."""
