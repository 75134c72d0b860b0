"""
One battery over the doors of the protocols that are older than OTLP, with their own senders.

Real sockets, the real journal: what a door acknowledges is read back from the disk. What only some
protocols can promise is named at the test.
"""

import asyncio
import gzip
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from collector.clock import SystemClock
from collector.config import load_settings
from collector.errors import ConfigError
from collector.intake import build_intake
from collector.receive.serve import run_doors
from collector.receive.udp import UdpDoor, open_udp
from collector.telemetry import Metrics
from tests.ingest import journaled_bytes
from tests.jaeger_messages import proto_request, thrift_batch, written, written_call
from tests.manual_clock import ManualClock
from tests.mesh_doors import (
    NOW_NS,
    START_US,
    TRACE_ID,
    Doors,
    access_log,
    eventually,
    free_udp_pair,
    jaeger_spans,
    open_doors,
    post,
    post_spans,
    send_datagram,
    stream_logs,
    zipkin_body,
)
from tests.otlp_senders import send_slowly
from tests.service import free_ports

TOKEN = "let-me-in"


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    """Doors that ask for no token."""
    async with open_doors(tmp_path) as opened:
        yield opened


async def _send_zipkin_json(doors: Doors) -> None:
    await post(doors.zipkin, zipkin_body(), "application/json")


async def _send_zipkin_without_type(doors: Doors) -> None:
    await post(doors.zipkin, zipkin_body(), "")


async def _send_zipkin_gzip(doors: Doors) -> None:
    body = gzip.compress(zipkin_body())
    await post(doors.zipkin, body, "application/json; charset=utf-8", encoding="gzip")


async def _send_zipkin_protobuf(doors: Doors) -> None:
    # ListOfSpans{spans{trace_id, id, kind SERVER, name, timestamp}} written by hand
    span = b"\x0a\x10" + bytes.fromhex(TRACE_ID) + b"\x1a\x08" + bytes(7) + b"\x01"
    span += b"\x20\x02\x2a\x03get\x31" + START_US.to_bytes(8, "little")
    await post(doors.zipkin, b"\x0a" + bytes([len(span)]) + span, "application/x-protobuf")


async def _send_thrift_http(doors: Doors) -> None:
    body = written(thrift_batch(None, jaeger_spans()), "binary")
    await post(f"{doors.jaeger}?format=jaeger.thrift", body, "application/x-thrift")


async def _send_thrift_compact_http(doors: Doors) -> None:
    body = written(thrift_batch(None, jaeger_spans()), "compact")
    await post(doors.jaeger, body, "application/vnd.apache.thrift.compact")


async def _send_thrift_udp_compact(doors: Doors) -> None:
    send_datagram(doors.udp["compact"], thrift_batch(None, jaeger_spans()), "compact")
    await eventually(doors.spans)


async def _send_thrift_udp_binary(doors: Doors) -> None:
    send_datagram(doors.udp["binary"], thrift_batch(None, jaeger_spans()), "binary")
    await eventually(doors.spans)


async def _send_jaeger_grpc(doors: Doors) -> None:
    await post_spans(doors.grpc_port, proto_request(None, jaeger_spans()).SerializeToString())


async def _send_jaeger_grpc_gzip(doors: Doors) -> None:
    body = proto_request(None, jaeger_spans()).SerializeToString()
    await post_spans(doors.grpc_port, body, compression=grpc.Compression.Gzip)


SENDERS: dict[str, Callable[[Doors], Awaitable[None]]] = {
    "zipkin json": _send_zipkin_json,
    "zipkin without content type": _send_zipkin_without_type,
    "zipkin json gzip": _send_zipkin_gzip,
    "zipkin protobuf": _send_zipkin_protobuf,
    "jaeger thrift over http": _send_thrift_http,
    "jaeger compact thrift over http": _send_thrift_compact_http,
    "jaeger compact thrift over udp": _send_thrift_udp_compact,
    "jaeger binary thrift over udp": _send_thrift_udp_binary,
    "jaeger grpc": _send_jaeger_grpc,
    "jaeger grpc gzip": _send_jaeger_grpc_gzip,
}


