"""Trace contexts in logs whose keys their users chose."""

from collections.abc import Mapping

import pytest

from collector.decode.context import (
    LoggedContext,
    context_from_headers,
    find_ids,
    read_context,
)
from collector.model import Id

TRACE, SPAN = "4d" * 16, "5e" * 8
HEADER = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("row", "context"),
    [
        ({"traceparent": HEADER}, LoggedContext(TRACE, SPAN, "", True, "traceparent")),
        ({"trace_id": TRACE}, LoggedContext(TRACE, source="trace_id")),
        ({"trace_id": TRACE[:16]}, LoggedContext(TRACE[:16].rjust(32, "0"), source="trace_id")),
        ({"traceId": TRACE, "spanId": SPAN}, LoggedContext(TRACE, SPAN, source="traceId")),
        (
            {"otel_trace_id": TRACE, "otel_parent_id": SPAN, "otel_parent_sampled": "0"},
            LoggedContext(TRACE, "", SPAN, False, "otel_trace_id"),
        ),
        (
            {"opentelemetry_context_traceparent": HEADER},
            LoggedContext(TRACE, SPAN, "", True, "opentelemetry_context_traceparent"),
        ),
        ({"b3": f"{TRACE}-{SPAN}-0"}, LoggedContext(TRACE, SPAN, "", False, "b3")),
        (
            {"uber_trace_id": f"{TRACE}:{SPAN}:0:1"},
            LoggedContext(TRACE, SPAN, "", True, "uber_trace_id"),
        ),
        (
            {"x_amzn_trace_id": f"Root=1-{TRACE[:8]}-{TRACE[8:]}"},
            LoggedContext(TRACE, source="x_amzn_trace_id"),
        ),
        ({"traceparent": "-", "trace_id": TRACE}, LoggedContext(TRACE, source="trace_id")),
        ({"http_traceparent": HEADER}, LoggedContext(TRACE, SPAN, "", True, "http_traceparent")),
        (
            {"Request-Traceparent": HEADER},
            LoggedContext(TRACE, SPAN, "", True, "Request-Traceparent"),
        ),
        (
            {"opentracing_context_x_b3_traceid": TRACE, "opentracing_context_x_b3_spanid": SPAN},
            LoggedContext(TRACE, SPAN, source="opentracing_context_x_b3_traceid"),
        ),
        (
            {"x_b3_traceid": TRACE, "x_b3_spanid": SPAN, "x_b3_parentspanid": "6f" * 8},
            LoggedContext(TRACE, SPAN, "6f" * 8, source="x_b3_traceid"),
        ),
        (
            {"http_x_cloud_trace_context": f"{TRACE}/{int(SPAN, 16)};o=1"},
            LoggedContext(TRACE, SPAN, "", True, "http_x_cloud_trace_context"),
        ),
        (
            {"x_datadog_trace_id": str(int(SPAN, 16)), "x_datadog_parent_id": "7"},
            LoggedContext(SPAN.rjust(32, "0"), "7".rjust(16, "0"), source="x_datadog_trace_id"),
        ),
        (
            {"logging.googleapis.com/trace": f"projects/p/traces/{TRACE}"},
            LoggedContext(TRACE, source="logging.googleapis.com/trace"),
        ),
        (
            {"traceparent": HEADER, "trace_id": "ab" * 16},
            LoggedContext(TRACE, SPAN, "", True, "traceparent"),
        ),
    ],
)
def test_each_key_gives_its_context(row: Mapping[str, str], context: LoggedContext) -> None:
    """Whole headers win over single ids, and the key it came from is kept."""
    assert read_context(row) == context


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"trace_id": ""},
        {"trace_id": "-"},
        {"trace_id": None},
        {"trace_id": "0" * 32},
        {"trace_id": "not hex"},
        {"trace_id": 17},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": ["x"]},
        {"b3": "0"},
    ],
)
def test_what_is_no_trace_id_gives_none(row: Mapping[str, object]) -> None:
    """Placeholders, zeros and other types are no context."""
    assert read_context(row).trace_id == ""


def test_headers_of_a_message_give_the_outgoing_context() -> None:
    """The usual form and every other carrier agree on what the ids are."""
    for flag, is_sampled in (("00", False), ("01", True), ("03", True)):
        header = f"00-{TRACE}-{SPAN}-{flag}"
        context = context_from_headers({"traceparent": header}, "h.")
        assert context == LoggedContext(TRACE, SPAN, "", is_sampled, "h.traceparent")
    b3 = context_from_headers({"b3": f"{TRACE}-{SPAN}-1", "accept": "*/*"})
    assert b3 == LoggedContext(TRACE, SPAN, "", True, "b3")
    assert context_from_headers({"accept": "*/*"}).trace_id == ""


def test_a_zero_parent_keeps_the_trace_and_names_no_span() -> None:
    """The widespread recipe with sixteen zeros breaks the parent, not the trace id."""
    context = context_from_headers({"traceparent": f"00-{TRACE}-{'0' * 16}-01"})
    assert (context.trace_id, context.outgoing_span_id) == (TRACE, "")
    assert context_from_headers({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}).trace_id == ""


def test_request_ids_among_headers_are_found() -> None:
    """Only the known headers are ids, placeholders are none."""
    headers = {"x-request-id": "r-1", "x-correlation-id": "-", "accept": "x"}
    assert find_ids(headers) == (Id("x_request_id", "r-1"),)
    assert find_ids({}) == ()
