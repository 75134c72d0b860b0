"""
Zipkin and Jaeger decoders on hostile bytes.

Whatever comes in, a decoder returns or refuses; what it returns parses, and holds as many spans
with valid ids as it says. The first byte of the input chooses the decoder.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from collector.decode.jaeger.convert import decode_protobuf as decode_jaeger_protobuf
from collector.decode.jaeger.convert import decode_thrift_binary, decode_thrift_compact
from collector.decode.result import DecodeResult
from collector.decode.zipkin import decode_json as decode_zipkin_json
from collector.decode.zipkin import decode_protobuf as decode_zipkin_protobuf
from collector.errors import Undecodable
from collector.wire import zipkin_pb2
from tests.flat_spans import flat_spans
from tests.jaeger_messages import proto_request, thrift_batch, written, written_call

NOW_NS = 1_767_348_060_000_000_000
FIXTURES = Path(__file__).parents[1] / "fixtures/formats"
FOUND = Path(__file__).parent / "seeds/mesh_spans"
_FUNCTIONS: dict[str, Callable[[bytes, int], DecodeResult]] = {
    "Zipkin JSON": decode_zipkin_json,
    "Zipkin protobuf": decode_zipkin_protobuf,
    "Jaeger binary Thrift": decode_thrift_binary,
    "Jaeger compact Thrift": decode_thrift_compact,
    "Jaeger protobuf": decode_jaeger_protobuf,
}
DECODERS = tuple(_FUNCTIONS)


def TestOneInput(data: bytes) -> bool:  # noqa: N802
    """Decode one input and check what comes out; return whether it was not refused."""
    if not data:
        return False
    try:
        canonical = _FUNCTIONS[DECODERS[data[0] % len(DECODERS)]](data[1:], NOW_NS)
    except Undecodable:
        return False
    spans = flat_spans(*canonical.messages)
    assert len(spans) == canonical.accepted
    for span in spans:
        assert int(span["trace_id"], 16) and len(span["trace_id"]) == 32
        assert int(span["span_id"], 16) and len(span["span_id"]) == 16
        assert 946_684_800_000_000_000 <= span["start_ns"] <= span["end_ns"]
    return True


def seeds() -> Iterator[bytes]:
    """Give what was found before, and every fixture in every encoding behind its chooser."""
    yield from (path.read_bytes() for path in sorted(FOUND.glob("*")))
    for case in _cases("zipkin"):
        yield b"\0" + json.dumps(case["body"]).encode()
    yield b"\1" + _zipkin_protobuf()
    for case in _cases("jaeger"):
        process, spans = case.get("process"), [case["span"]]
        batch = thrift_batch(process, spans)
        yield b"\2" + written(batch, "binary")
        yield b"\2" + written_call(batch, "binary")
        yield b"\3" + written_call(batch, "compact")
        yield b"\4" + proto_request(process, spans).SerializeToString()


def _cases(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FIXTURES / name / "spans.json").read_text())["cases"]
    return cases


def _zipkin_protobuf() -> bytes:
    span = zipkin_pb2.Span(
        trace_id=b"\x8d" * 16,
        parent_id=b"\x02" * 8,
        id=b"\x03" * 8,
        kind=2,
        name=b"get",
        timestamp=1_767_348_001_000_000,
        duration=7,
        local_endpoint=zipkin_pb2.Endpoint(service_name=b"orders", ipv4=b"\x0a\x00\x00\x01"),
        annotations=[zipkin_pb2.Annotation(timestamp=1_767_348_001_000_001, value=b'a|{"b":1}|0')],
        tags=[zipkin_pb2.Tag(key=b"otlp.link.0", value=b"1|2||{}|0")],
        shared=True,
    )
    return zipkin_pb2.ListOfSpans(spans=[span, span]).SerializeToString()
