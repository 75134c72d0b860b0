"""OTLP/JSON becomes the same canonical bytes as OTLP/protobuf."""

import base64
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decode.otlp import json as otlp_json
from collector.decode.otlp import metrics as otlp_metrics
from collector.decode.otlp import protobuf as otlp
from collector.errors import TooLarge, Undecodable
from tests.ingest import NOW_NS, make_log, make_request, make_span, text

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN: dict[str, Any] = {
    "traceId": TRACE_ID,
    "spanId": "eee19b7ec3c1b174",
    "name": "checkout",
    "kind": 2,
    "startTimeUnixNano": str(NOW_NS - 5),
    "endTimeUnixNano": str(NOW_NS),
}


def wrap(span: dict[str, Any], **names: str) -> bytes:
    scopes = names.get("scopes", "scopeSpans")
    return json.dumps({"resourceSpans": [{scopes: [{"spans": [span]}]}]}).encode()


def decode_span(span: dict[str, Any], **names: str) -> Span:
    canonical = otlp_json.decode_traces(wrap(span, **names), NOW_NS)
    request = ExportTraceServiceRequest.FromString(canonical.message)
    return request.resource_spans[0].scope_spans[0].spans[0]


def with_hex_ids(value: Any) -> Any:
    """Turn json_format's base64 ids into OTLP's hex ones."""
    if isinstance(value, list):
        return [with_hex_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(each).hex()
        if key in ("traceId", "spanId", "parentSpanId")
        else with_hex_ids(each)
        for key, each in value.items()
    }


def full_span() -> Span:
    nested = AnyValue()
    nested.array_value.values.add(double_value=2.5)
    nested.array_value.values.add().kvlist_value.values.add(key="k", value={"int_value": -7})
    span = make_span(
        1,
        trace_state="vendor=1",
        parent_span_id=b"\7" * 8,
        flags=0x101,
        attributes=[
            text("snow", "☃"),
            {"key": "flag", "value": {"bool_value": True}},
            {"key": "count", "value": {"int_value": 2**62}},
            {"key": "raw", "value": {"bytes_value": b"\0\xff"}},
            {"key": "nested", "value": nested},
        ],
        status={"code": 2, "message": "broke"},
        dropped_events_count=3,
    )
    span.events.add(time_unix_nano=NOW_NS, name="retry", attributes=[text("n", "1")])
    span.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, flags=1)
    return span


def every_metric() -> list[Metric]:
    point = {"time_unix_nano": NOW_NS, "attributes": [text("route", "/a")]}
    metrics = [Metric(name=name, unit="1") for name in "abcde"]
    metrics[0].gauge.data_points.add(as_double=1.5, **point)
    metrics[1].sum.data_points.add(as_int=-3, **point)
    metrics[1].sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    metrics[1].sum.is_monotonic = True
    metrics[2].histogram.data_points.add(
        count=3, sum=4.5, bucket_counts=[1, 2], explicit_bounds=[0.5], **point
    )
    exponential = metrics[3].exponential_histogram.data_points.add(count=1, scale=-2, **point)
    exponential.positive.offset = -5
    exponential.positive.bucket_counts.extend([0, 2**40])
    metrics[4].summary.data_points.add(count=1, quantile_values=[{"quantile": 0.5}], **point)
    return metrics


def test_full_span_equals_its_protobuf() -> None:
    """Every field and value type comes out as the same bytes as from protobuf."""
    body = make_request(full_span(), make_span(2))
    document = with_hex_ids(MessageToDict(ExportTraceServiceRequest.FromString(body)))
    decoded = otlp_json.decode_traces(json.dumps(document).encode(), NOW_NS)
    assert decoded == otlp.decode_traces(body, NOW_NS)


def test_log_equals_its_protobuf() -> None:
    """Log records as well."""
    body = make_request(make_log(1, trace_id=b"\1" * 16, severity_number=9, event_name="e"))
    document = with_hex_ids(MessageToDict(ExportLogsServiceRequest.FromString(body)))
    decoded = otlp_json.decode_logs(json.dumps(document).encode(), NOW_NS)
    assert decoded == otlp.decode_logs(body, NOW_NS)


