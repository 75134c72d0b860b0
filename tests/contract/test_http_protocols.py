"""What must not cost a body: offers of other protocols, HTTP/2, short bodies, cut connections."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import TooSlow, Undecodable
from collector.http import http2, protocol, server
from collector.http.asgi import Receive, Scope, Send, TimelyBody, send_answer
from collector.http.server import open_http_server
from collector.model import Stream
from collector.receive.body import Admission, read_body
from collector.telemetry import Metrics
from tests.ingest import Ingest, journaled_items, make_request, make_span, open_ingest
from tests.mesh_doors import open_doors, zipkin_body
from tests.otlp_senders import send_slowly

_OFFERS = {
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "h2c-keep-alive": "Connection: keep-alive, Upgrade,HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAMAAABk\r\n",
    "websocket": "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: MTIz\r\n",
    "tls": "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n",
}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with method, path, upgrade headers left over, and the body."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    left = [name for name, _ in scope["headers"] if name in (b"upgrade", b"http2-settings")]
    head = f"{scope['method']} {scope['path']} {left} ".encode()
    await send_answer(send, 200, head + body, b"text/plain", [(b"connection", b"keep-alive")])


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve `echo`."""
    async with open_http_server(echo, "127.0.0.1", 0) as port:
        yield port


async def exchange(port: int, *pieces: bytes, answers: int = 1) -> list[bytes]:
    """Send pieces one segment each, and return the bodies of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    bodies = []
    async with asyncio.timeout(30):
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            bodies.append(await reader.readexactly(length))
    writer.close()
    return bodies


@pytest.mark.parametrize("offer", _OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_upgrade_that_is_not_taken_is_ignored(port: int, offer: str, framing: str) -> None:
    """A request that offers another protocol is answered as one that does not, body and all."""
    body = b"spans " * 5000
    head = f"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\n{_OFFERS[offer]}"
    if framing == "length":
        raw = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    else:
        half = len(body) // 2
        raw = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
        for part in (body[:half], body[half:], b""):
            raw += b"%x\r\n%b\r\n" % (len(part), part)
    following = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
    whole = await exchange(port, raw + following, answers=2)
    pieces = await exchange(port, raw[:40], raw[40:180], raw[180:], following, answers=2)
    assert whole == pieces == [b"POST /a b [] " + body, b"GET /next [] "]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 420), max_size=6), repeats=st.integers(1, 3))
async def test_offers_cut_anywhere_keep_their_bodies(
    port: int, cuts: list[int], repeats: int
) -> None:
    """Wherever the segments end, each of several offers on one connection keeps its body."""
    head = f"POST /p HTTP/1.1\r\nHost: x\r\n{_OFFERS['h2c']}Content-Length: 5\r\n\r\n"
    raw = b"".join(head.encode() + b"body%d" % n for n in range(repeats))
    edges = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    pieces = [raw[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    answers = await exchange(port, *pieces, answers=repeats)
    assert answers == [b"POST /p [] body%d" % n for n in range(repeats)]


async def test_http2_with_prior_knowledge(port: int) -> None:
    """A client that speaks HTTP/2 from the first byte is served, many streams at once."""
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        url = f"http://127.0.0.1:{port}"
        bodies = [bytes([n]) * (n * 3000) for n in range(60)]
        answers = await asyncio.gather(
            *(client.post(f"{url}/v1/{n}?q=1", content=body) for n, body in enumerate(bodies))
        )
    assert {answer.http_version for answer in answers} == {"HTTP/2"}
    assert [answer.content for answer in answers] == [
        b"POST /v1/%d [] " % n + body for n, body in enumerate(bodies)
    ]


async def test_http2_answer_larger_than_every_window(port: int) -> None:
    """An answer of many windows arrives whole: it is sent as the reader makes room."""
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        body = b"0123456789abcdef" * 500_000
        answer = await client.post(f"http://127.0.0.1:{port}/large", content=body)
    assert answer.content == b"POST /large [] " + body


async def test_http2_refusal_before_the_body_leaves_the_connection() -> None:
    """A stream that is refused early costs the other streams of its connection nothing."""

    async def refuse_large(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/large":
            await send_answer(send, 503, b"later", b"text/plain", [(b"connection", b"close")])
        else:
            await echo(scope, receive, send)

    async with open_http_server(refuse_large, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = h2.connection.H2Connection(h2.config.H2Configuration())
        client.initiate_connection()
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x")]
        client.send_headers(1, [*fields, (":path", "/large")])
        client.send_headers(3, [*fields, (":path", "/small")])
        client.send_data(1, b"x" * 10_000)
        writer.write(client.data_to_send())
        client.send_data(1, b"x" * 10_000)  # the answer to it is on its way
        client.send_data(3, b"body", end_stream=True)
        writer.write(client.data_to_send())
        seen: list[h2.events.Event] = []
        async with asyncio.timeout(30):
            while not any(getattr(e, "data", b"").endswith(b"body") for e in seen):
                seen += client.receive_data(await reader.read(65_536))
        status = {
            e.stream_id: dict(e.headers or ())[b":status"]
            for e in seen
            if isinstance(e, h2.events.ResponseReceived)
        }
        assert status == {1: b"503", 3: b"200"}
        writer.close()


@pytest.mark.parametrize("option", ["--http1.1", "--http2", "--http2-prior-knowledge"])
async def test_curl(port: int, option: str, tmp_path: Path) -> None:
    """curl's body arrives whichever HTTP it speaks, also when it asks before it sends."""
    body = tmp_path / "body"
    body.write_bytes(b"z" * 2_000_000)
    command = ["curl", "-sS", option, "--data-binary", f"@{body}", f"http://127.0.0.1:{port}/c"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert output == b"POST /c [] " + body.read_bytes()


@pytest.mark.parametrize("offer", _OFFERS)
async def test_otlp_offer_is_stored(tmp_path: Path, offer: str) -> None:
    """Spans in a request that offers an upgrade are acknowledged and in the journal."""
    async with open_ingest(tmp_path) as ingest:
        raw = _post(make_request(make_span(1)), _OFFERS[offer])
        assert await exchange(ingest.http_port, raw) == [b""]
        assert len(journaled_items(ingest.journal, Stream.TRACE)) == 1


async def test_zipkin_offer_is_stored(tmp_path: Path) -> None:
    """Spring Boot's reporter offers an upgrade to the Zipkin port; its spans are stored."""
    async with open_doors(tmp_path) as doors:
        url = httpx.URL(doors.zipkin)
        raw = _post(zipkin_body(count=3), _OFFERS["h2c"], url.path, "application/json")
        assert url.port is not None
        assert await exchange(url.port, raw) == [b""]
        assert len(doors.spans()) == 3


async def test_every_door_takes_http2(tmp_path: Path) -> None:
    """OTLP and Zipkin take spans over HTTP/2 with prior knowledge."""
    headers = {"content-type": "application/x-protobuf"}
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        async with open_ingest(tmp_path / "otlp") as ingest:
            body = make_request(make_span(1))
            answer = await client.post(f"{ingest.url}/v1/traces", content=body, headers=headers)
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
            assert len(journaled_items(ingest.journal, Stream.TRACE)) == 1
            refused = await client.post(f"{ingest.url}/v1/traces", content=b"?", headers=headers)
            assert refused.status_code == 400
        async with open_doors(tmp_path / "zipkin") as doors:
            answer = await client.post(doors.zipkin, content=zipkin_body())
            assert (answer.status_code, len(doors.spans())) == (202, 1)


@pytest.mark.parametrize("announced", [1, 5, 70_000])
async def test_body_that_is_short_is_never_a_success(announced: int) -> None:
    """Whatever server or proxy lost it: a body shorter than announced is refused."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    claim = Admission(1 << 20, Metrics()).claim(announced)
    async with claim:
        with pytest.raises(Undecodable, match=f"{announced} bytes were announced and 0 arrived"):
            await read_body(receive, claim, announced, 1 << 20)


async def test_connection_that_ends_within_the_body(tmp_path: Path) -> None:
    """A sender that goes away before the end of its body leaves nothing behind."""
    async with open_ingest(tmp_path) as ingest:
        body = make_request(make_span(1))
        await _send_and_leave(ingest, _post(body, "")[:-1])
        await _send_and_leave(ingest, _post(body, _OFFERS["h2c"])[:-1])
        assert await exchange(ingest.http_port, _post(make_request(make_span(2)), "")) == [b""]
        (span,) = journaled_items(ingest.journal, Stream.TRACE)
        assert span.name == "GET /parts/2"


async def test_connect_is_refused(port: int) -> None:
    """CONNECT, which is an upgrade by itself, is refused and the server goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == [b"GET / [] "]


def _post(
    body: bytes, offer: str, path: str = "/v1/traces", kind: str = "application/x-protobuf"
) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{offer}Content-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _send_and_leave(ingest: Ingest, raw: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", ingest.http_port)
    writer.write(raw)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_requests_behind_each_other_are_answered_in_their_order(port: int) -> None:
    """A hundred requests that were sent before the first answer all get theirs."""
    sent = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(100))
    answers = await exchange(port, sent, answers=100)
    assert answers == [b"GET /%d [] " % number for number in range(100)]


async def test_endless_requests_before_the_first_answer_end_the_connection() -> None:
    """Who goes on sending requests and reads no answer is cut off after some hundred of them."""
    asked = 0

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        await send_answer(send, 200, b"x", b"text/plain", [])

    async with open_http_server(count, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 5_000)
                    await writer.drain()
        writer.close()
    assert asked < 1_000


async def test_client_that_leaves_with_a_request_waiting_behind_the_one_that_is_answered() -> None:
    """The request under way is told that nobody is there any more, though it was not the last."""
    is_told = asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        is_told.set()

    async with open_http_server(wait, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
        await reader.readuntil(b"first")
        writer.close()
        async with asyncio.timeout(10):
            await is_told.wait()


async def test_pings_whose_answers_nobody_reads_end_the_connection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledgements do not heap up for a client that only sends."""
    monkeypatch.setattr(http2, "_MAX_UNREAD_BYTES", 100_000)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    settings_frame, ping = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([0, 0, 8, 6]) + bytes(13)
    async with asyncio.timeout(30):
        await loop.sock_sendall(client, http2.PREFACE + settings_frame)
        with pytest.raises(ConnectionError):
            while True:
                await loop.sock_sendall(client, ping * 4_000)
    client.close()


@pytest.mark.parametrize(
    "opening", [b"", b"GET / HTTP/1.1\r\nhost: x\r\nx-pad: ", http2.PREFACE[:9]]
)
async def test_head_that_comes_too_slowly_ends_the_connection(
    port: int, monkeypatch: pytest.MonkeyPatch, opening: bytes
) -> None:
    """Who connects has to ask for something within a time, however much comes of it in between."""
    monkeypatch.setattr(protocol, "_HEAD_WAIT_S", 0.3)
    assert await send_slowly(port, opening, b"a" if opening[-1:] == b" " else b"") == b""


async def test_question_whose_body_comes_too_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ports of questions wait for a body for a time, and not for each of its bytes."""
    monkeypatch.setattr("collector.http.asgi._BODY_WAIT_S", 0.3)
    refusals = []

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, TimelyBody(receive), send)
        except TooSlow as error:
            refusals.append(error.code)
            closing = [(b"connection", b"close")]
            await send_answer(send, error.http_status, b"", b"text/plain", closing)

    async with open_http_server(ask, "127.0.0.1", 0) as port:
        head = b"POST /changes HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n"
        assert (await send_slowly(port, head))[:13] in (b"", b"HTTP/1.1 408 ")
    assert refusals == ["too_slow"]


@pytest.mark.parametrize("is_reading", [True, False])
async def test_answer_that_nobody_reads_is_given_up(
    monkeypatch: pytest.MonkeyPatch, is_reading: bool
) -> None:
    """A client that takes nothing of its answer is cut off; one that takes it slowly is not."""
    monkeypatch.setattr(protocol, "_WRITE_WAIT_S", 0.5)
    part, parts = bytes(1024 * 1024), 40
    is_sent, is_ended = asyncio.Event(), asyncio.Event()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(parts):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        is_sent.set()
        assert (await receive())["type"] == "http.disconnect"
        is_ended.set()

    async with open_http_server(answer, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(20):
            if is_reading:
                taken = 0
                while taken < parts * len(part):
                    taken += len(await reader.read(2 * 1024 * 1024))
                    await asyncio.sleep(0.001)
                await is_sent.wait()
            else:
                await is_ended.wait()
        writer.close()
    assert is_sent.is_set()


async def test_rest_of_an_answered_request_keeps_no_connection_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection is closed some time after its last answer, whatever comes of the body then."""
    monkeypatch.setattr(server, "_KEEP_ALIVE_S", 1)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(send, 200, b"x", b"text/plain", [])

    async with open_http_server(answer, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\nx")
            with pytest.raises(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.2)
                raise ConnectionError
        writer.close()
