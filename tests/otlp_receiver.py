"""An OTLP endpoint on a real socket that keeps what it gets and answers as it is told."""

import gzip
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Answer = tuple[int, bytes]
TAKEN: Answer = (200, b"")


def always(status: int) -> Callable[[list[Span]], Answer]:
    """Return what answers every batch with *status*."""
    return lambda _: (status, b"")


def partial(rejected: int, message: str = "too old") -> Answer:
    """Return the answer to a batch of which *rejected* spans are not kept."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return 200, response.SerializeToString()


@dataclass
class Receiver:
    """
    What came in.

    `answer` decides on each batch; what it answers with 2xx is kept in `taken`, in its order, and
    in `by_trace` the headers of the batch that a trace came in.
    """

    port: int = 0
    answer: Callable[[list[Span]], Answer] = lambda _: TAKEN
    taken: list[tuple[dict[str, object], Span]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    by_trace: dict[str, dict[str, str]] = field(default_factory=dict)
    batches: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [span for _, span in self.taken]

    def take(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Take one request."""
        self.batches += 1
        self.headers.append(headers)
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            ({each.key: value_of(each.value) for each in group.resource.attributes}, span)
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        answer = self.answer([span for _, span in found])
        if answer[0] < 300:
            self.taken += found
            self.by_trace |= {span.trace_id.hex(): headers for _, span in found}
        self.arrived.set()
        return answer


def value_of(value: AnyValue) -> object:
    """Return an OTLP value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def attributes_of(span: Span) -> dict[str, object]:
    """Return a span's attributes."""
    return {each.key: value_of(each.value) for each in span.attributes}


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Listen until the block is left."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 - the server's name for it
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, text = receiver.take(body, dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


@contextmanager
def receiving_grpc() -> Iterator[Receiver]:
    """Listen for OTLP over gRPC until the block is left; `answer` tells HTTP's statuses too."""
    receiver = Receiver()

    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        status, text = receiver.take(body, headers)
        if status >= 300:
            told = "Received message larger than max" if status == 413 else str(status)
            context.abort(_CODES[status], told)
        return text

    method = grpc.unary_unary_rpc_method_handler(export)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"Export": method}),)
    )
    receiver.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait()
