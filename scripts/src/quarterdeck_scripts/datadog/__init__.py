"""`quarterdeck datadog`: the catalogue's objectives, monitors and dashboards kept in Datadog.

Belongs here: how Datadog's API lists, marks and wraps its resources, and the command.

Does not belong here: what the resources are (`quarterdeck_dashboards.datadog`), deciding and carrying out (`publish`).
"""
