"""Looking at rollouts: one that is under way as it goes on, and those of the past.

`history` reads what was out of the audit log, `watching` follows what is; `command` parses and prints. Where a service
stands at this moment is `rollout.status`.

Does not belong here: anything that changes the cluster.
"""
