"""Metrics by OTLP, for services whose metrics are not scraped: what the page shows of this worker, posted by it.

Belongs here: the encoding of a worker's values, and when they are sent. Does not belong here: how bodies get to a
collector, which spans have to as well (`quarterdeck_instrumentation.spans`).
"""
