"""
The duties of an OTLP server (specification 1.11.0), each named after its row O-01 to O-29.

One battery for OTLP/gRPC, OTLP/HTTP with protobuf and OTLP/HTTP with JSON.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.config import load_settings
from collector.errors import JournalError, Overloaded
from collector.model import Receipt, RecordError, Stream
from collector.receive.status import encode_receipt
from tests.ingest import (
    NOW_NS,
    Ingest,
    journaled_items,
    make_log,
    make_metric,
    make_request,
    make_span,
    open_ingest,
)
from tests.otlp_senders import SENDERS, GrpcSender, HttpJsonSender, HttpSender, Sender

MIB = 1024 * 1024
HTTP_SENDERS = [each for each in SENDERS if isinstance(each, HttpSender)]
SIGNALS = {
    Stream.TRACE: make_request(make_span(1), make_span(2)),
    Stream.LOG: make_request(make_log(1), make_log(2)),
    Stream.METRIC: make_request(make_metric(1), make_metric(2)),
}


@pytest.fixture
async def ingest(tmp_path: Path) -> AsyncIterator[Ingest]:
    async with open_ingest(tmp_path) as opened:
        yield opened


@pytest.fixture(params=SENDERS, ids=lambda sender: sender.name)
def sender(request: pytest.FixtureRequest) -> Sender:
    chosen: Sender = request.param
    return chosen


@pytest.fixture(params=HTTP_SENDERS, ids=lambda sender: sender.name)
def http(request: pytest.FixtureRequest) -> HttpSender:
    chosen: HttpSender = request.param
    return chosen


@pytest.mark.parametrize("signal", SIGNALS)
async def test_o01_uncompressed_and_gzip(ingest: Ingest, sender: Sender, signal: Stream) -> None:
    """Every door takes requests of every signal plain and with gzip."""
    for number, is_gzip in enumerate((False, True)):
        items = {
            Stream.TRACE: make_request(make_span(10 + number)),
            Stream.LOG: make_request(make_log(10 + number)),
            Stream.METRIC: make_request(make_metric(10 + number)),
        }
        answer = await sender.send(ingest, items[signal], signal, is_gzip=is_gzip)
        assert answer.code == "OK"
    assert len(journaled_items(ingest.journal, signal)) == 2


@pytest.mark.parametrize("is_gzip", [False, True])
async def test_o02_o19_size_cap_holds_after_decompression(
    tmp_path: Path, sender: Sender, is_gzip: bool
) -> None:
    """Above the cap, before or after decompression, the answer is final: no retry hint."""
    async with open_ingest(tmp_path, max_body_bytes=100_000) as ingest:
        body = make_request(make_span(1, name="x" * 150_000))
        answer = await sender.send(ingest, body, is_gzip=is_gzip)
        assert answer.code == "RESOURCE_EXHAUSTED"
        assert answer.retry_s is None
        assert answer.http_status in (200, 413)
        assert not journaled_items(ingest.journal, Stream.TRACE)


async def test_o02_o19_default_cap_is_64_mib() -> None:
    """The default cap is the recommended one."""
    assert load_settings().max_body_bytes == 64 * MIB


@pytest.mark.parametrize("signal", SIGNALS)
async def test_o03_o20_answers_stay_small(ingest: Ingest, sender: Sender, signal: Stream) -> None:
    """However much there is to say, an answer stays far below the 4 MiB that clients accept."""
    bad: dict[Stream, Callable[[int], Any]] = {
        Stream.TRACE: lambda number: make_span(number, span_id=bytes(8), name="x" * 1000),
        Stream.LOG: lambda number: make_log(number, time_unix_nano=5, severity_text="x" * 1000),
        Stream.METRIC: lambda number: make_metric(number, time_unix_nano=5),
    }
    body = make_request(*map(bad[signal], range(1, 2001)))
    answer = await sender.send(ingest, body, signal)
    assert answer.rejected == 2000
    assert 0 < len(answer.message) < 4096
    errors = tuple(RecordError(index, "x" * 1000) for index in range(10_000))
    receipt = Receipt(accepted=1, rejected=10_000, errors=errors)
    for content_type in ("application/x-protobuf", "application/json"):
        assert len(encode_receipt(signal, receipt, content_type)) < 8192


async def test_o04_many_concurrent_calls(ingest: Ingest, sender: Sender) -> None:
    """Fifty calls at once are all answered, and all is stored."""
    bodies = [make_request(make_span(number)) for number in range(50)]
    answers = await asyncio.gather(*(sender.send(ingest, body) for body in bodies))
    assert {answer.code for answer in answers} == {"OK"}
    assert len(journaled_items(ingest.journal, Stream.TRACE)) == 50


@pytest.mark.parametrize("signal", SIGNALS)
async def test_o05_o21_success_leaves_partial_success_unset(
    ingest: Ingest, sender: Sender, signal: Stream
) -> None:
    """Full success is the signal's own response with partial_success unset."""
    answer = await sender.send(ingest, SIGNALS[signal], signal)
    assert answer.code == "OK"
    assert not answer.has_partial_success


