"""
Bytes to canonical messages: pure functions.

In: an `Envelope`'s bytes. Out: a canonical OTLP message or gateway records, and what was refused.
May import: `identity`, `wire`, `errors`, `model`. Never: a clock, the network, the disk.
Read first: `otlp/protobuf.py`, then `gateways/__init__.py`.
"""
