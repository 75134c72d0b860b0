"""
OTLP requests, protobuf and JSON, to canonical bytes. Read first: `protobuf.py`.
"""
