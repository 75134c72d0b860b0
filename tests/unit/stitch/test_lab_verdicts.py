"""Answers that the lab found wrong: who gave up, and what that says of limits and clocks."""

from collector.model import GatewayRecord
from collector.stitch.timeline import Timeline
from collector.stitch.tree.access_logs import FROM_ACCESS_LOG
from tests.unit.stitch.building import LONG_AFTER, TRACE, TraceBuilder, record, stitch

_GATEWAY_SPAN = "c0ffee0000000001"


def _impatient_application() -> tuple[GatewayRecord, TraceBuilder]:
    """The front waits 150 ms for the basket, whose application works on for 500 ms."""
    trace = TraceBuilder()
    edge = trace.edge(0.4, 155, _GATEWAY_SPAN, code=502)
    out = trace.sidecar_out(
        "istio-ingressgateway", "front", 0.5, 154.8, edge, code=502, node_kind="router"
    )
    inward = trace.sidecar_in("front", 0.7, 154.4, out, code=502)
    front = trace.span(
        "front",
        2,
        153,
        inward,
        "Server",
        status="Error",
        attributes={"http.response.status_code": "502"},
    )
    call = trace.span(
        "front", 4, 150.8, front, "Client", status="Error", attributes={"error.type": "timeout"}
    )
    away = trace.sidecar_out("front", "basket", 4.3, 151.4, call, code=0, flags="DC")
    inner = trace.sidecar_in("basket", 4.4, 151.5, away, code=0, flags="DC")
    trace.span("basket", 4.7, 500, inner, "Server", attributes={"http.response.status_code": "200"})
    known = record(
        total=156,
        backend=155,
        client=0,
        status=502,
        backend_status=502,
        trace_id=TRACE,
        outgoing_span_id=_GATEWAY_SPAN,
    )
    return known, trace


def _rules(timeline: Timeline) -> set[str]:
    return {finding.rule for finding in timeline.findings}


def test_application_that_gives_up_is_blamed_for_its_limit() -> None:
    """A call that its caller cut short is a timeout of the caller, not an error of the callee."""
    known, trace = _impatient_application()
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    verdict = timeline.verdict
    assert (verdict.layer, verdict.component, verdict.class_) == ("app", "front", "timeout")
    assert verdict.who_closed == "front"
    assert timeline.hops[verdict.hop].service.startswith("basket")


def test_callee_that_works_on_is_no_doubt_about_the_data() -> None:
    """That the callee outlasts its caller follows from the limit; clocks and parents are right."""
    known, trace = _impatient_application()
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert _rules(timeline) == {"TIMEOUT_LONGER_INSIDE"}


def test_client_that_leaves_is_no_reason_to_shorten_a_limit() -> None:
    """A gateway whose client went away has not run into a limit of its own."""
    trace = TraceBuilder()
    trace.edge(0.4, 150, _GATEWAY_SPAN, code=0, flags="DC")
    inward = trace.sidecar_in("front", 0.7, 500, trace.spans[0], code=200)
    trace.span("front", 1, 499, inward, "Server")
    known = record(
        total=151,
        backend=150,
        client=0,
        status=0,
        is_error=True,
        error_reason="ClientConnectionFailure",
        error_section="backend",
        trace_id=TRACE,
        outgoing_span_id=_GATEWAY_SPAN,
    )
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert timeline.verdict.layer == "client"
    assert "TIMEOUT_LONGER_INSIDE" not in _rules(timeline)


def test_copy_that_outlasts_the_call_is_normal() -> None:
    """Nobody waits for a mirrored call, so it may end after everything else."""
    trace = TraceBuilder()
    front = trace.span("front", 0, 52, trace.edge(0, 53), "Server")
    out = trace.sidecar_out("front", "basket", 0, 50, front)
    copy = trace.sidecar_out("front", "basket-next", 0.1, 360, out, name="mirror")
    trace.span("basket-next", 1, 358, copy, "Server")
    trace.sidecar_in("basket", 0.2, 49, out)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert _rules(timeline) == set()


