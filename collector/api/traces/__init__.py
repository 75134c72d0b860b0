"""
Timelines as the spans that tracing tools read: one form, which every tool's API writes its own way.

In: `Stitched`. Out: `ShownTrace`, or OTLP as a message and as JSON. May import: `query`,
`stitch.timeline`, `identity`, `model`. Never: HTTP. Read first: `shown.py`.
"""
