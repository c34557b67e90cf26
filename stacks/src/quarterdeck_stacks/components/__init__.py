"""One Pulumi component for each concept of a cluster: namespaces, workloads, each program of the monitoring, facts.

Belongs here: which objects a concept is made of, and how they depend on each other. A component gets its provider
from its caller (`opts`), names every object itself, and makes each depend on what must be there before it.

Does not belong here: which components an environment has (`environments`), reading configuration (`settings`).

Type tokens are `quarterdeck:<module>:<Type>`. A component or child that is renamed gets an alias with its old name,
else Pulumi deletes and creates what it could have kept.

Objects are applied server-side. Those that only the stack describes are applied by force, so that `pulumi up` undoes
what was changed by hand; those that rollouts and runbooks change, too, never are (`objects.OURS_ALONE`).
"""