@pytest.mark.parametrize("signal", SIGNALS)
async def test_o06_empty_request_is_success(ingest: Ingest, sender: Sender, signal: Stream) -> None:
    """A request of nothing is a success."""
    answer = await sender.send(ingest, b"", signal)
    assert answer.code == "OK"
    assert not answer.has_partial_success


@pytest.mark.parametrize("signal", SIGNALS)
async def test_o07_o08_partial_success_counts_and_explains(
    ingest: Ingest, sender: Sender, signal: Stream
) -> None:
    """Unusable items are counted in the signal's field, and the text says which and why."""
    body = {
        Stream.TRACE: make_request(make_span(1), make_span(2, span_id=bytes(8))),
        Stream.LOG: make_request(make_log(1), make_log(2, time_unix_nano=5)),
        Stream.METRIC: make_request(make_metric(1), make_metric(2, time_unix_nano=5)),
    }[signal]
    answer = await sender.send(ingest, body, signal)
    assert (answer.code, answer.has_partial_success, answer.rejected) == ("OK", True, 1)
    assert "index 1" in answer.message
    assert len(journaled_items(ingest.journal, signal)) >= 1


async def test_o09_warning_with_zero_rejected(ingest: Ingest, sender: Sender) -> None:
    """What was repaired is told with zero rejected and a text."""
    body = make_request(make_span(1, end_time_unix_nano=5))
    answer = await sender.send(ingest, body)
    assert (answer.code, answer.has_partial_success, answer.rejected) == ("OK", True, 0)
    assert "end_time_unix_nano" in answer.message


async def test_o10_full_disk_is_not_a_partial_success(tmp_path: Path, sender: Sender) -> None:
    """What the sender should send again is refused as a whole, never as partial success."""
    async with open_ingest(tmp_path, journal_max_bytes=1024) as ingest:
        await sender.send(ingest, make_request(make_span(1, name="x" * 800)))
        answer = await sender.send(ingest, make_request(make_span(2, name="y" * 800)))
        assert answer.code == "UNAVAILABLE"


async def test_o11_o24_undecodable_is_final_with_details(ingest: Ingest, sender: Sender) -> None:
    """Bytes that are no request: INVALID_ARGUMENT or 400, with BadRequest details, no retry."""
    answer = await sender.send(ingest, b"\xff\xfe\xfd garbage")
    assert answer.code == "INVALID_ARGUMENT"
    assert answer.http_status in (200, 400)
    assert answer.violations == ["body"]
    assert answer.retry_s is None


async def test_o11_o14_journal_full_is_retryable(tmp_path: Path, sender: Sender) -> None:
    """A full journal is UNAVAILABLE or 503, with the time after which to retry."""
    async with open_ingest(tmp_path, journal_max_bytes=1024) as ingest:
        answer = await sender.send(ingest, make_request(make_span(2, name="y" * 2000)))
        assert answer.code == "UNAVAILABLE"
        assert answer.retry_s == 5
        assert answer.http_status in (200, 503)


async def test_o12_o13_only_retryable_errors_carry_retry_info(
    ingest: Ingest, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overload is UNAVAILABLE (429) with RetryInfo: RESOURCE_EXHAUSTED would mean drop."""

    async def refuse(*_: object) -> None:
        raise Overloaded("too much", retry_after_s=2)

    monkeypatch.setattr(ingest.admission, "take", refuse)
    answer = await sender.send(ingest, make_request(make_span(1)))
    assert (answer.code, answer.retry_s) == ("UNAVAILABLE", 2)
    assert answer.http_status in (200, 429)


async def test_o15_default_ports() -> None:
    """4317 for gRPC, 4318 for HTTP."""
    settings = load_settings()
    assert (settings.otlp_grpc_port, settings.ingest_port) == (4317, 4318)


async def test_o16_unknown_path_is_a_status(ingest: Ingest, http: HttpSender) -> None:
    """An OTLP path that is not served answers 404 with a Status."""
    for path in ("/v1/profiles", "/v1development/profiles", "/v1/traces/"):
        answer = await http.send(ingest, b"", path=path)
        assert (answer.http_status, answer.code) == (404, "UNIMPLEMENTED")


async def test_o16_unknown_grpc_method(ingest: Ingest) -> None:
    """A service that is not there is UNIMPLEMENTED."""
    method = "/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export"
    assert (await GrpcSender().send(ingest, b"", method=method)).code == "UNIMPLEMENTED"


async def test_o17_answer_has_the_content_type_of_the_request(ingest: Ingest) -> None:
    """Protobuf answers protobuf and JSON answers JSON, parameters of the type aside."""
    await HttpSender().send(
        ingest, SIGNALS[Stream.TRACE], headers={"content-type": "application/x-protobuf; a=b"}
    )
    await HttpJsonSender().send(
        ingest, b"{}", headers={"content-type": "Application/JSON; charset=utf-8"}
    )


async def test_o18_json_ids_are_hex(ingest: Ingest) -> None:
    """A JSON request's hex ids arrive as the bytes they mean."""
    await HttpJsonSender().send(ingest, make_request(make_span(7)))
    assert journaled_items(ingest.journal, Stream.TRACE) == [make_span(7)]


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ({"content-type": "text/plain"}, "POST", 415),
        ({"content-type": "application/json", "content-encoding": "br"}, "POST", 415),
        ({"content-type": "application/json"}, "GET", 405),
        ({"content-type": "application/json"}, "DELETE", 405),
    ],
)
async def test_o22_every_error_is_a_status(
    ingest: Ingest, headers: dict[str, str], method: str, status: int
) -> None:
    """Wrong media type, encoding or method: a Status, in JSON where no other encoding is known."""
    answer = await HttpJsonSender().send(
        ingest, b"x", path="/v1/traces", method=method, headers=headers
    )
    assert answer.http_status == status
    assert answer.code == "UNIMPLEMENTED"
    assert answer.message


