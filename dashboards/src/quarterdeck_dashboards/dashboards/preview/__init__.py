"""Every panel as one HTML page, drawn from what a Prometheus answers now, for a person to look at.

`ask` puts the questions, `charts` draws, `page` is the whole. The HTTP client is in `adapters`.
"""
