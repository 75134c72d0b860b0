"""Jaeger to canonical OTLP: every encoding gives the same spans, hostile ones none."""

import json
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType

from collector.decode.jaeger import thrift as jaeger_thrift
from collector.decode.jaeger.convert import (
    decode_protobuf,
    decode_thrift_binary,
    decode_thrift_compact,
)
from collector.decode.result import DecodeResult
from collector.errors import TooLarge, Undecodable
from tests.flat_spans import flat_spans
from tests.jaeger_messages import proto_request, thrift_batch, written, written_call

FIXTURE = Path(__file__).parents[3] / "fixtures/formats/jaeger/spans.json"
CASES: list[dict[str, Any]] = json.loads(FIXTURE.read_text())["cases"]
NOW_NS = 1_767_348_060_000_000_000
SPAN = {
    "traceId": "000000000000000000000000000000a1",
    "spanId": "00000000000000b1",
    "startTime": 1_767_348_001_000_000,
}
STOP, STRUCT, LIST = b"\x00", b"\x0c", b"\x0f"


@pytest.fixture(params=["C decoder", "Python decoder"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with thrift as built with a C compiler, and as installed without one."""
    if request.param == "Python decoder":
        monkeypatch.setattr(jaeger_thrift, "TBinaryProtocolAccelerated", TBinaryProtocol)
        monkeypatch.setattr(jaeger_thrift, "TCompactProtocolAccelerated", TCompactProtocol)
    return str(request.param)


def _binary(process: Any, spans: list[Any]) -> DecodeResult:
    return decode_thrift_binary(written(thrift_batch(process, spans), "binary"), NOW_NS)


def _compact(process: Any, spans: list[Any]) -> DecodeResult:
    return decode_thrift_compact(written_call(thrift_batch(process, spans), "compact"), NOW_NS)


def _proto(process: Any, spans: list[Any]) -> DecodeResult:
    return decode_protobuf(proto_request(process, spans).SerializeToString(), NOW_NS)


@pytest.mark.parametrize("decode", [_binary, _compact, _proto])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_fixture(
    case: dict[str, Any], decode: Callable[[Any, list[Any]], DecodeResult], decoder: str
) -> None:
    """Each span of the fixture gives, in every encoding, what is written beside it."""
    canonical = decode(case.get("process"), [case["span"]])
    if "rejected" in case:
        assert (canonical.accepted, canonical.rejected_by) == (0, {case["rejected"]: 1})
        return
    (span,) = flat_spans(canonical.message)
    assert {name: span[name] for name in case.get("only", span) if name in span} == case["flat"]
    assert canonical.rejected == 0
    assert len(canonical.warnings) == len(case.get("warned", []))
    for text in case.get("warned", []):
        assert any(text in warning for warning in canonical.warnings)


def test_thrift_takes_a_follows_from_parent_and_protobuf_does_not() -> None:
    """Only Thrift falls back to a FOLLOWS_FROM reference; it stays a link as well."""
    span = {**SPAN, "references": [{**SPAN, "refType": "FOLLOWS_FROM", "spanId": "0" * 15 + "c"}]}
    for decode, parent in ((_binary, "000000000000000c"), (_proto, None)):
        (flat,) = flat_spans(decode(None, [span]).message)
        assert flat.get("parent_span_id") == parent
        assert len(flat["links"]) == 1


def test_span_of_another_process_in_a_protobuf_batch() -> None:
    """A span that names its own process is not counted to the batch's."""
    request = proto_request({"serviceName": "batch"}, [SPAN, {**SPAN, "spanId": "0" * 15 + "2"}])
    request.batch.spans[1].process.service_name = b"own"
    request.batch.spans[1].warnings.extend([b"clock skew", b"late"])
    first, second = flat_spans(decode_protobuf(request.SerializeToString(), NOW_NS).message)
    assert first["resource"] == {"service.name": "batch"}
    assert second["resource"] == {"service.name": "own"}
    assert second["attributes"] == {"jaeger.warnings": "clock skew; late"}


def test_protobuf_ids_of_odd_lengths() -> None:
    """Short ids are padded, ids that are too long are none."""
    request = proto_request(None, [SPAN] * 3)
    request.batch.spans[0].trace_id = b"\1"
    request.batch.spans[1].trace_id = b"\1" * 17
    request.batch.spans[2].span_id = b"\1" * 9
    canonical = decode_protobuf(request.SerializeToString(), NOW_NS)
    assert canonical.rejected_by == {"trace_id_zero": 1, "span_id_zero": 1}
    assert [span["trace_id"] for span in flat_spans(canonical.message)] == [f"{1:032x}"]


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_batch_alone_and_batch_in_a_call_are_the_same(protocol: str, decoder: str) -> None:
    """A batch over HTTP and the call of an agent over UDP give the same bytes."""
    batch = thrift_batch({"serviceName": "stock"}, [SPAN])
    decode = decode_thrift_binary if protocol == "binary" else decode_thrift_compact
    alone = decode(written(batch, protocol), NOW_NS)
    assert alone.accepted == 1
    assert decode(written_call(batch, protocol), NOW_NS) == alone
    call = written_call(batch, protocol, kind=TMessageType.CALL)
    assert decode(call, NOW_NS) == alone


def test_call_without_version_header_is_read(decoder: str) -> None:
    """Old binary senders put the name first and no version."""
    body = written_call(thrift_batch(None, [SPAN]), "binary")
    old = body[4:17] + b"\x04" + body[17:]
    assert decode_thrift_binary(old, NOW_NS).accepted == 1


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_text_that_is_not_utf8_is_repaired(protocol: str, decoder: str) -> None:
    """One Latin-1 tag costs its wrong byte and a warning, not the batch."""
    span = {**SPAN, "tags": {"user": b"Zo\xe9"}, "operationName": b"\xff"}
    body = written(thrift_batch({"serviceName": "stock"}, [span, SPAN]), protocol)
    decode = decode_thrift_binary if protocol == "binary" else decode_thrift_compact
    canonical = decode(body, NOW_NS)
    first = flat_spans(canonical.message)[0]
    assert (first["attributes"], first["name"]) == ({"user": "Zo\ufffd"}, "\ufffd")
    assert (canonical.accepted, canonical.repaired) == (2, 2)


def test_unknown_fields_are_skipped(decoder: str) -> None:
    """A newer batch (sequence number, statistics) is read as far as it is known."""
    body = written(thrift_batch({"serviceName": "stock"}, [SPAN]), "binary")
    number = b"\x0a\x00\x03" + struct.pack(">q", 9)
    statistics = STRUCT + b"\x00\x04" + b"\x0a\x00\x01" + struct.pack(">q", 1) + STOP
    newer = body[:-1] + number + statistics + STOP
    assert decode_thrift_binary(newer, NOW_NS).accepted == 1


def test_missing_fields_have_defaults(decoder: str) -> None:
    """A span without any field is rejected for its id, and a tag without any is kept empty."""
    spans = LIST + b"\x00\x02" + STRUCT + struct.pack(">i", 1) + STOP
    assert decode_thrift_binary(spans + STOP, NOW_NS).rejected_by == {"trace_id_zero": 1}
    assert decode_thrift_binary(STOP, NOW_NS).messages == ()


def _nested(depth: int) -> bytes:
    return (STRUCT + b"\x00\x09") * depth + STOP * (depth + 1)


def _lists(depth: int) -> bytes:
    return LIST + b"\x00\x09" + (LIST + struct.pack(">i", 1)) * depth


BOMBS = {
    "list of two billion spans": LIST + b"\x00\x02" + STRUCT + struct.pack(">i", 2**31 - 1),
    "list of minus one span": LIST + b"\x00\x02" + STRUCT + struct.pack(">i", -1),
    "text of two gigabytes": b"\x0b\x00\x09" + struct.pack(">i", 2**31 - 1),
    "text of negative length": b"\x0b\x00\x09" + struct.pack(">i", -2),
    "unknown list of two billion nothings": LIST + b"\x00\x09\x01" + struct.pack(">i", 2**31 - 1),
    "unknown map of two billion pairs": b"\x0d\x00\x09\x0b\x0b" + struct.pack(">i", 2**31 - 1),
    "structs 10,000 deep": _nested(10_000),
    "lists 10,000 deep": _lists(10_000),
    "unknown type": b"\x7f\x00\x01",
    "bytes after the batch": STOP + b"x",
    "json": b'{"process":{}}',
    "zipkin json": b"[]",
    "nothing": b"",
    "call of another method": written_call(thrift_batch(None, []), "binary", "emitZipkinBatch"),
    "answer in place of a call": written_call(
        thrift_batch(None, []), "binary", kind=TMessageType.REPLY
    ),
    "call without arguments": b"\x80\x01\x00\x04\x00\x00\x00\x09emitBatch\x00\x00\x00\x01",
    "call with a name of two gigabytes": b"\x80\x01\x00\x04\x7f\xff\xff\xff",
    "compact under binary": written(thrift_batch(None, [SPAN]), "compact"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_binary_bomb_is_refused_at_once(name: str, decoder: str) -> None:
    """Declared sizes, depth and foreign bytes cost neither time nor memory, only a refusal."""
    tracemalloc.start()
    started = time.thread_time()
    try:
        with pytest.raises(Undecodable):
            decode_thrift_binary(BOMBS[name], NOW_NS)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert time.thread_time() - started < 1


COMPACT_BOMBS = {
    "list of two billion spans": b"\x29\xfc\xff\xff\xff\xff\x07",
    "list of a length without end": b"\x29\xfc" + b"\xff" * 40,
    "text of two gigabytes": b"\x98\xff\xff\xff\xff\x07",
    "structs 10,000 deep": b"\x9c" * 10_000,
    "lists 10,000 deep": b"\x99" + b"\x19" * 10_000,
    "unknown type": b"\x9f",
    "map of two billion pairs": b"\x9b\xff\xff\xff\xff\x07\x88",
    "bytes after the batch": b"\x00x",
    "nothing": b"",
    "wrong version": b"\x82\x22\x00\x09emitBatch",
    "binary under compact": written(thrift_batch(None, [SPAN]), "binary"),
    "call of another method": written_call(thrift_batch(None, []), "compact", "ping"),
}


@pytest.mark.parametrize("name", COMPACT_BOMBS)
def test_compact_bomb_is_refused_at_once(name: str, decoder: str) -> None:
    """The compact form of the same bombs is refused as fast."""
    tracemalloc.start()
    started = time.thread_time()
    try:
        with pytest.raises(Undecodable):
            decode_thrift_compact(COMPACT_BOMBS[name], NOW_NS)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("decode", [_binary, _proto])
def test_too_many_tags_logs_and_references_are_capped(
    decode: Callable[[Any, list[Any]], DecodeResult],
) -> None:
    """A span with very many of anything is taken with as many as the limits allow."""
    span = {
        **SPAN,
        "tags": {f"{n:x}": n for n in range(3000)},
        "logs": [{"timestamp": SPAN["startTime"], "fields": {}}] * 3000,
        "references": [{**SPAN, "refType": "FOLLOWS_FROM", "spanId": "0" * 15 + "c"}] * 3000,
    }
    canonical = decode(None, [span])
    (flat,) = flat_spans(canonical.message)
    kept = (len(flat["attributes"]), len(flat["events"]), len(flat["links"]))
    dropped = (flat["dropped_attributes"], flat["dropped_events"], flat["dropped_links"])
    assert kept == (1024, 1024, 128)
    assert dropped == (1976, 1976, 2872)
    assert len(canonical.warnings) == 2


def test_protobuf_of_empty_spans_is_refused_in_time() -> None:
    """Millions of spans of no bytes are refused before they become objects."""
    spans = b"\x0a\x00" * 4_000_000
    started = time.thread_time()
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            decode_protobuf(b"\x0a\x80\xa4\xe8\x03" + spans, NOW_NS)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert time.thread_time() - started < 3


def test_protobuf_span_too_large_to_read_is_rejected_alone() -> None:
    """A span of more than a mebibyte costs only itself; such a process costs the batch."""
    request = proto_request(
        {"serviceName": "s"}, [{**SPAN, "operationName": "n" * 1_100_000}, SPAN]
    )
    canonical = decode_protobuf(request.SerializeToString(), NOW_NS)
    assert (canonical.accepted, canonical.rejected_by) == (1, {"too_large": 1})
    request = proto_request({"serviceName": "s" * 1_100_000}, [SPAN])
    with pytest.raises(TooLarge):
        decode_protobuf(request.SerializeToString(), NOW_NS)


@pytest.mark.parametrize("size", [200_000, 4_000_000])
def test_a_megabyte_of_empty_structs_is_refused(size: int) -> None:
    """Structs of one byte each would take a hundred times their size in memory."""
    body = LIST + b"\x00\x02" + STRUCT + struct.pack(">i", size) + STOP * (size + 1)
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            decode_thrift_binary(body, NOW_NS)
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_every_cut_of_a_message_is_refused_or_shorter(protocol: str, decoder: str) -> None:
    """A message cut at any byte never gives more, or other, spans than the whole."""
    body = written_call(thrift_batch({"serviceName": "s"}, [SPAN]), protocol)
    decode = decode_thrift_binary if protocol == "binary" else decode_thrift_compact
    for end in range(len(body)):
        with pytest.raises(Undecodable):
            decode(body[:end], NOW_NS)


@pytest.mark.parametrize(
    "body", [b"[]", b"\x0a\xff", b"\x0a\x02\x0a\x05", b"\x0a" * 9999, b"\x0b" * 10_000]
)
def test_protobuf_that_is_none_is_refused(body: bytes) -> None:
    """JSON, cut off and deeply nested bytes are refused."""
    with pytest.raises(Undecodable):
        decode_protobuf(body, NOW_NS)


def test_no_spans_are_accepted_as_none() -> None:
    """An empty request of any encoding is a success without spans."""
    assert decode_protobuf(b"", NOW_NS).messages == ()
    assert _binary({"serviceName": "s"}, []).messages == ()
    assert _compact({"serviceName": "s"}, []).messages == ()
