"""Hostile and broken requests to the ingest port: refused, counted, and nobody else suffers."""

import asyncio
import gzip
import io
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import cramjam
import grpc
import httpx
import lz4.frame
import pytest
import zstandard

from collector.decode.protobuf.split import write_field
from collector.http import grpc_server
from collector.model import Stream
from tests.ingest import (
    Ingest,
    journaled_items,
    make_request,
    make_span,
    open_ingest,
)
from tests.otlp_senders import GrpcSender, HttpJsonSender, HttpSender, send_raw, send_slowly

MIB = 1024 * 1024
BODY = make_request(make_span(1))


@pytest.fixture
async def ingest(tmp_path: Path) -> AsyncIterator[Ingest]:
    async with open_ingest(tmp_path) as opened:
        yield opened


def refused(ingest: Ingest, reason: str) -> float:
    return ingest.metrics.value("hopline_intake_envelopes_refused_total", reason=reason)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def zstd_stream(body: bytes) -> bytes:
    """Return a frame that does not announce its size, as streaming encoders write it."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(body)
    return out.getvalue()


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:40]) + gzip.compress(BODY[40:])),
        ("GZIP", gzip.compress(BODY) + bytes(5)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("zstd", zstandard.compress(BODY)),
        ("zstd", zstd_stream(BODY)),
        ("lz4", lz4.frame.compress(BODY)),
        ("lz4", lz4.frame.compress(BODY[:40]) + lz4.frame.compress(BODY[40:], store_size=False)),
        ("snappy", bytes(cramjam.snappy.compress_raw(BODY))),
        ("snappy", bytes(cramjam.snappy.compress(BODY))),
        ("x-snappy-framed", bytes(cramjam.snappy.compress(BODY)) + b"\xfe\2\0\0\0\0"),
        ("identity", BODY),
        ("", BODY),
    ],
)
async def test_encodings(ingest: Ingest, encoding: str, content: bytes) -> None:
    """gzip, deflate, zstd, lz4 and snappy are read in every format that bears their name."""
    answer = await HttpSender().send(ingest, content, headers={"content-encoding": encoding})
    assert answer.code == "OK"
    assert journaled_items(ingest.journal, Stream.TRACE) == [make_span(1)]


@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "zstd", "lz4", "snappy", "x-snappy-framed"]
)
@pytest.mark.parametrize("damage", ["cut", "noise", "other"])
async def test_damaged_compression_is_undecodable(
    ingest: Ingest, encoding: str, damage: str
) -> None:
    """A compressed body that is cut off, damaged or of another kind is 400, not 500."""
    packed = {
        "gzip": gzip.compress(BODY),
        "deflate": zlib.compress(BODY),
        "zstd": zstandard.compress(BODY),
        "lz4": lz4.frame.compress(BODY, content_checksum=True),
        # without a checksum, so that only its signs can be damaged
        "snappy": bytes(cramjam.snappy.compress_raw(bytes(4000) + BODY)),
        "x-snappy-framed": bytes(cramjam.snappy.compress(BODY)),
    }[encoding]
    content = {
        "cut": packed[:-9],
        "noise": packed[:12] + b"\xff\x00\xff\x55" + packed[16:],
        "other": b"hello, this is not compressed at all",
    }[damage]
    answer = await HttpSender().send(ingest, content, headers={"content-encoding": encoding})
    assert (answer.http_status, answer.code) == (400, "INVALID_ARGUMENT")
    assert refused(ingest, "undecodable") == 1


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "compress", "a" * 5000])
async def test_unknown_encoding(ingest: Ingest, encoding: str) -> None:
    """Encodings that are not read are 415, with the known ones in the text."""
    answer = await HttpSender().send(ingest, BODY, headers={"content-encoding": encoding})
    assert answer.http_status == 415
    assert "zstd, lz4" in answer.message
    assert len(answer.message) < 300
    assert refused(ingest, "unsupported_format") == 1


@pytest.mark.parametrize("encoding", ["zstd", "snappy"])
async def test_grpc_knows_gzip_and_deflate_only(ingest: Ingest, encoding: str) -> None:
    """Another grpc-encoding is a final error of the library, counted, and costs others nothing."""
    frame = b"\1" + len(BODY).to_bytes(4) + BODY
    headers = {"content-type": "application/grpc", "te": "trailers", "grpc-encoding": encoding}
    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        url = f"http://127.0.0.1:{ingest.grpc_port}{path}"
        answer = await client.post(url, content=frame, headers=headers)
    assert answer.headers["grpc-status"] == str(grpc.StatusCode.INTERNAL.value[0])
    assert "grpc-encoding" in answer.headers["grpc-message"]
    async with asyncio.timeout(30):
        while not refused(ingest, "undecodable"):
            await asyncio.sleep(0.01)
    assert (await GrpcSender().send(ingest, BODY)).code == "OK"
    assert len(journaled_items(ingest.journal, Stream.TRACE)) == 1


async def test_grpc_connection_that_says_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever connects to the gRPC port and sends nothing does not stay."""
    monkeypatch.setattr(grpc_server, "_HANDSHAKE_MS", 300)
    async with open_ingest(tmp_path) as ingest, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.grpc_port)
        await reader.read()  # until the end
        writer.close()


