"""What a Prometheus server must be told so that it reads our `/metrics` page as it is meant."""

from __future__ import annotations

FEATURE_FLAGS = ("created-timestamp-zero-ingestion", "exemplar-storage")
"""For `--enable-feature=`, joined by commas.

`created-timestamp-zero-ingestion`: Prometheus puts a 0 at a series' `_created` timestamp, so that a series first
seen at 3 has an `increase` of 3, not of 0. Without the flag the first events of every new series, a canary's first
errors among them, are lost to `rate` and `increase`, and each `_created` line becomes a series of its own.

`exemplar-storage`: keeps the trace ids that our histogram buckets carry.
"""
