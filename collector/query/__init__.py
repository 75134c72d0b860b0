"""
Questions and their answers.

In: what a person or a program asks, as text or plain values. Out: `Timeline`, summaries, an
explanation in sentences. May import: `stitch`, `identity`, `store`, `telemetry`, `clock`,
`errors`, `model`. Never: HTTP, SQL. Read first: `service.py`.
"""