@pytest.mark.parametrize("content_type", ["", "text/xml", "application/grpc", "application/x-www"])
async def test_unknown_content_type(ingest: Ingest, content_type: str) -> None:
    """Other content types are 415."""
    answer = await HttpJsonSender().send(ingest, BODY, headers={"content-type": content_type})
    assert answer.http_status == 415
    assert refused(ingest, "unsupported_format") == 1


async def test_announced_size_above_the_cap_is_refused_unread(tmp_path: Path) -> None:
    """A Content-Length above the cap is answered before a byte of the body is there."""
    async with open_ingest(tmp_path, max_body_bytes=1024) as ingest:
        answer = await send_raw(
            ingest.http_port,
            b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
            b"content-length: 99999999999\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert refused(ingest, "too_large") == 1


async def test_chunked_body_above_the_cap(tmp_path: Path) -> None:
    """A body without announced size is cut off at the cap."""
    async with open_ingest(tmp_path, max_body_bytes=100_000) as ingest:

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b"x" * 10_000

        async with httpx.AsyncClient() as client:
            try:
                response = await client.post(
                    f"{ingest.url}/v1/traces",
                    content=endless(),
                    headers={"content-type": "application/x-protobuf"},
                )
                assert response.status_code == 413
            except (httpx.WriteError, httpx.ReadError):
                pass  # the answer was sent and the connection closed while we still wrote
        assert refused(ingest, "too_large") == 1


@pytest.mark.parametrize("signal", [Stream.LOG, Stream.METRIC])
async def test_bytes_that_are_no_request_of_the_signal(ingest: Ingest, signal: Stream) -> None:
    """Groups, nesting without end, wrong types and lengths: refused for good, by both doors."""
    nested = b""
    for _ in range(10_000):
        nested = write_field(5, write_field(1, nested))
    item = write_field(5, nested) if signal is Stream.LOG else write_field(12, nested)
    item += b"\xff" if signal is Stream.METRIC else b""
    hostile = (
        b"\x0b" * MIB,
        b"\x1b" * 100_000 + b"\x1c" * 100_000,
        write_field(1, write_field(2, write_field(2, item))),
        b"\x0e\x01",
        b"\x0a\xff\xff\xff\xff\x07",
        b"\x0a" + b"\xff" * 9 + b"\x01",
        b"\x0a\x02\x12\x7f",
    )
    for sender in (HttpSender(), GrpcSender()):
        for body in hostile:
            answer = await sender.send(ingest, body, signal)
            assert (answer.code, answer.retry_s) == ("INVALID_ARGUMENT", None), body[:20]
    assert refused(ingest, "undecodable") == 2 * len(hostile)
    assert (await HttpSender().send(ingest, BODY)).code == "OK"


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/gateway/kong"])
async def test_body_that_comes_too_slowly_is_given_up(
    ingest: Ingest, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A little all the time is not enough: the request is refused with 408, and counted."""
    monkeypatch.setattr("collector.receive.body._READ_GRACE_S", 0.3)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    answer = await send_slowly(ingest.http_port, f"{head}content-length: 9000\r\n\r\n".encode())
    assert answer[:13] in (b"", b"HTTP/1.1 408 ")
    assert refused(ingest, "too_slow") == 1


async def test_sender_that_goes_away(ingest: Ingest) -> None:
    """A connection that closes in the middle of a body stores nothing and is counted."""
    _, writer = await asyncio.open_connection("127.0.0.1", ingest.http_port)
    writer.write(
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
        b"content-length: 1000\r\n\r\nabc"
    )
    await writer.drain()
    writer.close()
    async with asyncio.timeout(30):
        while not refused(ingest, "undecodable"):
            await asyncio.sleep(0.01)
    assert journaled_items(ingest.journal, Stream.TRACE) == []


@pytest.mark.parametrize(
    "head",
    [
        b"x-pad: " + b"a" * 200_000,
        b"\r\n".join(b"x-%d: 1" % number for number in range(1000)),
    ],
)
async def test_endless_headers_end_the_connection(ingest: Ingest, head: bytes) -> None:
    """Headers beyond 64 KiB or 200 in number are refused, whatever they are."""
    answer = await send_raw(
        ingest.http_port, b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_endless_url_ends_the_connection(ingest: Ingest) -> None:
    """So is a target beyond 64 KiB; the answer may be lost in the reset of the connection."""
    answer = await send_raw(
        ingest.http_port, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


async def test_memory_limit_refuses_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When slow bodies hold what a sender may, its others are told to come back, and later can."""
    monkeypatch.setattr("collector.receive.body._CLAIM_WAIT_S", 0.2)
    async with open_ingest(tmp_path, max_inflight_bytes=2 * MIB) as ingest:
        slow = []
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", ingest.http_port)
            writer.write(
                b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n"
                b"content-type: application/x-protobuf\r\ncontent-length: 1048576\r\n\r\n"
                + bytes(1048575)
            )
            slow.append(writer)
        async with asyncio.timeout(30):
            while ingest.metrics.value("hopline_receive_inflight_bytes") < MIB - 100_000:
                await asyncio.sleep(0.01)
        for sender in (HttpSender(), GrpcSender()):
            answer = await sender.send(ingest, bytes(200_000))
            assert (answer.code, answer.retry_s) == ("UNAVAILABLE", 2)
        for writer in slow:
            writer.close()
        async with asyncio.timeout(30):
            while ingest.metrics.value("hopline_receive_inflight_bytes"):
                await asyncio.sleep(0.01)
        assert (await HttpSender().send(ingest, BODY)).code == "OK"


async def test_bad_request_does_not_disturb_the_next(ingest: Ingest) -> None:
    """On one connection a refused request is followed by a good one."""
    async with httpx.AsyncClient(headers={"content-type": "application/x-protobuf"}) as client:
        url = f"{ingest.url}/v1/traces"
        statuses = [
            (await client.post(url, content=content)).status_code
            for content in (b"\xff\xff", BODY, b"\xfe", make_request(make_span(2)))
        ]
    assert statuses == [400, 200, 400, 200]
    assert journaled_items(ingest.journal, Stream.TRACE) == [make_span(1), make_span(2)]


async def test_unauthenticated_body_is_not_read(tmp_path: Path) -> None:
    """Without a token the answer comes before the body, so a bomb is never unpacked."""
    async with open_ingest(tmp_path, ingest_tokens="right") as ingest:
        answer = await send_raw(
            ingest.http_port,
            b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
            b"content-encoding: gzip\r\ncontent-length: 60000000\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate: Bearer" in answer


async def test_health_and_metrics_need_no_token(tmp_path: Path) -> None:
    """Probes work without a token and tell no data."""
    async with open_ingest(tmp_path, ingest_tokens="right") as ingest:
        await HttpSender().send(ingest, BODY, token="right")
        async with httpx.AsyncClient(base_url=ingest.url) as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            ready = await client.get("/readyz")
            assert ready.json() == {"status": "ok", "components": {"journal": {"status": "ok"}}}
            metrics = (await client.get("/metrics")).text
        expected = 'hopline_intake_records_accepted_total{door="otlp-http",stream="trace"} 1'
        assert expected in metrics


async def test_not_ready_when_the_journal_is_full(tmp_path: Path) -> None:
    """/readyz turns 503 with the reason when nothing can be accepted."""
    async with open_ingest(tmp_path, journal_max_bytes=10_000) as ingest:
        for number in range(40):
            await HttpSender().send(ingest, make_request(make_span(number, name="x" * 120)))
        async with httpx.AsyncClient(base_url=ingest.url) as client:
            ready = await client.get("/readyz")
            assert (await client.get("/healthz")).status_code == 200
        assert ready.status_code == 503
        assert "journal holds" in ready.json()["components"]["journal"]["reason"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_door"),
        ("POST", "/healthz", 405, "wrong_method"),
        ("GET", "/v1/gateway/kong", 405, "wrong_method"),
        ("POST", "/v1/gateway/nobody", 404, "unknown_door"),
        ("GET", "/docs", 404, "unknown_door"),
    ],
)
async def test_errors_elsewhere_have_one_shape(
    ingest: Ingest, method: str, path: str, status: int, code: str
) -> None:
    """Outside OTLP an error is {"error": {code, message, hint}}."""
    async with httpx.AsyncClient(base_url=ingest.url) as client:
        response = await client.request(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"code", "message", "hint"}
    assert response.json()["error"]["code"] == code


async def test_counters_are_not_shown_to_strangers_where_readers_sign_in(tmp_path: Path) -> None:
    """With an issuer and no read token this port can ask nobody who they are, and shows nothing."""
    people = {"oidc_issuer": "https://people.example", "oidc_audience": "hopline"}
    async with open_ingest(tmp_path, None, **people) as ingest, httpx.AsyncClient() as client:
        answer = await client.get(f"{ingest.url}/metrics")
    assert answer.status_code == 401
    assert "HOPLINE_QUERY_TOKENS" in answer.json()["error"]["hint"]