def test_every_kind_of_metric_equals_its_protobuf() -> None:
    """All five kinds of metric, with signed, packed and zigzag numbers."""
    body = make_request(*every_metric())
    document = with_hex_ids(MessageToDict(ExportMetricsServiceRequest.FromString(body)))
    decoded = otlp_json.decode_metrics(json.dumps(document).encode(), NOW_NS)
    assert decoded == otlp_metrics.decode_metrics(body, NOW_NS)
    assert decoded.accepted == 5


def test_hex_ids_in_any_case() -> None:
    """Ids are hex, case-insensitive."""
    assert decode_span(SPAN | {"traceId": TRACE_ID.upper()}).trace_id == bytes.fromhex(TRACE_ID)


@pytest.mark.parametrize("value", [NOW_NS - 5, str(NOW_NS - 5), float(NOW_NS - 256)])
def test_large_numbers_as_text_or_number(value: Any) -> None:
    """64-bit numbers may be text, whole numbers, or floats without a fraction."""
    assert decode_span(SPAN | {"startTimeUnixNano": value}).start_time_unix_nano == int(value)


@pytest.mark.parametrize(("kind", "expected"), [(2, 2), ("SPAN_KIND_CLIENT", 3), ("ODD", 0)])
def test_enum_numbers_and_names(kind: Any, expected: int) -> None:
    """Enums are numbers; names, which some senders write, are tolerated."""
    assert decode_span(SPAN | {"kind": kind}).kind == expected


def test_unknown_and_snake_case_fields_are_ignored() -> None:
    """A field this version does not know costs nothing; snake_case is such a field."""
    odd = SPAN | {"fromTheFuture": {"a": [1]}, "parent_span_id": "eee19b7ec3c1b175"}
    assert decode_span(odd) == decode_span(SPAN)


@pytest.mark.parametrize("names", [["resource_spans"], ["ResourceSpans", "x"], ["spans"]])
def test_a_request_of_which_no_field_is_known_says_so(names: list[str]) -> None:
    """A general writer of protobuf keeps snake_case: ignored, as must be, but not in silence."""
    spans = [{"scope_spans": [{"spans": [SPAN]}]}]
    result = otlp_json.decode_traces(json.dumps(dict.fromkeys(names, spans)).encode(), NOW_NS)
    assert (result.accepted, result.rejected) == (0, 0)
    (warning,) = result.warnings
    assert "`resourceSpans`" in warning
    assert otlp_json.decode_traces(b"{}", NOW_NS).warnings == ()


def test_null_is_the_default() -> None:
    """A null field is as good as absent."""
    assert decode_span(SPAN | {"traceState": None, "events": None}) == decode_span(SPAN)


def test_old_scope_names() -> None:
    """Senders from before OTLP 0.15 say instrumentationLibrarySpans."""
    assert decode_span(SPAN, scopes="instrumentationLibrarySpans") == decode_span(SPAN)


@pytest.mark.parametrize("trace_id", ["xyz", "", TRACE_ID[:30], 7, TRACE_ID + "00"])
def test_wrong_id_costs_its_span_only(trace_id: Any) -> None:
    """An id that is no hex of 16 bytes rejects the span, not the request."""
    spans = [SPAN | {"traceId": trace_id}, SPAN]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    canonical = otlp_json.decode_traces(body, NOW_NS)
    assert (canonical.accepted, canonical.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\x0a\x03abc", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"resourceSpans": {}}', "`resourceSpans` is an object, not a list"),
        (b'{"resourceSpans": [7]}', "expected an object, got a number"),
        (wrap(SPAN | {"name": 7}), "`name` is a number, not text"),
        (wrap(SPAN | {"startTimeUnixNano": "soon"}), "`startTimeUnixNano` is text"),
        (wrap(SPAN | {"startTimeUnixNano": 1.5}), "`startTimeUnixNano` is a number"),
        (wrap(SPAN | {"startTimeUnixNano": -1}), "`startTimeUnixNano` is out of range"),
        (wrap(SPAN | {"startTimeUnixNano": True}), "`startTimeUnixNano` is a boolean"),
        (wrap(SPAN | {"flags": 2**33}), "`flags` is out of range"),
        (wrap(SPAN | {"attributes": [{"key": 1}]}), "`key` is a number"),
        (wrap(SPAN | {"attributes": ["x"]}), "expected an object, got text"),
        (
            wrap(SPAN | {"attributes": [{"key": "a", "value": {"boolValue": "yes"}}]}),
            "`boolValue` is text",
        ),
        (
            wrap(SPAN | {"attributes": [{"key": "a", "value": {"bytesValue": "§"}}]}),
            "`bytesValue` is not base64",
        ),
        (
            wrap(SPAN | {"attributes": [{"key": "a", "value": {"doubleValue": "x"}}]}),
            "`doubleValue` is text",
        ),
    ],
)
def test_wrong_types_are_refused_by_name(body: bytes, said: str) -> None:
    """A wrong type refuses the request and names the field."""
    with pytest.raises(Undecodable) as refused:
        otlp_json.decode_traces(body, NOW_NS)
    assert said in refused.value.message


