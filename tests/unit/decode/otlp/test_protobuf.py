"""OTLP protobuf: what is checked, repaired, rejected and left alone."""

import resource
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.attributes import SENT_END
from collector.decode.otlp.protobuf import decode_logs, decode_traces
from collector.decode.protobuf.split import MAX_ATTRIBUTES, write_field
from collector.decode.result import DecodeResult
from collector.errors import Undecodable
from tests.ingest import NOW_NS, make_log, make_request, make_span, text

DAY_NS = 86_400_000_000_000
MIB = 1024 * 1024


def spans_of(canonical: DecodeResult) -> list[Span]:
    return [
        span
        for message in canonical.messages
        for group in ExportTraceServiceRequest.FromString(message).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def logs_of(canonical: DecodeResult) -> list[LogRecord]:
    return [
        record
        for message in canonical.messages
        for group in ExportLogsServiceRequest.FromString(message).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


def service_of(message: bytes) -> str:
    group = ExportTraceServiceRequest.FromString(message).resource_spans[0]
    return group.resource.attributes[0].value.string_value


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_good_spans_pass_unchanged() -> None:
    """A request without faults is written back as it was, nothing said."""
    body = make_request(*(make_span(number) for number in range(5)))
    canonical = decode_traces(body, NOW_NS)
    assert canonical == DecodeResult(message=body, accepted=5, resources=1)


def test_empty_request_is_accepted() -> None:
    """No bytes at all are a valid request of no spans."""
    assert decode_traces(b"", NOW_NS).accepted == 0
    assert decode_traces(b"", NOW_NS).messages == ()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"trace_id": b""}, "trace_id_length"),
        ({"trace_id": b"\1" * 15}, "trace_id_length"),
        ({"trace_id": bytes(16)}, "trace_id_zero"),
        ({"span_id": b"\1" * 16}, "span_id_length"),
        ({"span_id": bytes(8)}, "span_id_zero"),
        ({"start_time_unix_nano": 0}, "start_missing"),
        ({"start_time_unix_nano": 1_760_000_000}, "start_past"),
        ({"start_time_unix_nano": NOW_NS + 2 * DAY_NS}, "start_future"),
        ({"start_time_unix_nano": 2**64 - 1}, "start_future"),
        ({"end_time_unix_nano": NOW_NS + 2 * DAY_NS}, "end_future"),
    ],
)
def test_unusable_span_is_rejected_alone(fields: dict[str, Any], code: str) -> None:
    """A span with an unusable id or time is rejected with place and field; the others are kept."""
    body = make_request(make_span(1), make_span(2, **fields), make_span(3))
    canonical = decode_traces(body, NOW_NS)
    assert [span.name for span in spans_of(canonical)] == ["GET /parts/1", "GET /parts/3"]
    assert (canonical.accepted, canonical.rejected) == (2, 1)
    (error,) = canonical.errors
    assert (error.index, error.code) == (1, code)
    assert error.field in fields
    assert error.reason.startswith("1 of 3 spans rejected, first at index 1: ")
    assert canonical.rejected_by == {code: 1}


def test_all_spans_unusable() -> None:
    """When nothing is left there is nothing to journal, and every fault has its own count."""
    body = make_request(
        make_span(1, trace_id=b""), make_span(2, trace_id=b""), make_span(3, span_id=b"")
    )
    canonical = decode_traces(body, NOW_NS)
    assert canonical.messages == ()
    assert canonical.rejected_by == {"trace_id_length": 2, "span_id_length": 1}


def test_start_just_inside_a_day_ahead_is_kept() -> None:
    """A clock up to a day ahead is the query side's problem, not a reason to lose the span."""
    ahead = NOW_NS + DAY_NS - 1
    span = make_span(start_time_unix_nano=ahead, end_time_unix_nano=ahead)
    assert decode_traces(make_request(span), NOW_NS).accepted == 1


def test_end_before_start_is_clamped_with_a_warning() -> None:
    """A span that ends before it starts gets zero duration, and the sender hears of it."""
    canonical = decode_traces(make_request(make_span(end_time_unix_nano=0)), NOW_NS)
    (span,) = spans_of(canonical)
    assert span.end_time_unix_nano == span.start_time_unix_nano
    assert canonical.rejected == 0
    assert "end_time_unix_nano" in canonical.warnings[0]
    sent = {each.key: each.value.int_value for each in span.attributes}
    assert sent[SENT_END] == 0


