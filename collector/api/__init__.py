"""
REST v1, the Jaeger-compatible API, the page, and the terminal.

In: an HTTP request. Out: one question's answer, rendered. May import: `query`, `stitch.timeline`,
`telemetry`, `config`, `errors`, `model`. Never: logic of its own, SQL. Read first: `http.py`.
"""