async def test_o22_bug_is_a_status_too(
    ingest: Ingest, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error nobody thought of is INTERNAL or 500 with a Status and without its text."""

    async def fail(*_: object) -> None:
        raise ValueError("a secret detail")

    monkeypatch.setattr(ingest.intake, "accept", fail)
    answer = await sender.send(ingest, make_request(make_span(1)))
    assert answer.code == "INTERNAL"
    assert "secret" not in answer.message
    assert answer.http_status in (200, 500)


async def test_o23_retryable_classes_use_retryable_statuses() -> None:
    """OTLP/HTTP clients retry 429, 502, 503 and 504 only."""
    assert Overloaded("x").http_status == 429
    assert JournalError("x").http_status == 503


async def test_o25_retry_after_header(tmp_path: Path, http: HttpSender) -> None:
    """A 503 says in its header when to come back."""
    async with open_ingest(tmp_path, journal_max_bytes=1024) as ingest:
        answer = await http.send(ingest, make_request(make_span(2, name="y" * 2000)))
        assert answer.http_headers["retry-after"] == "5"


async def test_o26_both_encodings_on_one_port(ingest: Ingest) -> None:
    """Protobuf and JSON share the port and mean the same."""
    await HttpSender().send(ingest, make_request(make_span(1)))
    await HttpJsonSender().send(ingest, make_request(make_span(2)))
    assert journaled_items(ingest.journal, Stream.TRACE) == [make_span(1), make_span(2)]


async def test_o27_answers_are_not_compressed_unasked(ingest: Ingest) -> None:
    """Without Accept-Encoding the answer is plain."""
    async with httpx.AsyncClient() as client:
        response = await client.post(
            f"{ingest.url}/v1/traces",
            content=gzip.compress(SIGNALS[Stream.TRACE]),
            headers={
                "content-type": "application/x-protobuf",
                "content-encoding": "gzip",
                "accept-encoding": "identity",
            },
        )
    assert "content-encoding" not in response.headers


async def test_o28_empty_envelopes_and_unknown_fields(ingest: Ingest, sender: Sender) -> None:
    """Resources without spans and fields of a newer protocol are no error."""
    assert (await sender.send(ingest, b"\x0a\x00\x0a\x02\x12\x00")).code == "OK"
    newer = make_request(make_span(3)) + b"\xf2\x07\x03new"
    assert (await sender.send(ingest, newer)).code == "OK"


async def test_o29_identical_resend_is_stored_once(ingest: Ingest, sender: Sender) -> None:
    """A sender that lost our answer sends again: success again, one copy."""
    body = make_request(make_span(1))
    answers = [await sender.send(ingest, body) for _ in range(3)]
    assert {answer.code for answer in answers} == {"OK"}
    assert len(journaled_items(ingest.journal, Stream.TRACE)) == 1


@pytest.mark.parametrize("token", ["", "wrong", "right-but-longer"])
async def test_unknown_token_is_refused(tmp_path: Path, sender: Sender, token: str) -> None:
    """With tokens configured, a call without a known one is UNAUTHENTICATED and stores nothing."""
    async with open_ingest(tmp_path, ingest_tokens="right,other") as ingest:
        answer = await sender.send(ingest, make_request(make_span(1)), token=token)
        assert answer.code == "UNAUTHENTICATED"
        assert answer.http_status in (200, 401)
        assert not journaled_items(ingest.journal, Stream.TRACE)


@pytest.mark.parametrize("token", ["right", "other"])
async def test_known_token_is_let_in(tmp_path: Path, sender: Sender, token: str) -> None:
    """Each of the configured tokens may send."""
    async with open_ingest(tmp_path, ingest_tokens="right,other") as ingest:
        answer = await sender.send(ingest, make_request(make_span(1)), token=token)
        assert answer.code == "OK"


async def test_received_time_is_the_servers(ingest: Ingest, sender: Sender) -> None:
    """A span up to a day ahead of our clock is kept, one beyond is not."""
    day_ns = 86_400_000_000_000
    late = make_span(2, start_time_unix_nano=NOW_NS + 2 * day_ns, end_time_unix_nano=NOW_NS)
    answer = await sender.send(ingest, make_request(make_span(1), late))
    assert answer.rejected == 1
