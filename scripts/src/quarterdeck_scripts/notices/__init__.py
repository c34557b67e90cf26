"""Telling people what a run does: in Slack or by any webhook, in Grafana, in Datadog, as Kubernetes Events.

And keeping quiet what a run itself would set off: silences and downtimes that lapse when whoever holds them dies.

Belongs here: what is told (`notice`), to whom it can be (`ports`), how each of them has it said, the leases, and the
`courier` that takes notices there without ever holding up or ending the run.

Does not belong here: what is worth telling (the run's own, `rollout.acting.told`), a network client (`adapters`), a
decision about a rollout.
"""
