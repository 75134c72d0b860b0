"""What the span writer writes by hand is what the protobuf library reads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from collector.decode.jaeger.model import Binary
from collector.decode.otlp.writer import (
    SpanWriter,
    UnusableSpanError,
    delimited,
    encode_resource,
    encode_scope,
    encode_span,
)
from collector.wire.varint import encode_varint

NOW_NS = 1_767_348_060_000_000_000
SIZES = (0, 1, 90, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 127, 128, 16_383, 16_384)


def _read(encoded: bytes) -> KeyValue:
    """Parse an attribute that stands behind its length."""
    for size in range(1, 6):
        if encoded[:size] == encode_varint(len(encoded) - size):
            return KeyValue.FromString(encoded[size:])
    raise AssertionError("the length is wrong")


@pytest.mark.parametrize("key_size", [0, 1, 3, 100, 127, 128])
@pytest.mark.parametrize("size", SIZES)
def test_text_of_every_size_of_length(key_size: int, size: int) -> None:
    """Lengths of one byte and of more are written right on both sides of the border."""
    writer = SpanWriter(NOW_NS)
    attribute = _read(writer.text_attribute("k" * key_size, "v" * size))
    assert (attribute.key, attribute.value.string_value) == ("k" * key_size, "v" * size)
    assert attribute.value.WhichOneof("value") == "string_value"


@given(st.text(), st.one_of(st.text(), st.booleans(), st.integers(), st.floats(), st.binary()))
def test_any_value_reads_back(key: str, value: str | bool | int | float | bytes) -> None:
    """Values come back with their type; numbers too large for it become text."""
    writer = SpanWriter(NOW_NS)
    given_value = Binary(value) if isinstance(value, bytes) else value
    first, again = (writer.attribute(key, given_value) for _ in range(2))
    assert first == again
    found = _read(first).value
    if isinstance(value, bool):
        assert (found.WhichOneof("value"), found.bool_value) == ("bool_value", value)
    elif isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        assert (found.WhichOneof("value"), found.int_value) == ("int_value", value)
    elif isinstance(value, int):
        assert found.string_value == str(value)
    elif isinstance(value, float):
        assert found.double_value == value or math.isnan(value)
    elif isinstance(value, bytes):
        assert (found.WhichOneof("value"), found.bytes_value) == ("bytes_value", value)
    else:
        assert found.string_value == value


def test_equal_values_of_different_types_stay_apart() -> None:
    """True, 1 and 1.0 are equal in Python and three attributes here."""
    writer = SpanWriter(NOW_NS)
    kinds = [_read(writer.attribute("a", value)).value for value in (True, 1, 1.0, 0.0, -0.0)]
    found = [value.WhichOneof("value") for value in kinds]
    assert found == ["bool_value", "int_value", "double_value", "double_value", "double_value"]
    assert math.copysign(1, kinds[4].double_value) == -1


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_varint_has_seven_bits_a_byte(number: int) -> None:
    """A varint ends with its first byte below 128 and adds up to the number."""
    encoded = encode_varint(number)
    assert [byte >= 128 for byte in encoded] == [True] * (len(encoded) - 1) + [False]
    assert sum((byte & 127) << 7 * place for place, byte in enumerate(encoded)) == number


def _span(name: bytes = b"n") -> bytes:
    return encode_span(
        trace_id=b"\1" * 16,
        span_id=b"\2" * 8,
        parent_id=b"",
        name=name,
        kind=1,
        start_ns=NOW_NS,
        end_ns=NOW_NS,
        attributes={},
    )


def test_spans_are_grouped_by_resource_and_scope() -> None:
    """One group per resource, one part per scope, spans in order of arrival."""
    writer = SpanWriter(NOW_NS)
    resources = [
        encode_resource([writer.text_attribute("service.name", name)]) for name in ("a", "b")
    ]
    scopes = [b"", encode_scope(b"lib", b"1")]
    for number in range(8):
        writer.add(resources[number % 2], scopes[number // 4], _span(b"%d" % number))
    request = ExportTraceServiceRequest.FromString(writer.finish().message)
    shape = [
        [[span.name for span in scope.spans] for scope in group.scope_spans]
        for group in request.resource_spans
    ]
    assert shape == [[["0", "2"], ["4", "6"]], [["1", "3"], ["5", "7"]]]
    assert request.resource_spans[0].scope_spans[1].scope.name == "lib"


def test_resource_too_large_to_store_is_refused_with_its_spans() -> None:
    """A resource of more than a mebibyte cannot be repeated in every row."""
    writer = SpanWriter(NOW_NS)
    resource = encode_resource([writer.text_attribute("a", "v" * 1_100_000)])
    with pytest.raises(UnusableSpanError):
        writer.add(resource, b"", _span())


def test_nothing_written_is_nothing_to_keep() -> None:
    """A writer without spans has no message for the journal."""
    assert SpanWriter(NOW_NS).finish().messages == ()
    assert delimited(b"") == b"\0"