def test_cut_off_backend_time_contradicts_nothing() -> None:
    """12.9 ms are logged as 12; that the callee measured 12.8 ms is no contradiction."""
    trace = TraceBuilder()
    trace.edge(0.5, 12.8, _GATEWAY_SPAN)
    known = record(
        total=14,
        backend=12,
        client=0,
        trace_id=TRACE,
        outgoing_span_id=_GATEWAY_SPAN,
        resolution_ns=1_000_000,
    )
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert _rules(timeline) == set()


def test_one_proxy_has_one_clock() -> None:
    """A proxy's upstream span without node id that ends a little late does not move its host."""
    trace = TraceBuilder()
    edge = trace.edge(0.3, 186.6, _GATEWAY_SPAN)
    upstream = trace.span(
        "istio-ingressgateway.shop",
        0.31,
        186.7,
        edge,
        "Client",
        name="router outbound|8080||front.shop.svc.cluster.local; egress",
        attributes={
            "component": "proxy",
            "upstream_cluster": "outbound|8080||front.shop.svc.cluster.local",
            "net.host.ip": "10.1.2.3",
        },
    )
    trace.sidecar_in("front", 0.4, 186.3, upstream)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [span.adjusted_by_ns for span in timeline.spans] == [0, 0, 0]
    assert "CLOCK" not in _rules(timeline)


def test_timeout_above_several_tries_is_of_the_last_visit() -> None:
    """The span above the tries is the caller's; what got no answer is the last visit it made."""
    trace = TraceBuilder()
    edge = trace.edge(0, 225, code=502)
    answered = {"http.response.status_code": "502"}
    front = trace.span("front", 0, 224, edge, "Server", status="Error", attributes=answered)
    tries = trace.sidecar_out("front", "basket", 2.9, 221, front, code=504, flags="URX,UT")
    trace.sidecar_in("basket", 3, 99, tries, code=0, flags="DC")
    trace.sidecar_in("basket", 123, 100, tries, code=0, flags="DC")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    verdict = timeline.verdict
    assert (verdict.layer, verdict.class_) == ("mesh", "timeout")
    assert timeline.hops[verdict.hop].service == "basket.shop"
    assert timeline.hops[verdict.hop].attempt == 2


def test_timeout_at_the_edge_is_of_the_service_behind_it() -> None:
    """The edge's own span says that it gave up; the visit that got no answer is its callee's."""
    trace = TraceBuilder()
    edge = trace.edge(0, 151, code=504, flags="UT")
    out = trace.sidecar_out(
        "istio-ingressgateway", "front", 0.1, 150, edge, code=504, flags="UT", node_kind="router"
    )
    trace.sidecar_in("front", 0.3, 149, out, code=0, flags="DC")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert timeline.hops[timeline.verdict.hop].service == "front.shop"


def test_whole_milliseconds_of_an_access_log_are_no_wrong_clock() -> None:
    """Start and duration of a line are cut off: its end may be two milliseconds too early."""
    trace = TraceBuilder()
    edge = trace.edge(0, 100, attributes={FROM_ACCESS_LOG: "true"})
    front = trace.sidecar_in("front", 1, 100, edge, attributes={FROM_ACCESS_LOG: "true"})
    out = trace.sidecar_out("front", "basket", 3, 80, front, attributes={FROM_ACCESS_LOG: "true"})
    trace.sidecar_in("basket", 4, 80.9, out, attributes={FROM_ACCESS_LOG: "true"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert {span.adjusted_by_ns for span in timeline.spans} == {0}
    assert "CLOCK" not in {finding.rule for finding in timeline.findings}


def test_less_than_two_milliseconds_is_no_wrong_clock() -> None:
    """A span from another host that ends 0.4 ms too late is moved, and no clock is accused."""
    trace = TraceBuilder()
    out = trace.sidecar_out("front", "basket", 0, 10, trace.edge(0, 12))
    trace.sidecar_in("basket", 1, 9.9, out)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert "CLOCK" not in _rules(timeline)