@pytest.mark.parametrize("name", SENDERS)
async def test_the_same_span_over_every_protocol(name: str, doors: Doors) -> None:
    """Every protocol leaves the same span in the journal before it is acknowledged."""
    await SENDERS[name](doors)
    (span,) = doors.spans()
    assert span == {
        "trace_id": TRACE_ID,
        "span_id": "0000000000000001",
        "name": "get",
        "kind": 2,
        "start_ns": START_US * 1000,
        "end_ns": START_US * 1000,
    }


async def test_secrets_do_not_reach_the_disk_by_any_door(doors: Doors) -> None:
    """A token in a tag or a logged header is masked before the journal sees it."""
    secret = "Bearer abcdefSECRETghijkl"
    tags = {"http.request.header.authorization": secret}
    await post(doors.zipkin, zipkin_body(tags=tags), "application/json")
    spans = [{**jaeger_spans()[0], "tags": tags}]
    await post_spans(doors.grpc_port, proto_request(None, spans).SerializeToString())
    send_datagram(doors.udp["compact"], thrift_batch(None, spans), "compact")
    log = access_log("/a", "orders", {"authorization": secret})
    await stream_logs(doors.grpc_port, log)
    await eventually(lambda: len(doors.spans()) == 3 and len(doors.logs()) == 1)
    assert b"SECRET" not in journaled_bytes(doors.journal)
    kept = [each["attributes"]["http.request.header.authorization"] for each in doors.spans()]
    assert kept == ["[REDACTED]"] * 3


async def test_real_jaeger_client_over_udp(tmp_path: Path) -> None:
    """What jaeger-client reports arrives: ids of 128 bits, parents, tags, logs and process."""
    async with open_doors(tmp_path, SystemClock()) as doors:
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.jaeger_sender", str(doors.udp["compact"]), "10"
        )
        assert await sender.wait() == 0
        await eventually(lambda: len(doors.spans()) == 20)
        spans = {span["span_id"]: span for span in doors.spans()}
    calls = [span for span in spans.values() if span["name"] == "call stock"]
    assert len(calls) == 10
    for call in calls:
        parent = spans[call["parent_span_id"]]
        assert (parent["name"], parent["trace_id"]) == ("GET /cart", call["trace_id"])
        assert (parent["kind"], call["kind"], call["flags"]) == (2, 3, 1)
        assert call["resource"]["service.name"] == "legacy-cart"
        assert call["resource"]["region"] == "north"
        assert call["resource"]["host.name"] == socket.gethostname()
        assert call["resource"]["opencensus.exporterversion"].startswith("Jaeger-Python-")
        assert call.get("status", 0) == (0 if call["attributes"]["number"] % 2 else 2)
        assert call["events"][0]["name"] == "retry"
        assert call["events"][0]["attributes"] == {"attempt": 2}


HTTP_REFUSALS: list[tuple[str, str, dict[str, str], bytes, int]] = [
    ("zipkin", "", {"content-type": "application/json"}, b"{", 400),
    ("zipkin", "", {"content-type": "application/json"}, b'{"traceId":"1"}', 400),
    ("zipkin", "", {"content-type": "application/x-protobuf"}, zipkin_body(), 400),
    ("zipkin", "", {"content-type": "application/x-thrift"}, b"\x00", 415),
    ("zipkin", "", {"content-type": "text/plain"}, zipkin_body(), 415),
    (
        "zipkin",
        "",
        {"content-type": "application/json", "content-encoding": "br"},
        zipkin_body(),
        415,
    ),
    (
        "zipkin",
        "",
        {"content-type": "application/json", "content-encoding": "gzip"},
        zipkin_body(),
        400,
    ),
    ("zipkin", "x", {"content-type": "application/json"}, zipkin_body(), 404),
    ("jaeger", "", {"content-type": "application/x-thrift"}, zipkin_body(), 400),
    ("jaeger", "", {"content-type": "application/json"}, b"{}", 415),
    ("jaeger", "?format=zipkin.thrift", {"content-type": "application/x-thrift"}, b"\x00", 415),
    (
        "jaeger",
        "",
        {"content-type": "application/x-thrift"},
        b"\x0f\x00\x02\x0c\x7f\xff\xff\xff",
        400,
    ),
    ("jaeger", "", {"content-type": "application/x-thrift"}, b"\x0c\x00\x09" * 10_000, 400),
]


