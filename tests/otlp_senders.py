"""One way to send OTLP over each door, so that one battery can test them all."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio
import httpx
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.model import Stream
from tests.unit.decode.otlp.test_json import with_hex_ids

REQUESTS: Mapping[Stream, type[Any]] = {
    Stream.TRACE: ExportTraceServiceRequest,
    Stream.LOG: ExportLogsServiceRequest,
    Stream.METRIC: ExportMetricsServiceRequest,
}
_RESPONSES: Mapping[Stream, type[Any]] = {
    Stream.TRACE: ExportTraceServiceResponse,
    Stream.LOG: ExportLogsServiceResponse,
    Stream.METRIC: ExportMetricsServiceResponse,
}
_REJECTED = {
    Stream.TRACE: "rejected_spans",
    Stream.LOG: "rejected_log_records",
    Stream.METRIC: "rejected_data_points",
}
_PATHS = {Stream.TRACE: "traces", Stream.LOG: "logs", Stream.METRIC: "metrics"}
_METHODS = {
    Stream.TRACE: "trace.v1.TraceService",
    Stream.LOG: "logs.v1.LogsService",
    Stream.METRIC: "metrics.v1.MetricsService",
}


@dataclass(frozen=True)
class Answer:
    """
    What a sender was told, whatever the door.

    `code` is the gRPC code by name, "OK" on success; `retry_s` is there when it may try again.
    """

    code: str
    has_partial_success: bool = False
    rejected: int = 0
    message: str = ""
    retry_s: int | None = None
    violations: list[str] = field(default_factory=list)
    http_status: int = 200
    http_headers: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """Where to send to."""

    @property
    def url(self) -> str: ...
    @property
    def grpc_port(self) -> int: ...


class GrpcSender:
    """OTLP/gRPC."""

    name = "grpc"

    async def send(
        self,
        ingest: Target,
        body: bytes,
        signal: Stream = Stream.TRACE,
        *,
        is_gzip: bool = False,
        token: str = "",
        method: str = "",
    ) -> Answer:
        options = [("grpc.max_send_message_length", -1)]
        target = f"127.0.0.1:{ingest.grpc_port}"
        channel: Any
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            path = method or f"/opentelemetry.proto.collector.{_METHODS[signal]}/Export"
            call = channel.unary_unary(path)(
                body,
                metadata=(("authorization", f"Bearer {token}"),) if token else None,
                compression=grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression,
                timeout=30,
            )
            try:
                return read_response(signal, await call)
            except grpc.aio.AioRpcError as exc:
                return self._read_error(exc)

    @staticmethod
    def _read_error(exc: grpc.aio.AioRpcError) -> Answer:
        trailers: dict[str, Any] = dict(exc.trailing_metadata() or ())  # type: ignore[arg-type]
        detail = trailers.get("grpc-status-details-bin")
        status = Status.FromString(detail) if detail else Status(message=exc.details() or "")
        if detail:
            assert status.code == exc.code().value[0]
        return read_status(status, code=exc.code().name)


class HttpSender:
    """OTLP/HTTP with protobuf."""

    name = "http-protobuf"
    content_type = "application/x-protobuf"

    def encode(self, body: bytes, signal: Stream) -> bytes:
        return body

    async def send(
        self,
        ingest: Target,
        body: bytes,
        signal: Stream = Stream.TRACE,
        *,
        is_gzip: bool = False,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        path: str = "",
        method: str = "POST",
    ) -> Answer:
        content = self.encode(body, signal)
        sent = {"content-type": self.content_type}
        if is_gzip:
            content = gzip.compress(content)
            sent["content-encoding"] = "gzip"
        if token:
            sent["authorization"] = f"Bearer {token}"
        sent |= headers or {}
        url = f"{ingest.url}{path or f'/v1/{_PATHS[signal]}'}"
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.request(method, url, content=content, headers=sent)
        return self.read(response, signal)

    def read(self, response: httpx.Response, signal: Stream) -> Answer:
        assert response.headers["content-type"] == self.content_type
        if response.status_code == 200:
            return read_response(signal, response.content)
        status = Status.FromString(response.content)
        return self._with_http(read_status(status), response)

    @staticmethod
    def _with_http(answer: Answer, response: httpx.Response) -> Answer:
        if "retry-after" in response.headers:
            assert answer.retry_s == int(response.headers["retry-after"])
        return Answer(
            **{
                **vars(answer),
                "http_status": response.status_code,
                "http_headers": dict(response.headers),
            }
        )


class HttpJsonSender(HttpSender):
    """OTLP/HTTP with JSON. Bodies that are no request are sent as they are."""

    name = "http-json"
    content_type = "application/json"

    def encode(self, body: bytes, signal: Stream) -> bytes:
        try:
            document = MessageToDict(REQUESTS[signal].FromString(body))
        except Exception:
            return body
        return json.dumps(with_hex_ids(document)).encode()

    def read(self, response: httpx.Response, signal: Stream) -> Answer:
        assert response.headers["content-type"] == self.content_type
        document = response.json()
        if response.status_code != 200:
            status = Status(code=document["code"], message=document["message"])
            retry = [
                each["retryDelay"] for each in document.get("details", []) if "retryDelay" in each
            ]
            fields = [
                each["fieldViolations"][0]["field"]
                for each in document.get("details", [])
                if "fieldViolations" in each
            ]
            answer = read_status(status)
            return self._with_http(
                Answer(
                    code=answer.code,
                    message=answer.message,
                    retry_s=int(retry[0].rstrip("s")) if retry else None,
                    violations=fields,
                ),
                response,
            )
        partial = document.get("partialSuccess", {})
        rejected = next((value for key, value in partial.items() if key.startswith("rejected")), 0)
        return Answer(
            code="OK",
            has_partial_success=bool(partial),
            rejected=int(rejected),
            message=partial.get("errorMessage", ""),
        )


Sender = GrpcSender | HttpSender
SENDERS: tuple[Sender, ...] = (GrpcSender(), HttpSender(), HttpJsonSender())


def read_response(signal: Stream, content: bytes) -> Answer:
    """Read an Export response in protobuf."""
    response = _RESPONSES[signal].FromString(content)
    return Answer(
        code="OK",
        has_partial_success=response.HasField("partial_success"),
        rejected=getattr(response.partial_success, _REJECTED[signal]),
        message=response.partial_success.error_message,
    )


def read_status(status: Status, code: str = "") -> Answer:
    """Read a google.rpc.Status and the details this project sends."""
    retry_s = None
    violations: list[str] = []
    for detail in status.details:
        if detail.Is(RetryInfo.DESCRIPTOR):
            info = RetryInfo()
            detail.Unpack(info)
            retry_s = info.retry_delay.seconds
        if detail.Is(BadRequest.DESCRIPTOR):
            bad = BadRequest()
            detail.Unpack(bad)
            violations += [each.field for each in bad.field_violations]
    names = {each.value[0]: each.name for each in grpc.StatusCode}
    return Answer(
        code=code or names[status.code],
        message=status.message,
        retry_s=retry_s,
        violations=violations,
    )


async def send_raw(port: int, content: bytes) -> bytes:
    """Write bytes to a port and return everything that comes back until it closes or resets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    await writer.drain()
    async with asyncio.timeout(20):
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := await reader.read(65536):
                answer += chunk
    writer.close()
    return answer


async def send_slowly(port: int, opening: bytes, more: bytes = b"x") -> bytes:
    """
    Write *opening*, then *more* again and again until something comes back or the end does.

    Return what came back: it may be lost in the reset of the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(opening)
    reading = asyncio.create_task(reader.read(65536))
    async with asyncio.timeout(60):
        while not reading.done():
            writer.write(more)
            await asyncio.wait([reading], timeout=0.02)
    writer.close()
    return b"" if isinstance(reading.exception(), ConnectionError) else reading.result()
