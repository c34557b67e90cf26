"""Rollouts: a new version is let in beside the old one, judged from evidence, then promoted or undone.

Pure: `sequential` (the mathematics), `criteria`, `verdict`, `evidence` (raw samples to counts), `queries`,
`actions` and `flow` (a generator of actions), `record`, `charts`, `report`. Acting: `lock`, `measure`, `preflight`,
`hands` and `run` (the loop), each over the Protocols of `ports` and `kube.client`. Evidence: `tape`, `scene`, `bundle`,
`keeper`; `analysis` judges without rolling out. Around one flow: `train` (the order of several, pure), `together`,
`rehearsal` (the same steps, on a cluster that stores nothing), `asks` (what others want of it, pure), `steering`,
`looking`. `command` parses and prints.

Does not belong here: a network client (`adapters`), how a Deployment is read or changed (`kube.workloads`),
anything that changes the cluster without an audit entry, except the lock's own Lease.
"""
