"""What a rollout could show in the time it has, and what it could cost, before it begins.

Belongs here: the arithmetic of the verdict's tests on expected traffic, the questions about that traffic, the outlook.
Does not belong here: judging what was counted (`rollout.judge`), and whatever changes something.
"""
