"""Where the network is: one module per outside system, each behind a Protocol that its users define.

The only place that may import `kubernetes` or an HTTP client. No decisions here.
"""
