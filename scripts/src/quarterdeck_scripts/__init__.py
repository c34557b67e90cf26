"""The operator's commands: rollouts, runbooks, the local environment, the tools it is made of.

Belongs here: Click commands, the pure flows behind them, and the thin adapters to clusters, Prometheus,
Alertmanager and processes.

Does not belong here: what is promised and watched (`quarterdeck_dashboards`), what is provisioned
(`quarterdeck_stacks`; `local` runs `quarterdeck stack render` as a process), what is emitted.
"""
