"""Steering a rollout that is under way, whoever runs it: what is asked of it, and going on when nobody runs it.

`asking` writes what is asked; `aborting` also waits for what comes of it; `command` parses and prints. What can be
asked is `rollout.steps.asks`, what comes of it `rollout.steps.flow`.

Does not belong here: carrying a rollout out, or anything that changes more than the one annotation.
"""
