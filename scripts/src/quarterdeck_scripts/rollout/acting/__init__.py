"""Carries out the actions of a flow on a cluster: reads, changes, waits, holds the lock, keeps evidence.

Here belongs whatever touches a cluster while a rollout runs; not the decision to (`steps`), nor what is looked at
before one may begin (`checks`).
"""
