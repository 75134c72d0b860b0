"""Access log lines find the span of the proxy that wrote them."""

import pytest

from collector.model import LogRecord, Span
from tests.unit.stitch.building import LONG_AFTER, MS, START, TRACE, TraceBuilder, record, stitch


def line(span: Span, *, names: str, service: str, node: str, request_id: str = "") -> LogRecord:
    """Return the line that a proxy logs about *span* through the gRPC access log service."""
    return LogRecord(
        time_ns=span.start_ns + MS // 10,
        trace_id=span.trace_id,
        span_id=names,
        service=service,
        attributes={
            "method": "GET",
            "response_code": "503",
            "response_flags": "FI",
            "response_code_details": "fault_filter_abort",
            "duration_ns": "900000",
            "request_id": request_id,
        },
        resource={"service.name": service, "node_name": node},
    )


def details(spans: list[Span], log: LogRecord) -> dict[str, str]:
    """Return the response code details that each span was given, by its id."""
    timeline = stitch([], spans, [log], now_ns=LONG_AFTER)
    key = "access_log.response_code_details"
    return {s.span_id: s.attributes[key] for s in timeline.spans if key in s.attributes}


def test_abort_before_the_router_is_the_callees() -> None:
    """A line that names its caller's span lies with the span of the node that wrote it."""
    trace = TraceBuilder()
    edge = trace.edge(0, 20, None)
    out = trace.sidecar_out("shop", "stock", 2, 10, edge)
    inward = trace.sidecar_in("stock", 3, 2, out)
    node = inward.attributes["node_id"]
    log = line(inward, names=out.span_id, service="stock.shop", node=node)
    assert details(trace.spans, log) == {inward.span_id: "fault_filter_abort"}


def test_node_ids_tell_pods_of_one_service_apart() -> None:
    """Where a service calls itself only the node id says which of its proxies wrote a line."""
    trace = TraceBuilder()
    edge = trace.edge(0, 20, None)
    out = trace.sidecar_out("stock", "stock", 2, 10, edge)
    node = "sidecar~10.1.2.9~stock-6d9f7c5b84-zzzzz.shop~shop.svc.cluster.local"
    inward = trace.sidecar_in("stock", 2.5, 2, out, attributes={"node_id": node})
    log = line(inward, names=out.span_id, service="stock.shop", node=node)
    assert details(trace.spans, log) == {inward.span_id: "fault_filter_abort"}


def test_line_with_a_request_id_finds_its_node() -> None:
    """Without any span id the request id and the node are enough, whatever the direction."""
    trace = TraceBuilder()
    edge = trace.edge(0, 20, None, request_id="r-1")
    out = trace.sidecar_out("shop", "stock", 2, 10, edge, request_id="r-1")
    inward = trace.sidecar_in("stock", 3, 2, out, request_id="r-1")
    node = inward.attributes["node_id"]
    log = line(inward, names="", service="", node=node, request_id="r-1")
    assert details(trace.spans, log) == {inward.span_id: "fault_filter_abort"}


def test_line_of_a_proxy_without_a_span_is_laid_nowhere() -> None:
    """What another node logged says nothing about the spans that are there."""
    trace = TraceBuilder()
    edge = trace.edge(0, 20, None)
    out = trace.sidecar_out("shop", "stock", 2, 10, edge)
    log = line(out, names=out.span_id, service="stock.shop", node="sidecar~1.2.3.4~stock-0.shop~x")
    assert details(trace.spans, log) == {}


def only_logged(at: float, request_id: str) -> LogRecord:
    """Return the line of an edge proxy in a mesh without a tracer."""
    return LogRecord(
        time_ns=START + int(at * MS),
        attributes={
            "traceparent": f"00-{TRACE}-00000000000000c1-01",
            "request_id": request_id,
            "response_code": "200",
            "response_flags": "-",
            "duration": "20",
        },
        resource={"service.name": "edge.shop"},
    )


@pytest.mark.parametrize(("at", "expected"), [(0, "r-1"), (500, "r-2")])
def test_of_several_requests_in_one_trace_the_records_own_is_drawn(at: int, expected: str) -> None:
    """A client's trace may hold many requests: without a shared id the record's time decides."""
    logs = [only_logged(10, "r-1"), only_logged(510, "r-2")]
    known = record(at=at, total=40, backend=30, trace_id=TRACE)
    timeline = stitch([known], [], logs, now_ns=LONG_AFTER, subject=known.record_id)
    drawn = {s.attributes["guid:x-request-id"] for s in timeline.spans if s.raw_span_id}
    assert drawn == {expected}


def test_the_request_that_was_asked_for_is_drawn() -> None:
    """Asked by request id, the lines of that request alone make the timeline."""
    logs = [only_logged(10, "r-1"), only_logged(510, "r-2")]
    timeline = stitch([], [], logs, now_ns=LONG_AFTER, subject="r-2")
    assert [s.attributes["guid:x-request-id"] for s in timeline.spans] == ["r-2"]
