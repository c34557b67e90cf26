"""From the catalogue to everything that watches: SLOs, recording rules, alerts, dashboards, their checks.

Belongs here: reading `services.yaml`; SLO arithmetic; PromQL built from contract metrics; rule, alert and
Alertmanager files; the offline contract check.

Does not belong here: connecting to a cluster or starting a process (`quarterdeck_scripts`), describing
infrastructure (`quarterdeck_stacks`).
"""