def test_zero_parent_means_none() -> None:
    """A parent of eight zero bytes is how some senders write a root: no warning for that."""
    canonical = decode_traces(make_request(make_span(parent_span_id=bytes(8))), NOW_NS)
    assert spans_of(canonical)[0].parent_span_id == b""
    assert canonical.warnings == ()


def test_parent_of_wrong_length_is_dropped_with_a_warning() -> None:
    """A parent id that cannot be one is taken as none; the span stays."""
    canonical = decode_traces(make_request(make_span(parent_span_id=b"\1\2\3")), NOW_NS)
    assert spans_of(canonical)[0].parent_span_id == b""
    assert "parent_span_id" in canonical.warnings[0]


def test_invalid_utf8_costs_one_string_only() -> None:
    """One Latin-1 attribute is repaired; the other spans and attributes are untouched."""
    bad = text("http.request.header.x-city", "M#nchen")
    body = make_request(make_span(1), make_span(2, attributes=[bad]), make_span(3))
    body = body.replace(b"M#nchen", b"M\xfcnchen")
    canonical = decode_traces(body, NOW_NS)
    spans = spans_of(canonical)
    assert (canonical.accepted, canonical.rejected, canonical.repaired) == (3, 0, 1)
    assert spans[1].attributes[0].value.string_value == "M\ufffdnchen"
    assert [spans[0], spans[2]] == [make_span(1), make_span(3)]
    assert "UTF-8" in canonical.warnings[0]


def test_invalid_utf8_in_a_nested_value_and_in_a_key() -> None:
    """Strings are repaired at any depth, keys as well."""
    nested = AnyValue()
    nested.kvlist_value.values.add(key="de#p").value.array_value.values.add(string_value="v#lue")
    span = make_span(attributes=[{"key": "outer", "value": nested}])
    body = make_request(span).replace(b"de#p", b"de\xffp").replace(b"v#lue", b"v\xfelue")
    canonical = decode_traces(body, NOW_NS)
    assert canonical.repaired == 2
    pair = spans_of(canonical)[0].attributes[0].value.kvlist_value.values[0]
    assert pair.key == "de\ufffdp"
    assert pair.value.array_value.values[0].string_value == "v\ufffdlue"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff\xff\xff",
        b"not protobuf at all, by any means",
        b"\x0a\x05\x0a",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x1f\x8b\x08\x00",
        write_field(1, write_field(2, write_field(2, b"\x0a\x10short"))),
        b'{"resourceSpans": []}',
    ],
)
def test_garbage_is_undecodable(body: bytes) -> None:
    """Bytes that are no request are refused, never half read."""
    with pytest.raises(Undecodable):
        decode_traces(body, NOW_NS)


@pytest.mark.parametrize("cut", [1, 17, 40, 99])
def test_cut_off_request_is_undecodable(cut: int) -> None:
    """A request that stops in the middle is refused as a whole."""
    body = make_request(*(make_span(number) for number in range(3)))
    with pytest.raises(Undecodable):
        decode_traces(body[:-cut], NOW_NS)


def test_deep_nesting_is_undecodable() -> None:
    """Values nested 10,000 deep are refused, without a stack overflow."""
    value = b""
    for _ in range(10_000):
        value = write_field(5, write_field(1, value))
    attribute = write_field(1, b"deep") + write_field(2, value)
    span = make_span().SerializeToString() + write_field(9, attribute)
    body = write_field(1, write_field(2, write_field(2, span)))
    with pytest.raises(Undecodable):
        decode_traces(body, NOW_NS)


def test_nested_values_are_kept_whole() -> None:
    """Arrays and key-value lists are attribute values like others."""
    nested = AnyValue()
    nested.array_value.values.add(string_value="a")
    nested.array_value.values.add().kvlist_value.values.add(key="k", value={"int_value": 7})
    span = make_span(attributes=[{"key": "nested", "value": nested}])
    assert spans_of(decode_traces(make_request(span), NOW_NS)) == [span]