@pytest.mark.parametrize(("door", "suffix", "headers", "body", "status"), HTTP_REFUSALS)
async def test_http_refusals(
    doors: Doors, door: str, suffix: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """What cannot be read is refused with its status and a text, and without delay."""
    url = getattr(doors, door) + suffix
    started = time.perf_counter()
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, content=body, headers=headers)
    assert time.perf_counter() - started < 5
    assert (answer.status_code, bool(answer.text)) == (status, True)
    assert not doors.spans()
    assert doors.metrics.value("hopline_intake_envelopes_refused_total") == 1


async def test_get_is_not_how_spans_come(doors: Doors) -> None:
    """A person with a browser is told that the path takes POST."""
    async with httpx.AsyncClient() as client:
        for url in (doors.zipkin, doors.jaeger):
            answer = await client.get(url)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_too_large_body(tmp_path: Path) -> None:
    """A body above the cap, before or after inflation, is refused for good."""
    async with open_doors(tmp_path, max_body_bytes=4096) as doors, httpx.AsyncClient() as client:
        json_type = {"content-type": "application/json"}
        plain = await client.post(doors.zipkin, content=bytes(5000), headers=json_type)
        packed = await client.post(
            doors.zipkin,
            content=gzip.compress(bytes(1_000_000)),
            headers=json_type | {"content-encoding": "gzip"},
        )
    assert (plain.status_code, packed.status_code) == (413, 413)


