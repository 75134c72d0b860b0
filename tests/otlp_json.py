"""A strict reader of OTLP's JSON: protobuf's own, which knows ids in base64 only."""

from base64 import b64encode
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def read_traces(document: Any) -> TracesData:
    """Return the message that *document* stands for; whatever it does not know raises."""
    return ParseDict(_with_base64(document), TracesData())


def _with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: b64encode(bytes.fromhex(each)).decode() if key in _IDS else _with_base64(each)
        for key, each in value.items()
    }