def test_sender_can_not_write_the_trailer() -> None:
    """Fields of the journal's trailer in a request, such as the tenant, are removed."""
    forged = make_request(make_span()) + write_field(2003, b"someone-else")
    assert decode_traces(forged, NOW_NS).message == make_request(make_span())


def test_unknown_fields_are_tolerated() -> None:
    """A newer sender's fields inside a span do not cost the span."""
    span = make_span().SerializeToString() + write_field(500, b"from the future")
    body = write_field(1, write_field(2, write_field(2, span)))
    assert decode_traces(body, NOW_NS).accepted == 1


def test_too_many_attributes_are_cut_and_counted() -> None:
    """Of 5,000 attributes the first 1024 stay and the rest is counted as dropped."""
    span = make_span(
        attributes=[text(f"key.{number}", "v") for number in range(5000)],
        dropped_attributes_count=3,
    )
    body = make_request(make_span(1), span)
    canonical = decode_traces(body, NOW_NS)
    kept = spans_of(canonical)[1]
    assert len(kept.attributes) == MAX_ATTRIBUTES
    assert kept.dropped_attributes_count == 5000 - MAX_ATTRIBUTES + 3
    assert "attributes" in canonical.warnings[0]


def million_attributes() -> bytes:
    return b"".join(b"\x4a\x0f\x0a\x08k%07d\x12\x03\x0a\x01v" % n for n in range(1_000_000))


def test_a_million_attributes_cost_little_memory() -> None:
    """A million attributes on one span are cut to 1024 for less than 200 MiB, others untouched."""
    span = make_span(7, attributes=[]).SerializeToString() + million_attributes()
    spans = write_field(2, span) + write_field(2, make_span(8).SerializeToString())
    body = write_field(1, write_field(2, spans))
    before = peak_mib()
    canonical = decode_traces(body, NOW_NS)
    assert peak_mib() - before < 200
    kept, other = spans_of(canonical)
    assert len(kept.attributes) == MAX_ATTRIBUTES
    assert kept.dropped_attributes_count == 1_000_000 - MAX_ATTRIBUTES
    assert other == make_span(8)


def test_a_million_empty_attributes_in_a_small_body() -> None:
    """Two bytes each, the densest there is: bounded as well."""
    span = make_span(7, attributes=[]).SerializeToString() + b"\x4a\x00" * 1_000_000
    before = peak_mib()
    canonical = decode_traces(write_field(1, write_field(2, write_field(2, span))), NOW_NS)
    assert peak_mib() - before < 200
    assert len(spans_of(canonical)[0].attributes) == MAX_ATTRIBUTES


def test_huge_resource_loses_attributes_but_not_its_spans() -> None:
    """A resource of 5 MiB keeps what fits, in order, and every span."""
    attributes = [text("service.name", "parts")]
    attributes += [text(f"label.{number}", "v" * 5000) for number in range(1000)]
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(resource={"attributes": attributes})
    group.scope_spans.add(spans=[make_span(number) for number in range(100)])
    canonical = decode_traces(request.SerializeToString(), NOW_NS)
    assert canonical.accepted == 100
    assert all(service_of(message) == "parts" for message in canonical.messages)
    assert "attributes" in canonical.warnings[0]


def test_repeated_resource_is_bounded() -> None:
    """A resource that would be stored a thousand times a megabyte is cut to size."""
    attributes = [text("service.name", "parts"), text("label", "v" * MIB)]
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(resource={"attributes": attributes})
    group.scope_spans.add(spans=[make_span(number) for number in range(1000)])
    canonical = decode_traces(request.SerializeToString(), NOW_NS)
    assert canonical.accepted == 1000
    assert service_of(canonical.message) == "parts"
    assert len(canonical.message) < MIB


def test_large_request_is_the_same_in_pieces() -> None:
    """8 MiB of spans become several messages that together hold every span, in order."""
    spans = [make_span(number, attributes=[text("pad", "x" * 800)]) for number in range(10_000)]
    canonical = decode_traces(make_request(*spans), NOW_NS)
    assert canonical.accepted == 10_000
    assert len(canonical.messages) > 3
    assert max(map(len, canonical.messages)) < 4 * MIB
    assert spans_of(canonical) == spans
    assert {service_of(message) for message in canonical.messages} == {"parts"}


