"""`quarterdeck init`: what somebody who starts outside this repository is given.

Belongs here: which files those are, and what in them is the user's own. The files themselves have one home, the
repository's root; the wheel has copies. Only the first catalogue and the requirements are written for starters.

Does not belong here: what the program does (`environments`), what settings mean (`settings`).
"""
