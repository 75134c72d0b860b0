"""
Doors: sockets and wire formats.

In: bytes from senders over gRPC, HTTP and UDP. Out: an `Envelope` to intake, and its receipt or
error in the protocol's own words. May import: `intake`, `decode.gateways`, `config`, `errors`,
`model`. Never: spans, SQL. Read first: `body.py`, `otlp_http.py`, `serve.py`.
"""
