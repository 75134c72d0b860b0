"""Answers about several gateway records that the lab found wrong."""

from collector.model import GatewayRecord, Id
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, TRACE, TraceBuilder, record, stitch

_SENT_BY_INNER = "ce0b5462de9a5b08"
_CALLER = "5f0a1b2c3d4e5f60"


def _two_gateways(*, outer_ms: int, inner_ms: int, **inner: object) -> list[GatewayRecord]:
    """
    Two records of one trace that do not name each other; times are whole milliseconds.

    The outer one starts first, by less than the rounding of its duration.
    """
    outer_record = record(
        record_id="00000000-0000-4000-8000-00000000000a",
        instance="apim-external",
        ids=(Id("apim_correlation_id", "00000000-0000-4000-8000-00000000000a"),),
        total=outer_ms,
        backend=outer_ms,
        trace_id=TRACE,
        outgoing_span_id="a0a0a0a0a0a0a0a0",
        at=-0.12,
        resolution_ns=MS,
        **({"status": 504, "is_error": True, "error_reason": "Timeout"} if inner else {}),
    )
    inner_record = record(
        instance="apim",
        total=inner_ms,
        backend=inner_ms - 1,
        trace_id=TRACE,
        outgoing_span_id=_SENT_BY_INNER,
        resolution_ns=MS,
        **inner,
    )
    return [outer_record, inner_record]


def _gateways(timeline: Timeline) -> list[tuple[str, int]]:
    return [(hop.service, hop.parent) for hop in timeline.hops if hop.role == "gateway"]


def test_gateway_that_called_the_mesh_is_the_inner_one() -> None:
    """Where two records hold each other within their rounding, ids decide who called the mesh."""
    trace = TraceBuilder()
    edge = trace.edge(0.3, 10.4, _SENT_BY_INNER)
    trace.sidecar_in("front", 0.5, 10, edge)
    timeline = stitch(_two_gateways(outer_ms=11, inner_ms=11), trace.spans, now_ns=LONG_AFTER)
    assert _gateways(timeline) == [("apim-external", -1), ("apim", 0)]


def test_outer_gateway_that_gives_up_is_not_its_callees_client() -> None:
    """An inner gateway whose caller is a gateway that timed out reports no abort of the client."""
    trace = TraceBuilder()
    edge = trace.edge(0.3, 151, _SENT_BY_INNER, code=0, flags="DC")
    inward = trace.sidecar_in("front", 0.5, 150.8, edge, code=0, flags="DC")
    trace.span("front", 1, 500, inward, "Server")
    records = _two_gateways(
        outer_ms=149,
        inner_ms=152,
        status=0,
        is_error=True,
        error_reason="ClientConnectionFailure",
    )
    timeline = stitch(records, trace.spans, now_ns=LONG_AFTER)
    assert _gateways(timeline) == [("apim-external", -1), ("apim", 0)]
    verdict = timeline.verdict
    assert (verdict.layer, verdict.component, verdict.class_) == (
        "gateway",
        "apim-external",
        "timeout",
    )
    assert "of it for front, which took 500 ms" in verdict.reason
    assert "TIMEOUT_LONGER_INSIDE" in {finding.rule for finding in timeline.findings}


def test_two_requests_of_one_trace_keep_their_own_spans() -> None:
    """
    Two calls in turn under one header that the gateway passes on: time tells which span is whose.

    The longer of the two requests is not robbed of its spans by the shorter one.
    """
    trace = TraceBuilder()
    first = trace.edge(0.5, 189, _CALLER)
    trace.sidecar_in("front", 1, 188, first)
    second = trace.edge(192.5, 187, _CALLER)
    trace.sidecar_in("front", 193, 186, second)
    records = [
        record(
            record_id=name,
            ids=(Id("apim_correlation_id", name),),
            at=at,
            total=total,
            backend=total,
            trace_id=TRACE,
            parent_span_id=_CALLER,
            resolution_ns=MS,
        )
        for name, at, total in (
            ("00000000-0000-4000-8000-000000000001", 0, 190),
            ("00000000-0000-4000-8000-000000000002", 192, 188),
        )
    ]
    for one, edge in zip(records, (first, second), strict=True):
        timeline = stitch(records, trace.spans, now_ns=LONG_AFTER, subject=one.record_id)
        edges = [span.raw_span_id for span in timeline.spans if span.role == "edge"]
        assert edges == [edge.span_id]
        assert [merged.record.record_id for merged in timeline.gateway_records] == [one.record_id]