@pytest.mark.parametrize("door", ["zipkin", "jaeger"])
async def test_body_that_comes_too_slowly_is_given_up(
    doors: Doors, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A little all the time is not enough: the request is refused with 408, and counted."""
    monkeypatch.setattr("collector.receive.body._READ_GRACE_S", 0.3)
    url = httpx.URL(getattr(doors, door))
    media = "application/json" if door == "zipkin" else "application/x-thrift"
    head = f"POST {url.path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media}\r\n"
    answer = await send_slowly(url.port or 0, f"{head}content-length: 9000\r\n\r\n".encode())
    assert answer[:13] in (b"", b"HTTP/1.1 408 ")
    assert doors.metrics.value("hopline_intake_envelopes_refused_total", reason="too_slow") == 1


async def test_partly_usable_batch_is_taken_and_the_rest_told(doors: Doors) -> None:
    """Rejected spans cost nobody else; the answer is 202 and says how many and why."""
    body = json.dumps([*json.loads(zipkin_body(count=3)), {"traceId": "no"}, {}]).encode()
    async with httpx.AsyncClient() as client:
        answer = await client.post(doors.zipkin, content=body)
    assert answer.status_code == 202
    assert "2 of 5 spans rejected, first at index 3" in answer.text
    assert len(doors.spans()) == 3
    rejected = doors.metrics.value(
        "hopline_intake_records_rejected_total", door="zipkin-http", reason="trace_id_malformed"
    )
    assert rejected == 2


async def test_tokens_are_asked_for_at_every_door_that_has_them(tmp_path: Path) -> None:
    """Without the token nothing is taken; with it, everything as usual."""
    async with open_doors(tmp_path, ingest_tokens=TOKEN) as doors:
        request = proto_request(None, jaeger_spans()).SerializeToString()
        thrift = written(thrift_batch(None, jaeger_spans()), "binary")
        async with httpx.AsyncClient() as client:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
                for url in (doors.zipkin, doors.jaeger):
                    answer = await client.post(url, content=b"x", headers=headers)
                    assert answer.status_code == 401
            for token in ("", "wrong"):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await post_spans(doors.grpc_port, request, token)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert not doors.spans()
            known = {"authorization": f"Bearer {TOKEN}"}
            for url, body in ((doors.zipkin, zipkin_body()), (doors.jaeger, thrift)):
                answer = await client.post(url, content=body, headers=known)
                assert answer.status_code == 202
            await post_spans(doors.grpc_port, request, TOKEN)
        assert len(doors.spans()) == 3


@pytest.mark.parametrize("place", ["setting", "file"])
async def test_udp_door_does_not_open_where_tokens_must_be_checked(
    tmp_path: Path, place: str
) -> None:
    """UDP has no place for a token, so it is not served beyond loopback beside doors that ask."""
    tokens = {"ingest_tokens": "a", "query_tokens": "b"}
    if place == "file":
        tokens = {"tokens_file": str(tmp_path / "tokens.toml")}
    settings = load_settings(data_dir=tmp_path, bind="0.0.0.0", **tokens)
    clock = ManualClock(NOW_NS)
    async with build_intake(settings, clock, Metrics()) as intake:
        context: Any = {"intake": intake, "settings": settings.receive(), "clock": clock}
        with pytest.raises(ConfigError, match="tokens"):
            async with open_udp("compact", 0, metrics=Metrics(), **context):
                pass


@pytest.mark.parametrize(
    "body",
    [b"[]", b"\x0a\xff", b"\x0a\x05hello", written(thrift_batch(None, jaeger_spans()), "binary")],
)
async def test_grpc_refusals(doors: Doors, body: bytes) -> None:
    """What is no PostSpansRequest is an invalid argument, which no sender repeats."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await post_spans(doors.grpc_port, body)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not doors.spans()


async def test_hostile_datagrams_cost_only_themselves(doors: Doors) -> None:
    """Empty, cut, foreign and bomb datagrams are counted as refused; the next span arrives."""
    good = written_call(thrift_batch(None, jaeger_spans()), "compact")
    huge_list, deep = b"\x29\xfc\xff\xff\xff\xff\x07", b"\x9c" * 9000
    bombs = [b"", good[:20], b"GET / HTTP/1.1\r\n\r\n", huge_list, deep]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in (*bombs, good):
            sender.sendto(datagram, ("127.0.0.1", doors.udp["compact"]))
    await eventually(doors.spans)
    refused = doors.metrics.value(
        "hopline_intake_envelopes_refused_total", door="jaeger-udp-compact"
    )
    assert refused == len(bombs)


async def test_flood_is_bounded_and_counted(doors: Doors) -> None:
    """Of a flood as much is kept as fits the queue; the rest is counted."""
    door = UdpDoor("compact", doors.intake, doors.metrics, ManualClock(NOW_NS))
    for number in range(3000):
        span = {**jaeger_spans()[0], "spanId": f"{number + 1:016x}"}
        door.datagram_received(written_call(thrift_batch(None, [span]), "compact"), ("::1", 1))
    dropped = doors.metrics.value("hopline_receive_datagrams_dropped_total")
    assert dropped == 2000
    workers = [asyncio.create_task(door.work()) for _ in range(8)]
    await door.drained()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert len(doors.spans()) == 1000


async def test_every_datagram_of_a_burst_is_kept_or_counted(doors: Doors) -> None:
    """What the queue and the system's buffer cannot hold is counted: nothing vanishes unseen."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(5000):
            span = {**jaeger_spans()[0], "spanId": f"{number + 1:016x}"}
            datagram = written_call(thrift_batch(None, [span]), "compact")
            sender.sendto(datagram, ("127.0.0.1", doors.udp["compact"]))
    value = doors.metrics.value

    def is_accounted_for() -> bool:
        taken = value("hopline_intake_records_accepted_total", door="jaeger-udp-compact")
        return taken + value("hopline_receive_datagrams_dropped_total") == 5000

    await eventually(is_accounted_for, 20)


async def test_datagrams_wait_for_a_full_journal_and_are_counted_at_the_end(tmp_path: Path) -> None:
    """While the disk is full datagrams wait; those that wait when the door closes are counted."""
    async with open_doors(tmp_path, journal_max_bytes=1024) as doors:
        spans = jaeger_spans(40)
        send_datagram(doors.udp["compact"], thrift_batch(None, spans), "compact")
        metrics = doors.metrics
        await eventually(
            lambda: metrics.value("hopline_intake_envelopes_refused_total", reason="journal")
        )
    assert metrics.value("hopline_receive_datagrams_dropped_total", reason="closing") == 1


async def test_access_log_stream_keeps_its_identifier(doors: Doors) -> None:
    """The proxy names itself once; every later message of its stream is still its own."""
    await asyncio.gather(
        stream_logs(
            doors.grpc_port,
            access_log("/a", "orders.depot"),
            b"nonsense",
            access_log("/b"),
            b"",
            access_log("/c"),
        ),
        stream_logs(doors.grpc_port, access_log("/d", "web.depot"), access_log("/e")),
    )
    await eventually(lambda: len(doors.logs()) == 5)
    owners = {log["attributes"]["path"]: log["resource"]["service.name"] for log in doors.logs()}
    assert owners == {
        "/a": "orders.depot",
        "/b": "orders.depot",
        "/c": "orders.depot",
        "/d": "web.depot",
        "/e": "web.depot",
    }
    refused = doors.metrics.value("hopline_intake_envelopes_refused_total", door="envoy-als")
    assert refused == 1


async def test_access_log_stream_needs_the_token(tmp_path: Path) -> None:
    """A proxy without the token is told so before anything is read."""
    async with open_doors(tmp_path, ingest_tokens=TOKEN) as doors:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stream_logs(doors.grpc_port, access_log("/a", "orders"))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await stream_logs(doors.grpc_port, access_log("/b", "orders"), token=TOKEN)
        await eventually(lambda: [log["attributes"]["path"] for log in doors.logs()] == ["/b"])


async def test_serving_opens_what_has_a_port(tmp_path: Path) -> None:
    """The ingest process serves each of the doors under the port of its setting."""
    ports = free_ports(5)
    names = ("otlp_grpc_port", "ingest_port", "zipkin_port", "jaeger_http_port", "jaeger_grpc_port")
    settings = load_settings(
        data_dir=tmp_path, jaeger_udp_port=free_udp_pair(), **dict(zip(names, ports, strict=True))
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    clock, metrics = ManualClock(NOW_NS), Metrics()
    async with build_intake(settings, clock, metrics) as intake:
        serving = asyncio.create_task(run_doors(settings, intake, metrics, stop, ready.set, clock))
        await asyncio.wait_for(ready.wait(), 10)
        grpc_port, _, zipkin_port, jaeger_port, jaeger_grpc_port = ports
        await post(f"http://127.0.0.1:{zipkin_port}/api/v2/spans", zipkin_body(), "")
        thrift = written(thrift_batch(None, jaeger_spans()), "binary")
        await post(f"http://127.0.0.1:{jaeger_port}/api/traces", thrift, "application/x-thrift")
        await post_spans(jaeger_grpc_port, proto_request(None, jaeger_spans()).SerializeToString())
        await stream_logs(grpc_port, access_log("/a", "orders"))
        for offset, protocol in enumerate(("compact", "binary")):
            batch = thrift_batch(None, jaeger_spans())
            send_datagram(settings.jaeger_udp_port + offset, batch, protocol)
        await eventually(lambda: metrics.value("hopline_intake_records_accepted_total") == 6)
        stop.set()
        await serving