def test_special_doubles() -> None:
    """NaN and infinities are text in proto3 JSON, and some senders write them bare."""
    for written in ('"NaN"', '"Infinity"', '"-Infinity"', "NaN"):
        body = wrap(SPAN | {"attributes": [{"key": "a", "value": {"doubleValue": 0}}]})
        body = body.replace(b'"doubleValue": 0', b'"doubleValue": ' + written.encode())
        assert otlp_json.decode_traces(body, NOW_NS).accepted == 1


def test_wrong_bytes_and_lone_surrogates_are_replaced() -> None:
    """Latin-1 in a JSON text, or half a surrogate pair, costs a character and not the request."""
    body = wrap(SPAN | {"name": "M#nchen \ud800"}).replace(b"#", b"\xfc")
    canonical = otlp_json.decode_traces(body, NOW_NS)
    request = ExportTraceServiceRequest.FromString(canonical.message)
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "M\ufffdnchen ?"


@pytest.mark.parametrize("depth", [100, 1000, 100_000])
def test_deep_nesting_is_undecodable(depth: int) -> None:
    """Values nested deeper than protobuf can hold are refused, without a stack overflow."""
    inner = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
    value = f'[{{"key":"deep","value":{inner}}}]'
    body = wrap(SPAN | {"attributes": "#"}).replace(b'"#"', value.encode())
    with pytest.raises(Undecodable):
        otlp_json.decode_traces(body, NOW_NS)


def test_json_has_a_smaller_cap() -> None:
    """Parsed JSON is twenty times its size at worst, so 8 MiB is the most."""
    with pytest.raises(TooLarge):
        otlp_json.decode_traces(b" " * (otlp_json.MAX_JSON_BYTES + 1), NOW_NS)


def test_empty_bodies() -> None:
    """Neither nothing nor an empty object is an error."""
    assert otlp_json.decode_traces(b"", NOW_NS).accepted == 0
    assert otlp_json.decode_traces(b"{}", NOW_NS).accepted == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value"])
            | st.sampled_from(["stringValue", "traceId", "kind", "resource", "events"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.just("resourceSpans"), _JSON))
def test_any_json_is_refused_or_canonical(document: dict[str, Any]) -> None:
    """Whatever the JSON, the outcome is a refusal or a canonical message."""
    try:
        canonical = otlp_json.decode_traces(json.dumps(document).encode(), NOW_NS)
    except Undecodable:
        return
    assert otlp.decode_traces(canonical.message, NOW_NS).rejected == 0


def test_ids_in_base64_are_read_where_they_can_be_nothing_else() -> None:
    """General JSON writers of protobuf encode bytes so; hex has no padding."""
    trace_id, span_id, parent = bytes(range(1, 17)), bytes(range(1, 9)), bytes(range(9, 17))
    span = decode_span(
        {
            "traceId": base64.b64encode(trace_id).decode(),
            "spanId": base64.b64encode(span_id).decode(),
            "parentSpanId": base64.b64encode(parent).decode(),
            "name": "x",
            "startTimeUnixNano": str(NOW_NS - 5),
            "endTimeUnixNano": str(NOW_NS),
        }
    )
    assert (span.trace_id, span.span_id, span.parent_span_id) == (trace_id, span_id, parent)
