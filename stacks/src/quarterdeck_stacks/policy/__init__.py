"""What is safe by default, as rules for anybody's Kubernetes objects: the stack's own, and those that users add.

Belongs here: rules as pure functions of manifests, and the pack that shows them to Pulumi.

Does not belong here: how the stack's own objects keep to them (`components`), what settings mean (`settings`).
"""
