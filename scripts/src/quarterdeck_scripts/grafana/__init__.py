"""`quarterdeck grafana`: the catalogue's dashboards kept in a Grafana.

Belongs here: how Grafana's API lists, marks and versions dashboards, and the command.

Does not belong here: what the dashboards are (`quarterdeck_dashboards.dashboards`), deciding and carrying out
(`publish`).
"""
