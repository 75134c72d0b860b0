"""
REST v1, the Jaeger-compatible API, and the pages.

In: an HTTP request. Out: one question's answer, rendered. May import: `query`, `stitch.timeline`,
`identity`, `telemetry`, `config`, `errors`, `model`. Never: logic of its own, SQL, the client.
Read first: `rest/app.py`.
"""