def test_index_counts_through_all_pieces() -> None:
    """The index of a rejected span is its place in the request, however it was cut."""
    spans = [make_span(number, attributes=[text("pad", "x" * 800)]) for number in range(10_000)]
    spans[8_765].trace_id = b""
    (error,) = decode_traces(make_request(*spans), NOW_NS).errors
    assert error.index == 8_765


def test_single_oversized_span_is_rejected_alone() -> None:
    """A span whose name alone is 3 MiB is rejected; its neighbours are kept."""
    body = make_request(make_span(1), make_span(2, name="x" * 3 * MIB), make_span(3))
    canonical = decode_traces(body, NOW_NS)
    assert [span.name for span in spans_of(canonical)] == ["GET /parts/1", "GET /parts/3"]
    assert canonical.rejected_by == {"too_large": 1}
    assert canonical.errors[0].index == 1


def test_logs_need_no_ids() -> None:
    """A log record without ids is complete."""
    body = make_request(make_log(1), make_log(2, trace_id=b"\1" * 16, span_id=b"\2" * 8))
    assert decode_logs(body, NOW_NS) == DecodeResult(message=body, accepted=2, resources=1)


@pytest.mark.parametrize(
    ("fields", "is_warned"),
    [
        ({"trace_id": b"\1" * 7}, True),
        ({"span_id": b"\1" * 7}, True),
        ({"trace_id": bytes(16)}, False),
        ({"span_id": bytes(8)}, False),
    ],
)
def test_log_ids_that_are_none_are_cleared(fields: dict[str, bytes], is_warned: bool) -> None:
    """Ids of a wrong length or of zeros are cleared: the line itself is what matters."""
    canonical = decode_logs(make_request(make_log(1, **fields)), NOW_NS)
    assert logs_of(canonical) == [make_log(1)]
    assert bool(canonical.warnings) is is_warned


@pytest.mark.parametrize(
    ("time_ns", "code"),
    [(1_700_000_000, "time_past"), (NOW_NS + 2 * DAY_NS, "time_future")],
)
def test_log_with_impossible_time_is_rejected(time_ns: int, code: str) -> None:
    """A log record before 2000 or over a day ahead is rejected alone."""
    body = make_request(make_log(1), make_log(2, time_unix_nano=time_ns))
    canonical = decode_logs(body, NOW_NS)
    assert logs_of(canonical) == [make_log(1)]
    assert canonical.rejected_by == {code: 1}


def test_log_without_time_uses_the_observed_time() -> None:
    """A record that only says when it was observed is left as it is."""
    record = make_log(1, time_unix_nano=0, observed_time_unix_nano=NOW_NS - 5)
    canonical = decode_logs(make_request(record), NOW_NS)
    assert logs_of(canonical) == [record]
    assert not canonical.is_timeless


def test_log_without_any_time_gets_its_arrival() -> None:
    """A record without a usable time gets the time of arrival, and says so."""
    canonical = decode_logs(make_request(make_log(1, time_unix_nano=0)), NOW_NS)
    assert logs_of(canonical)[0].observed_time_unix_nano == NOW_NS
    assert canonical.is_timeless


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_canonical(body: bytes) -> None:
    """Whatever the bytes, the outcome is a refusal or a message that decodes to itself."""
    try:
        canonical = decode_traces(body, NOW_NS)
    except Undecodable:
        return
    assert decode_traces(canonical.message, NOW_NS).message == canonical.message


@given(st.data())
def test_damaged_requests_are_refused_or_canonical(data: st.DataObject) -> None:
    """A valid request with a few wrong bytes never breaks the decoder."""
    body = bytearray(make_request(make_span(1), make_span(2)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        canonical = decode_traces(bytes(body), NOW_NS)
    except Undecodable:
        return
    again = decode_traces(canonical.message, NOW_NS)
    assert (again.accepted, again.rejected) == (canonical.accepted, 0)


def test_resources_are_counted() -> None:
    """A load's memory grows with the resources too: how many a request has is told."""
    body = b"".join(make_request(make_span(number), service=f"s{number}") for number in range(4))
    assert decode_traces(body, NOW_NS).resources == 4
