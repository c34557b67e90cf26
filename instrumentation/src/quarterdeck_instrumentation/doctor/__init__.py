"""`quarterdeck-instrument doctor`: says what is found, why it matters and what to do, and changes nothing.

Belongs here: gathering facts (`gather`, `machine`, `reach`, `run`, and `probe` inside the command), deciding from them
(`findings`, `versions`), telling a person or a machine (`report`, `command`). Not here: anything that a service's own
process needs; `probe` alone runs there, and only if the doctor asks.
"""
