"""When nothing new is let in: freezes that the catalogue plans, and a line that somebody stops.

`freezes` says what holds a service at a time; `keeper` reads and writes what somebody stopped; `command` parses and
prints. Going back is never held.

Does not belong here: what a held rollout does (`rollout.steps.flow`: it pauses).
"""
