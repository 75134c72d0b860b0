"""
Journal messages without the fields that their schema does not know.

The parser keeps unknown fields and ClickHouse skips them, with one exception: a known number with
the wrong wire type, or a group, which only damaged or hostile requests have. ClickHouse refuses
those messages. Taking unknown fields out of every request would cost 1.5 us/span, so it is done to
what ClickHouse has refused: nothing that was acknowledged is lost by it.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.protobuf.split import read_fields
from collector.errors import Undecodable
from collector.model import Stream
from collector.wire.gateway_record_pb2 import GatewayRecords

# the journal's trailer, apart from the checksum
_TRAILER_FIELDS = (2001, 2002, 2003)
_REQUESTS: Mapping[Stream, type[Any]] = {
    Stream.TRACE: ExportTraceServiceRequest,
    Stream.LOG: ExportLogsServiceRequest,
    Stream.METRIC: ExportMetricsServiceRequest,
    Stream.RECORD: GatewayRecords,
}


def drop_unknown_fields(stream: Stream, message: bytes) -> tuple[bytes, bytes]:
    """
    Return a journal message's known fields, and its trailer without the checksum.

    Raises:
        Undecodable: the bytes are not such a message. Never retried.
    """
    trailer = b"".join(
        message[start:stop]
        for number, _, start, _, stop in read_fields(message, 0, len(message))
        if number in _TRAILER_FIELDS
    )
    try:
        request = _REQUESTS[stream].FromString(message)
    except DecodeError as exc:
        raise Undecodable(f"not a journal message with {stream}s") from exc
    request.DiscardUnknownFields()
    for name in ("received_ns", "door", "tenant", "checksum"):
        if stream is Stream.RECORD:  # its schema knows the trailer
            request.ClearField(name)
    return request.SerializeToString(), trailer
