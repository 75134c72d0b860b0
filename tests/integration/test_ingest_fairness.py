"""Senders that are silent, slow or many at once, and what others notice of them: real sockets."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import httpx
import pytest

from collector.decode.protobuf.split import write_field
from tests.ingest import make_request, make_span, open_ingest
from tests.ingest_process import IngestProcess, run_ingest_process
from tests.otlp_senders import GrpcSender, HttpSender

_MIB = 1 << 20
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[IngestProcess]:
    with run_ingest_process(tmp_path, max_inflight_bytes=str(8 * _MIB)) as started:
        yield started


def _call(channel: grpc.aio.Channel) -> "grpc.aio.StreamUnaryCall[bytes, bytes]":
    """Open a call and send nothing."""
    return channel.stream_unary(_EXPORT, bytes, bytes)(None)


@contextlib.asynccontextmanager
async def silent_calls(port: int, count: int) -> AsyncIterator[None]:
    """Open gRPC calls that never send their message."""
    channels: list[grpc.aio.Channel] = []
    calls: list[grpc.aio.StreamUnaryCall[bytes, bytes]] = []
    for number in range(0, count, 100):
        # an option of its own keeps a channel from sharing the connection of another
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("number", number)])
        channels.append(channel)
        calls += [_call(channel) for _ in range(100)]
        await calls[-1].wait_for_connection()
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        for call in calls:
            call.cancel()
        for channel in channels:
            await channel.close(None)


@contextlib.contextmanager
def unfinished_posts(port: int, count: int) -> Iterator[None]:
    """Open POSTs that announce a mebibyte and send ten bytes of it."""
    head = b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            opened.sendall(head + b"content-length: 1048576\r\n\r\n" + bytes(10))
        time.sleep(0.2)
        yield


async def test_silent_calls_cost_nobody_anything(ingest: IngestProcess) -> None:
    """While 300 gRPC calls and 300 POSTs do not go on, others are served at once."""
    async with silent_calls(ingest.grpc_port, 300):
        with unfinished_posts(ingest.http_port, 300):
            body = make_request(make_span(1))
            for sender in (GrpcSender(), HttpSender()):
                answer = await sender.send(ingest, body)
                assert answer.code == "OK", answer


async def test_a_call_that_says_nothing_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent calls are told why they end, also a later one, and what is sent between is taken."""
    monkeypatch.setattr("collector.receive.grpc._MESSAGE_WAIT_S", 0.5)
    async with (
        open_ingest(tmp_path) as ingest,
        grpc.aio.insecure_channel(f"127.0.0.1:{ingest.grpc_port}") as channel,
    ):
        for _ in range(2):
            silent = [_call(channel) for _ in range(3)]
            sent = await channel.unary_unary(_EXPORT, bytes, bytes)(make_request(make_span(1)))
            assert sent == b""
            for call in silent:
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert await call.details() == "no message arrived within 0.5 s"


async def test_large_bodies_do_not_refuse_each_other(ingest: IngestProcess) -> None:
    """Six bodies of 2 MiB at once, more than may be held, are all taken, one after the other."""
    span = make_span(1, attributes=[]).SerializeToString()
    large = write_field(1, write_field(2, write_field(2, span) * (2 * _MIB // len(span))))
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(*(
            client.post(
                f"{ingest.url}/v1/traces",
                content=_in_steps(large + make_request(make_span(number))),
                headers=_PROTOBUF,
            )
            for number in range(6)
        ))  # fmt: skip
    assert [answer.status_code for answer in answers] == [200] * 6


def test_line_without_an_end_is_cut_off(ingest: IngestProcess) -> None:
    """A header, a path or a trailer that never ends costs a connection, not memory."""
    before = ingest.resident_mib()
    for begin in (
        b"GET /healthz HTTP/1.1\r\nx: ",
        b"GET /",
        b"POST /v1/traces HTTP/1.1\r\ncontent-type: application/x-protobuf\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\nx: ",
    ):
        with (
            socket.create_connection(("127.0.0.1", ingest.http_port), timeout=20) as opened,
            pytest.raises(OSError, match="reset|Broken pipe"),
        ):
            opened.sendall(begin)
            for _ in range(1000):
                opened.sendall(b"a" * 65536)
    assert ingest.peak_mib() - before < 30


async def _in_steps(body: bytes) -> AsyncIterator[bytes]:
    # slow enough that all are under way at once
    for at in range(0, len(body), _MIB // 4):
        yield body[at : at + _MIB // 4]
        await asyncio.sleep(0.02)


async def test_full_journal_refuses_before_the_body(tmp_path: Path) -> None:
    """While the journal is full, the answer does not wait for the body; hints say when to come."""
    with run_ingest_process(tmp_path, journal_max_bytes="20000") as ingest:
        await _fill(ingest)
        for path, kind in (
            ("/v1/traces", "application/x-protobuf"),
            ("/v1/gateway/kong", "application/json"),
        ):
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n"
            with socket.create_connection(("127.0.0.1", ingest.http_port), timeout=10) as opened:
                opened.sendall(f"{head}content-length: 1000000\r\n\r\n".encode())
                answer = opened.recv(65536).lower()
                assert answer.startswith(b"http/1.1 503"), answer
                assert b"retry-after: 5" in answer
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ingest.grpc_port}") as channel:
            call = _call(channel)
            assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def _fill(ingest: IngestProcess) -> None:
    """Send ever smaller requests until none finds room."""
    for size in (2000, 1000, 500, 200, 50):
        number = 10
        while True:
            number += 1
            span = make_span(number, name="x" * size, attributes=[])
            if (await HttpSender().send(ingest, make_request(span))).code != "OK":
                break
