"""The doors of the protocols older than OTLP, open on ports of their own, and senders for them."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import httpx

from collector.clock import Clock
from collector.config import load_settings
from collector.http.asgi import Receive, Scope, Send
from collector.http.server import open_http_server
from collector.intake import Intake, build_intake
from collector.model import Stream
from collector.receive.als import METHOD as ALS_METHOD
from collector.receive.als import AccessLogDoor
from collector.receive.doorway import Doorway
from collector.receive.grpc import GrpcDoor, open_grpc
from collector.receive.jaeger import GRPC_METHODS
from collector.receive.jaeger import HTTP_ROUTE as JAEGER_ROUTE
from collector.receive.span_http import SpanHttp
from collector.receive.udp import open_udp
from collector.receive.zipkin import ROUTE as ZIPKIN_ROUTE
from collector.telemetry import Metrics
from collector.wire import envoy_als_pb2 as als
from tests.flat_spans import flat_logs, flat_spans
from tests.ingest import journaled_messages
from tests.jaeger_messages import written_call
from tests.manual_clock import ManualClock

NOW_NS = 1_767_348_060_000_000_000
START_US = 1_767_348_001_000_000
TRACE_ID = "8d0f2b64c7a19e35d2846b0fe1937ac5"
POST_SPANS = next(iter(GRPC_METHODS))


@dataclass(frozen=True)
class Doors:
    """The legacy doors over one intake, open on ports of their own."""

    intake: Intake
    metrics: Metrics
    journal: Path
    zipkin: str
    jaeger: str
    grpc_port: int
    udp: dict[str, int]

    def spans(self) -> list[dict[str, Any]]:
        """Return what the journal holds; empty before the first message."""
        if not (self.journal / Stream.TRACE).exists():
            return []
        return flat_spans(*journaled_messages(self.journal, Stream.TRACE))

    def logs(self) -> list[dict[str, Any]]:
        """Return the log records in the journal; empty before the first message."""
        if not (self.journal / Stream.LOG).exists():
            return []
        return flat_logs(*journaled_messages(self.journal, Stream.LOG))


@contextlib.asynccontextmanager
async def open_doors(
    folder: Path, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Doors]:
    """Open all of them; the HTTP ones share a server, which takes time to stop."""
    clock = clock or ManualClock(NOW_NS)
    loaded = load_settings(data_dir=folder, flush_interval_ms=60_000, **settings)
    receive, metrics = loaded.receive(), Metrics()
    async with contextlib.AsyncExitStack() as stack:
        intake = await stack.enter_async_context(build_intake(loaded, clock, metrics))
        doorway = Doorway.of(receive, intake, metrics, clock)
        handlers = [GrpcDoor(GRPC_METHODS, doorway), AccessLogDoor(doorway)]
        grpc_port = await stack.enter_async_context(open_grpc(receive, 0, handlers, drain_s=1))
        apps = {route.path: SpanHttp(route, doorway) for route in (ZIPKIN_ROUTE, JAEGER_ROUTE)}

        async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
            is_jaeger = scope["path"].startswith(JAEGER_ROUTE.path)
            await apps[(JAEGER_ROUTE if is_jaeger else ZIPKIN_ROUTE).path](scope, receive, send)

        port = await stack.enter_async_context(open_http_server(dispatch, "127.0.0.1", 0))
        agent = partial(open_udp, intake=intake, settings=receive, metrics=metrics, clock=clock)
        udp = {
            name: await stack.enter_async_context(agent(name, 0)) for name in ("compact", "binary")
        }
        yield Doors(
            intake,
            metrics,
            loaded.journal().directory,
            f"http://127.0.0.1:{port}{ZIPKIN_ROUTE.path}",
            f"http://127.0.0.1:{port}{JAEGER_ROUTE.path}",
            grpc_port,
            udp,
        )


def zipkin_body(*, count: int = 1, **fields: Any) -> bytes:
    """Return a Zipkin JSON body of *count* spans."""
    span = {"traceId": TRACE_ID, "name": "get", "timestamp": START_US, "kind": "SERVER", **fields}
    return json.dumps([{"id": f"{n + 1:x}", **span} for n in range(count)]).encode()


def jaeger_spans(count: int = 1) -> list[dict[str, Any]]:
    """Return Jaeger spans as the helpers spell them."""
    return [
        {
            "traceId": TRACE_ID,
            "spanId": f"{n + 1:016x}",
            "operationName": "get",
            "startTime": START_US,
            "tags": {"span.kind": "server"},
        }
        for n in range(count)
    ]


async def eventually(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    """Wait until *condition* holds; UDP and streams have no answer to wait for."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


async def post(url: str, body: bytes, content_type: str, encoding: str = "") -> None:
    """Post spans and expect the plain answer of success."""
    headers = {"content-type": content_type, "content-encoding": encoding}
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            url, content=body, headers={name: value for name, value in headers.items() if value}
        )
    assert (answer.status_code, answer.content) == (202, b"")


def send_datagram(port: int, batch: Any, protocol: str) -> None:
    """Send an emitBatch call to an agent's port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(written_call(batch, protocol), ("127.0.0.1", port))


async def post_spans(port: int, body: bytes, token: str = "", **options: Any) -> bytes:
    """Call PostSpans with these bytes."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(POST_SPANS, None, None)
        answer: bytes = await call(body, metadata=metadata, **options)
        return answer


async def stream_logs(port: int, *messages: bytes, token: str = "") -> None:
    """Send messages over one access log stream and end it."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def sent() -> AsyncIterator[bytes]:
        for message in messages:
            yield message

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.stream_unary(ALS_METHOD, None, None)
        await call(sent(), metadata=metadata)


def access_log(path: str, cluster: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    """Return an access log message of one entry; with *cluster* it names its proxy."""
    message = als.StreamAccessLogsMessage()
    if cluster:
        message.identifier.node.cluster = cluster.encode()
        message.identifier.log_name = b"mesh"
    entry = message.http_logs.log_entry.add()
    entry.common_properties.start_time.seconds = START_US // 1_000_000
    entry.common_properties.upstream_cluster = b"outbound|80||stock.depot.svc.cluster.local"
    entry.request.path = path.encode()
    for name, value in (headers or {}).items():
        entry.request.request_headers.add(key=name.encode(), value=value.encode())
    return message.SerializeToString()


def free_udp_pair() -> int:
    """Return a port that is free for UDP together with the one above."""
    for _ in range(50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
        ):
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two neighbouring ports are free")
