"""
Receipts and errors as OTLP answers: Export responses and `google.rpc.Status`, both encodings.

Source: OTLP specification 1.11.0 (success, partial success, failures), google/rpc/status.proto,
google/rpc/error_details.proto.
"""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.errors import CollectorError, Undecodable
from collector.model import Receipt, Stream

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# clients accept answers of 4 MiB and show them to people
_MAX_TEXT_CHARS = 4000
_RESPONSES: Mapping[Stream, type[Any]] = {
    Stream.TRACE: ExportTraceServiceResponse,
    Stream.LOG: ExportLogsServiceResponse,
    Stream.METRIC: ExportMetricsServiceResponse,
}
_REJECTED: Mapping[Stream, tuple[str, str]] = {
    Stream.TRACE: ("rejected_spans", "rejectedSpans"),
    Stream.LOG: ("rejected_log_records", "rejectedLogRecords"),
    Stream.METRIC: ("rejected_data_points", "rejectedDataPoints"),
}


def encode_receipt(signal: Stream, receipt: Receipt, content_type: str) -> bytes:
    """
    Return the Export response of a signal.

    `partial_success` is unset when all was taken as sent; with zero rejected its text is a warning.
    """
    text = describe(receipt)
    if content_type == JSON:
        if not text:
            return b"{}"
        partial = {_REJECTED[signal][1]: str(receipt.rejected), "errorMessage": text}
        return json.dumps({"partialSuccess": partial}).encode()
    if not text:
        return b""
    response = _RESPONSES[signal]()
    setattr(response.partial_success, _REJECTED[signal][0], receipt.rejected)
    response.partial_success.error_message = text
    encoded: bytes = response.SerializeToString()
    return encoded


def describe(receipt: Receipt) -> str:
    """Say what was rejected and what was repaired; "" when all was taken as sent."""
    parts = [error.reason for error in receipt.errors]
    if receipt.warning:
        parts.append(receipt.warning)
    text = "; ".join(parts)
    return text if len(text) <= _MAX_TEXT_CHARS else text[:_MAX_TEXT_CHARS] + "..."


def build_status(error: CollectorError) -> Status:
    """
    Return an error as a Status; retryable ones with RetryInfo, undecodable ones with BadRequest.

    An error without RetryInfo is final for a sender, which is what TooLarge must be.
    """
    text = error.message if not error.hint else f"{error.message} ({error.hint})"
    status = Status(code=Code.Value(error.grpc_status), message=text[:_MAX_TEXT_CHARS])
    if error.retryable:
        info = RetryInfo(retry_delay=Duration(seconds=error.retry_after_s or 1))
        status.details.append(_pack(info))
    elif isinstance(error, Undecodable):
        violation = BadRequest.FieldViolation(field="body", description=text[:_MAX_TEXT_CHARS])
        status.details.append(_pack(BadRequest(field_violations=[violation])))
    return status


def encode_status(error: CollectorError, content_type: str) -> bytes:
    """Return an error as a Status in the encoding of the request."""
    status = build_status(error)
    if content_type == PROTOBUF:
        encoded: bytes = status.SerializeToString()
        return encoded
    return MessageToJson(status, indent=None).encode()


def _pack(message: Any) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
