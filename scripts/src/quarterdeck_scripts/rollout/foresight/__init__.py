"""`quarterdeck rollout plan`: what a rollout could show in the time it has, and what it could cost, before it begins.

Belongs here: the arithmetic of the verdict's tests on expected traffic, the questions about that traffic, the outlook
as text and JSON. Does not belong here: judging what was counted (`rollout.verdict`), and whatever changes something.
"""
