"""Speaking with a cluster: the one seam, its errors, and pure helpers over JSON objects.

`client` is the Protocol and its errors; `fake` is an API server in memory, for tests of ours and of users.
The real one is `quarterdeck_scripts.adapters.kubernetes`. No I/O here.
"""
