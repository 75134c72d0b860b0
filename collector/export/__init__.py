"""
The missing gateway span for the tracing tool that people already have.

In: gateway records in the order in which they came into the store, each with its stitched timeline.
Out: OTLP spans with the ids that make the mesh's first span their child, sent once each. Off unless
an endpoint is set.
May import: `query`, `stitch`, `store`, `decode`, `telemetry`, `config`, `clock`, `errors`, `model`.
Never: HTTP routes, SQL. Read first: `worker.py`, then `spans.py`.
"""
