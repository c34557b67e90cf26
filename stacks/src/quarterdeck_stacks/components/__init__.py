"""One Pulumi component for each concept of a cluster: namespaces, workloads, Prometheus, Alertmanager, facts.

Belongs here: which objects a concept is made of, and how they depend on each other. A component gets its provider
from its caller (`opts`), names every object itself, and makes each depend on what must be there before it.

Does not belong here: which components an environment has (`environments`), reading configuration (`settings`).

Type tokens are `quarterdeck:<module>:<Type>`. A component or child that is renamed gets an alias with its old name,
else Pulumi deletes and creates what it could have kept.

Objects are applied server-side and never by force: a field that another manager has changed meanwhile (the image, by
a promoted rollout; the replicas, by a runbook) is a conflict that `pulumi up` reports, not a silent way back. Writing
the promoted tag into services.yaml settles it, and restarts nothing.
"""
