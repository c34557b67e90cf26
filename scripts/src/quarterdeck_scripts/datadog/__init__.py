"""Datadog: the catalogue's objectives, monitors and dashboards kept there, and its metrics as evidence.

Belongs here: how Datadog's API lists, marks and wraps its resources, the command `quarterdeck datadog`, and what of
PromQL its metrics can be asked.

Does not belong here: what the resources are (`quarterdeck_dashboards.datadog`), deciding and carrying out (`publish`),
judging (`rollout`).
"""
