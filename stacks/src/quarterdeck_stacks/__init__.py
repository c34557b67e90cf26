"""Environments as Pulumi describes them, and the same program as YAML.

Belongs here: settings of a stack, components (one concept of a cluster each), environments (which components, in
which shape), the rendering. `pulumi` is imported in `clusters`, `components`, `environments`, `capture` and `render`
alone. All else is pure: what is decided is decided there (`settings`, `watch`, `telemetry`), and components make the
objects of it.

Does not belong here: SLOs, rules and routes (`quarterdeck_dashboards`), talking to a running cluster
(`quarterdeck_scripts`, which is never imported: it runs `quarterdeck stack render` as a process), anything secret.
"""
