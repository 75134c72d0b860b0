"""More requests than can be worked at in time, over real sockets, and who is told to come back."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from collector.http.tokens import make_token
from collector.model import Stream
from tests.ingest import Ingest, journaled_messages, make_request, make_span, open_ingest

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_SPANS, _EXPECTED_S = 500, 0.1
_FLOOD, _POLITE = (make_token(name, ("ingest",)) for name in ("flood", "polite"))
# sends requests, each with a token, before any of them is read; each is told something later:
# after how many seconds to come back, `None` when it was taken
Told = Awaitable[int | None]
Send = Callable[[Ingest, Sequence[tuple[str, bytes]], ExitStack], list[Told]]


@pytest.fixture
async def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ingest]:
    """Doors of two senders that expect an acknowledgement within 0.1 s."""
    monkeypatch.setattr("collector.receive.work_queue.MOST_EXPECTED_S", _EXPECTED_S)
    monkeypatch.setattr("collector.receive.work_queue._KNOWN_AFTER_S", 0.01)
    entries = tmp_path / "tokens.toml"
    entries.write_text(f"{_FLOOD[1]}\n{_POLITE[1]}\n")
    async with open_ingest(tmp_path, tokens_file=entries) as opened:
        yield opened


def over_http(
    ingest: Ingest, requests: Sequence[tuple[str, bytes]], stack: ExitStack
) -> list[Told]:
    """Send each over a connection of its own."""
    told: list[Told] = []
    for token, body in requests:
        opened = socket.create_connection(("127.0.0.1", ingest.http_port))
        stack.enter_context(opened)
        head = (
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
            f"authorization: Bearer {token}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        opened.sendall(head.encode() + body)
        told.append(_read_answer(opened))
    return told


async def _read_answer(opened: socket.socket) -> int | None:
    reader, writer = await asyncio.open_connection(sock=opened)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:-1])
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    if head.startswith("http/1.1 200 "):
        return None
    assert head.startswith("http/1.1 503 "), head
    assert headers["retry-after"] == str(_retry_s(body))
    return _retry_s(body)


def over_grpc(
    ingest: Ingest, requests: Sequence[tuple[str, bytes]], stack: ExitStack
) -> list[Told]:
    """Send all over four connections, since one takes 256 calls at once."""
    exports = [
        stack.enter_context(
            grpc.insecure_channel(f"127.0.0.1:{ingest.grpc_port}", [("number", number)])
        ).unary_unary(_EXPORT, bytes, bytes)
        for number in range(4)
    ]
    calls = [
        export.future(body, metadata=(("authorization", f"Bearer {token}"),), timeout=60)
        for export, (token, body) in zip(itertools.cycle(exports), requests, strict=False)
    ]
    return [asyncio.to_thread(_read_outcome, call) for call in calls]


def _read_outcome(call: "grpc.CallFuture[bytes]") -> int | None:
    if call.code() is grpc.StatusCode.OK:
        return None
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    details = dict(call.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    return _retry_s(details)


def _retry_s(details: bytes) -> int:
    info = RetryInfo()
    assert Status.FromString(details).details[0].Unpack(info)
    return int(info.retry_delay.seconds)


@pytest.mark.parametrize(("door", "send"), [("otlp-http", over_http), ("otlp-grpc", over_grpc)])
async def test_who_would_wait_too_long_is_told(ingest: Ingest, door: str, send: Send) -> None:
    """Of a flood a part is refused with a hint, the rest is stored; who sends little is taken."""
    spans = [make_span(each) for each in range(1, _SPANS + 1)]
    flood, more, polite = (
        [(token, make_request(*spans, service=f"{name} {each}")) for each in range(count)]
        for token, name, count in (
            (_FLOOD[0], "flood", 300),
            (_FLOOD[0], "more", 100),
            (_POLITE[0], "polite", 3),
        )
    )
    with ExitStack() as stack:
        answers = send(ingest, flood, stack)
        async with asyncio.timeout(30):
            while ingest.metrics.value("hopline_receive_expected_wait_seconds") < _EXPECTED_S:
                await asyncio.sleep(0)
        # the loop goes on meanwhile: how fast is part of what is expected
        answers += await asyncio.to_thread(send, ingest, more, stack)
        one_by_one = [await send(ingest, [each], stack)[0] for each in polite]
        told = [await each for each in answers]
        later = await send(ingest, [(_FLOOD[0], make_request(make_span(1)))], stack)[0]
    refused = sum(hint is not None for hint in told)
    assert 0 < refused <= len(more)
    assert set(told) == {None, 2, 3, 4}
    assert [*one_by_one, later] == [None] * (len(polite) + 1)
    counted = ingest.metrics.value(
        "hopline_intake_envelopes_refused_total", door=door, reason="congested"
    )
    assert counted == refused
    stored = len(journaled_messages(ingest.journal, Stream.TRACE))
    assert stored == len(flood) + len(more) + len(polite) + 1 - refused
    assert ingest.metrics.value("hopline_receive_inflight_bytes") == 0
