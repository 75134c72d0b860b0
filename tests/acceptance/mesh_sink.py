"""
A place for a mesh's telemetry that keeps what it gets: OTLP over gRPC and HTTP, Zipkin over HTTP.

Shows what real proxies and SDKs send, without Hopline in between.
"""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from deploy.demo.envoy_config import Collectors

Json = dict[str, Any]


class Sink:
    """Receives until it is closed. Lists only grow; a reader polls with `wait_for`."""

    def __init__(self) -> None:
        self.traces: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self.logs: list[logs_service_pb2.ExportLogsServiceRequest] = []
        self.zipkin: list[Json] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(self), self._server)
        grpc_port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        handler = type("Handler", (_HttpHandler,), {"sink": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        http_port = self._http.server_address[1]
        self.collectors = Collectors(otlp_grpc=grpc_port, otlp_http=http_port, zipkin=http_port)

    def close(self) -> None:
        """Stop both servers."""
        self._server.stop(None).wait()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def resource_spans(self, trace_id: str) -> Iterator[tuple[ResourceSpans, Span]]:
        """Yield the OTLP spans of a trace with their resource."""
        for request in list(self.traces):
            for resource_spans in request.resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    for span in scope_spans.spans:
                        if span.trace_id.hex() == trace_id:
                            yield resource_spans, span

    def trace_as_json(self, trace_id: str) -> Json:
        """Write one trace as OTLP/JSON, one `resourceSpans` entry per received group."""
        grouped: list[Json] = []
        for request in list(self.traces):
            for resource_spans in request.resource_spans:
                kept = _only_trace(resource_spans, bytes.fromhex(trace_id))
                if kept is not None:
                    grouped.append(_to_otlp_json(kept))
        return {"resourceSpans": grouped}

    def wait_for(self, is_enough: Callable[[], bool], timeout_s: float = 15) -> None:
        """
        Poll until *is_enough*.

        Raises:
            TimeoutError: it is not, in time.
        """
        deadline = time.monotonic() + timeout_s
        while not is_enough():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the sink did not get enough within {timeout_s} s")
            time.sleep(0.05)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(  # noqa: N802 - the name of the RPC
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.ServicerContext,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._sink.traces.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(  # noqa: N802 - the name of the RPC
        self, request: logs_service_pb2.ExportLogsServiceRequest, context: grpc.ServicerContext
    ) -> logs_service_pb2.ExportLogsServiceResponse:
        self._sink.logs.append(request)
        return logs_service_pb2.ExportLogsServiceResponse()


class _HttpHandler(BaseHTTPRequestHandler):
    sink: Sink
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802 - the name http.server looks for
        body = b"".join(self._read_body())
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/api/v2/spans":
            self.sink.zipkin.extend(json.loads(body))
        elif self.path == "/v1/traces":
            request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            self.sink.traces.append(request)
        self.send_response(202 if self.path.startswith("/api") else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def _read_body(self) -> Iterator[bytes]:
        """Envoy's tracers send their bodies in chunks, without a length."""
        if "content-length" in self.headers:
            yield self.rfile.read(int(self.headers["content-length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


def _only_trace(resource_spans: ResourceSpans, trace_id: bytes) -> ResourceSpans | None:
    kept = ResourceSpans()
    kept.CopyFrom(resource_spans)
    for scope_spans in kept.scope_spans:
        spans = [span for span in scope_spans.spans if span.trace_id == trace_id]
        del scope_spans.spans[:]
        scope_spans.spans.extend(spans)
    return kept if any(scope.spans for scope in kept.scope_spans) else None


def _to_otlp_json(resource_spans: ResourceSpans) -> Json:
    """Apply OTLP's own JSON rules: ids as hex, enums as numbers."""
    value: Json = MessageToDict(resource_spans, use_integers_for_enums=True)
    for scope, scope_json in zip(resource_spans.scope_spans, value["scopeSpans"], strict=True):
        for span, span_json in zip(scope.spans, scope_json["spans"], strict=True):
            span_json["traceId"] = span.trace_id.hex()
            span_json["spanId"] = span.span_id.hex()
            span_json.pop("parentSpanId", None)
            if span.parent_span_id:
                span_json["parentSpanId"] = span.parent_span_id.hex()
    return value


def attribute(pairs: "Iterator[KeyValue] | list[KeyValue]", name: str) -> str:
    """Return an attribute's text, or "" when it is not there."""
    for pair in pairs:
        if pair.key == name:
            return _text(pair.value)
    return ""


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return str(getattr(value, kind)) if kind else ""
