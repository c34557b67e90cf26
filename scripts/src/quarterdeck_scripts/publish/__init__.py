"""Keeping what a service of somebody else's has of ours as the catalogue says: a plan, and carrying it out.

Belongs here: what differs, what is to be done about it, the one loop that does it, and how both read. What is ours is
known by marks that a `Store` puts on it; nothing else is ever changed or deleted.

Does not belong here: how Datadog or Grafana is spoken to (`quarterdeck_scripts.datadog`, `quarterdeck_scripts.grafana`,
`adapters`), and what they should have (`quarterdeck_dashboards`).
"""
