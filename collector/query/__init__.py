"""
Questions and their answers.

In: what a person or a program asks, as text or plain values. Out: `Timeline`, summaries, an
account in sentences. May import: `stitch`, `decode.ids`, `store`, `telemetry`, `clock`, `errors`,
`model`. Never: HTTP, SQL. Read first: `questions.py`.
"""
