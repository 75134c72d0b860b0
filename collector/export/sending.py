"""
Spans over OTLP, HTTP or gRPC, and what the endpoint says of them.

The HTTP exporter of OpenTelemetry writes, compresses and retries what may pass by itself within
seconds. It tells only whether a batch was taken; the answer's status and body are read beside it,
for a batch that is refused for good must not be sent again, and one that could not be delivered
must. The gRPC exporter tells no more, and hides the answer: only its encoding is used.

Source: OTLP 1.9, OTLP/HTTP and OTLP/gRPC response (partial success, failures, throttling).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc
import orjson
import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from collector import __version__
from collector.export.spans import ExportedSpan
from collector.settings import ExportSettings

_TIMEOUT_S = 10
# What is wrong with the bytes stays wrong; an address or a token that is wrong gets put right.
_ABOUT_THE_BYTES = frozenset({400, 413, 422})
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_SCOPE = InstrumentationScope("hopline", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Outcome(Enum):
    """What became of a batch: `refused` is for good, `undelivered` to be tried again."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One batch that was sent.

    `rejected` is how many spans of a batch that was taken the endpoint did not keep, `reason` a
    status or what it said.
    """

    outcome: Outcome
    rejected: int = 0
    reason: str = ""


class Sender(Protocol):
    """Sends batches to one endpoint. One thread uses it; `close` may come from another."""

    def send(self, spans: Sequence[ExportedSpan]) -> Delivery:
        """Send one batch. Never raises."""
        ...

    def close(self) -> None:
        """End a retry that is under way, and the connection."""
        ...


def open_sender(settings: ExportSettings, tenant: str = "") -> Sender:
    """Return what sends a tenant's spans to the endpoint; nothing is sent yet."""
    headers = dict(settings.headers)
    if settings.tenant_header and tenant:
        headers = {k: v for k, v in headers.items() if k.lower() != settings.tenant_header.lower()}
        headers[settings.tenant_header] = tenant
    return (GrpcSender if settings.is_grpc else HttpSender)(settings, headers)


class GrpcSender:
    """Sends over gRPC; `grpcs` is TLS with the roots of gRPC, or those that its variable names."""

    def __init__(self, settings: ExportSettings, headers: dict[str, str]) -> None:
        address = urlsplit(settings.endpoint)
        options = (("grpc.primary_user_agent", f"hopline/{__version__}"),)
        self._channel = (
            grpc.secure_channel(address.netloc, grpc.ssl_channel_credentials(), options)
            if address.scheme == "grpcs"
            else grpc.insecure_channel(address.netloc, options)
        )
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())
        self._export = self._channel.unary_unary(
            _EXPORT, request_serializer=None, response_deserializer=None
        )

    def send(self, spans: Sequence[ExportedSpan]) -> Delivery:
        """Send one batch. Never raises."""
        body = encode_spans([_readable(span) for span in spans]).SerializeToString()
        try:
            answer = self._export(
                body,
                timeout=_TIMEOUT_S,
                metadata=self._metadata,
                compression=grpc.Compression.Gzip,
            )
        except grpc.RpcError as error:
            return _grpc_failure(error)
        except ValueError:  # the channel was closed meanwhile
            return Delivery(Outcome.UNDELIVERED, reason="connection")
        rejected, message = _read_partial(answer)
        return Delivery(Outcome.TAKEN, min(rejected, len(spans)), message)

    def close(self) -> None:
        """End what is under way, and the connection."""
        self._channel.close()


class HttpSender:
    """Sends over HTTP."""

    def __init__(self, settings: ExportSettings, headers: dict[str, str]) -> None:
        self._answers: list[requests.Response] = []
        session = requests.Session()
        session.max_redirects = 0  # a redirected POST arrives as a GET, without its body
        session.hooks["response"].append(self._note)
        self._exporter = OTLPSpanExporter(
            endpoint=settings.traces_url,
            headers=headers,
            timeout=_TIMEOUT_S,
            compression=Compression.Gzip,
            session=session,
        )

    def send(self, spans: Sequence[ExportedSpan]) -> Delivery:
        """Send one batch. Never raises."""
        self._answers.clear()
        result = self._exporter.export([_readable(span) for span in spans])
        if not self._answers:
            return Delivery(Outcome.UNDELIVERED, reason="connection")
        answer = self._answers[-1]
        status = answer.status_code
        if result is SpanExportResult.SUCCESS and 200 <= status < 300:
            rejected, message = _partial_success(answer)
            return Delivery(Outcome.TAKEN, min(rejected, len(spans)), message)
        outcome = Outcome.REFUSED if status in _ABOUT_THE_BYTES else Outcome.UNDELIVERED
        return Delivery(outcome, reason=str(status))

    def close(self) -> None:
        """End a retry that is under way, and the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it has no annotations

    def _note(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        self._answers.append(answer)


def _readable(span: ExportedSpan) -> ReadableSpan:
    code = StatusCode.ERROR if span.is_error else StatusCode.UNSET
    parent = _context(span.trace_id, span.parent_span_id) if span.parent_span_id else None
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=parent,
        resource=Resource(dict(span.resource)),
        attributes=dict(span.attributes),
        links=[Link(_context(*each)) for each in span.links],
        kind=SpanKind.SERVER,
        status=Status(code, span.status_message if span.is_error else None),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_SAMPLED)


def _partial_success(answer: requests.Response) -> tuple[int, str]:
    """Return how many spans were not kept and why; an answer in words of its own says none."""
    try:
        if "json" in answer.headers.get("Content-Type", ""):
            partial = orjson.loads(answer.content)["partialSuccess"]
            return int(partial.get("rejectedSpans", 0)), str(partial.get("errorMessage", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, ""
    return _read_partial(answer.content)


def _read_partial(body: bytes) -> tuple[int, str]:
    try:
        told = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return 0, ""
    return told.rejected_spans, told.error_message


def _grpc_failure(error: Any) -> Delivery:
    """Tell what is wrong with the bytes, a size that is refused among it, from all that passes."""
    code = error.code()  # what a call raises is a call as well, which its type does not say
    is_too_large = code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than" in (
        error.details() or ""
    )
    is_refused = code is grpc.StatusCode.INVALID_ARGUMENT or is_too_large
    return Delivery(Outcome.REFUSED if is_refused else Outcome.UNDELIVERED, reason=code.name)
