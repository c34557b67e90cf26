"""From values in one worker's memory to one truthful page for all workers.

Belongs here: the worker's file and its format, the folder the workers share, adding up the living and the dead, the
page's text formats, and the thread that serves it. Does not belong here: recording (registry) or deciding when
(runtime).
"""
