"""What a rollout does, in which order, as generators of actions: pure, so that every death in them can be played.

Here belong the flows, the actions they ask for, and the state that outlives a run; not how an action is carried out
(`acting`), nor how a verdict is reached (`judge`).
"""
