"""The lean record path: spans that cost a request little, encoded and posted by a thread of its own.

Belongs here: OpenTelemetry's provider, tracer and span as the SDK's users know them, OTLP's bytes, the queue and the
connection. Not here: what a server span says (`tracing`), and who decides that there is tracing.
"""
