"""
REST v1, the APIs of Jaeger, Tempo and ClickHouse, assistants, and the pages.

In: an HTTP or gRPC request. Out: one question's answer, rendered. May import: `query`,
`stitch.timeline`, `identity`, `telemetry`, `config`, `errors`, `model`. Never: logic of its own,
SQL, the client. Read first: `rest/app.py`.
"""
