"""Other systems over HTTP, each behind the narrowest Protocol of who needs it.

Does not belong here: deciding anything.
"""
