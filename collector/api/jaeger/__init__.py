"""
Jaeger's query APIs over the same questions: JSON and OTLP over HTTP, both versions over gRPC.

In: requests in Jaeger's terms. Out: its envelopes, messages and errors. Read first: `routes.py`,
then `v3.py`; gRPC begins in `server.py`.
"""
