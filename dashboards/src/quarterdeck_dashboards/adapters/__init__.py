"""Other systems over HTTP, each behind the narrowest Protocol of who needs it; and git, for what was committed.

Does not belong here: deciding anything.
"""
