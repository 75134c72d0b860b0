"""
A place for a mesh's telemetry that keeps what it gets: OTLP over gRPC and HTTP, Zipkin over HTTP.

Shows what real proxies and SDKs send, without Hopline in between.
"""

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from collector.demo.envoy_config import Collectors
from collector.wire.zipkin_pb2 import ListOfSpans

Json = dict[str, Any]

_ID_FIELDS = ("traceId", "spanId", "parentSpanId")


class Sink:
    """Receives until it is closed. Lists only grow; a reader polls with `wait_for`."""

    def __init__(self) -> None:
        self.traces: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self.logs: list[logs_service_pb2.ExportLogsServiceRequest] = []
        self.zipkin: list[Json] = []
        self.zipkin_protobuf: list[bytes] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            _Traces(self), self._server
        )
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            _Logs(self), self._server
        )
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

    def span_count(self) -> int:
        """Return how many spans arrived, by whichever protocol."""
        otlp = sum(
            len(scope.spans)
            for request in list(self.traces)
            for group in request.resource_spans
            for scope in group.scope_spans
        )
        protobuf = sum(len(ListOfSpans.FromString(body).spans) for body in self.zipkin_protobuf)
        return otlp + len(self.zipkin) + protobuf

    def log_count(self) -> int:
        """Return how many log records arrived."""
        return sum(
            len(scope.log_records)
            for request in list(self.logs)
            for group in request.resource_logs
            for scope in group.scope_logs
        )

    def clear(self) -> None:
        """Forget what arrived."""
        self.traces.clear()
        self.logs.clear()
        self.zipkin.clear()
        self.zipkin_protobuf.clear()

    def traces_as_json(self) -> Json:
        """Write all spans as one OTLP/JSON request, groups in the order they came."""
        return _to_otlp_json("resourceSpans", self.traces)

    def logs_as_json(self) -> Json:
        """Write all log records as one OTLP/JSON request."""
        return _to_otlp_json("resourceLogs", self.logs)

    def wait_until_quiet(self, quiet_s: float = 0.8) -> None:
        """Wait until nothing has come for a while: longer than any sender buffers."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_s:
            if (now := self.span_count() + self.log_count()) != count:
                count, since = now, time.monotonic()
            time.sleep(0.05)

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
        if self.path == "/api/v2/spans" and "protobuf" in self.headers["content-type"]:
            self.sink.zipkin_protobuf.append(body)
        elif self.path == "/api/v2/spans":
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


def _to_otlp_json(name: str, requests: Sequence[Message]) -> Json:
    """Apply OTLP's own JSON rules to protobuf's: ids as hex, enums as numbers."""
    groups: list[Json] = []
    for request in list(requests):
        value = MessageToDict(request, use_integers_for_enums=True)
        groups.extend(_with_hex_ids(group) for group in value.get(name, []))
    return {name: groups}


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(part).hex() if name in _ID_FIELDS else _with_hex_ids(part)
        for name, part in value.items()
    }
