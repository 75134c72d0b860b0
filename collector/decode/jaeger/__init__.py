"""
Jaeger spans, Thrift and protobuf, to canonical OTLP. Read first: `convert.py`.
"""
