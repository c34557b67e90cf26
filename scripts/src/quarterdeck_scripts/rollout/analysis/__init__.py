"""Judging without rolling out: a canary as it stands, a window of the past, or a bundle's answers once more.

`window` chooses the moments and asks; `replay` tells a measurer what a bundle has; `text` says what came of it;
`command` parses and prints. The counting and the verdict are the rollout's own (`rollout.judge.measure`).

Does not belong here: anything that changes the cluster.
"""
