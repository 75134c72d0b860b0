"""One id, several requests: a header that was passed on, and what each request makes of it."""

from typing import Any

import pytest

from collector.model import GatewayRecord, Id, Span
from collector.stitch.time.clocks import sample_pairs
from collector.stitch.time.placement import ClockOffsets, Offset
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import (
    CORRELATION,
    LONG_AFTER,
    MS,
    TRACE,
    TraceBuilder,
    record,
    stitch,
)

_CALLER = "b3c0ffee12345678"
_SENT = "5e4700000000000a"


def call(
    trace: TraceBuilder,
    at: float,
    ms: float,
    *,
    parent: str = _CALLER,
    code: int = 200,
    path: str = "/orders/7",
    method: str = "GET",
    service: str = "orders",
) -> Span:
    """Add the server span of an application that the gateway called."""
    return trace.span(
        service,
        at,
        ms,
        parent,
        "Server",
        status="Error" if code >= 500 else "Unset",
        attributes={
            "http.request.method": method,
            "url.path": path,
            "http.response.status_code": str(code),
        },
        resource={"host.name": f"{service}-host"},
    )


def request(name: str, at: float, total: float, code: int = 200, **more: Any) -> GatewayRecord:
    """Return the record of a request that was sent the caller's header and passed it on."""
    given: dict[str, Any] = {
        "record_id": name,
        "ids": (),
        "at": at,
        "total": total,
        "backend": total - 4,
        "status": code,
        "backend_status": code,
        "is_error": code >= 500,
        "trace_id": TRACE,
        "parent_span_id": _CALLER,
        "outgoing_span_id": _CALLER,
        "path": "/orders/7",
        "resolution_ns": MS,
        **more,
    }
    return record(**given)


def asked(records: list[GatewayRecord], trace: TraceBuilder, subject: str) -> Timeline:
    """Return the timeline of one of the requests."""
    return stitch(records, trace.spans, now_ns=LONG_AFTER, subject=subject)


def calls_of(timeline: Timeline) -> list[str]:
    """Return the ids of the spans behind the gateway."""
    return [span.raw_span_id for span in timeline.spans if span.role != "gateway"]


def moved(timeline: Timeline) -> list[int]:
    """Return by how much spans were moved, those that were not left out."""
    return [span.adjusted_by_ns for span in timeline.spans if span.adjusted_by_ns]


@pytest.mark.parametrize("gap_ms", [70, 200, 900, 60_000, 3_600_000])
@pytest.mark.parametrize(
    "known",
    [
        {},
        {"outgoing_span_id": ""},
        {"parent_span_id": ""},
        {"gateway": "kong", "parent_span_id": "", "backend_status": None},
        {"gateway": "envoy", "parent_span_id": "", "instance": ""},
    ],
    ids=["passed on", "received", "seen", "kong", "envoy"],
)
def test_a_request_that_is_sent_again_has_its_own_spans(gap_ms: int, known: dict[str, Any]) -> None:
    """A retry under the same header: each record keeps its call, its status and its clock."""
    trace = TraceBuilder()
    first = call(trace, 5, 40, code=503)
    second = call(trace, gap_ms + 5, 50)
    records = [request("first", 0, 50, 503, **known), request("second", gap_ms, 60, **known)]
    failed, good = (asked(records, trace, name) for name in ("first", "second"))
    assert (failed.status, calls_of(failed)) == (503, [first.span_id])
    assert (failed.verdict.layer, failed.verdict.component) == ("app", "orders")
    assert (good.status, calls_of(good)) == (200, [second.span_id])
    assert good.verdict.layer == "none"
    assert moved(failed) == moved(good) == []
    assert failed.others == (f"{records[1].gateway}/second",)
    assert good.others == (f"{records[0].gateway}/first",)
    assert len(failed.gateway_records) == len(good.gateway_records) == 1


@pytest.mark.parametrize(
    ("at", "known"),
    [
        *((at, {}) for at in (-14, 0, 9, 55, 900)),
        # Without the header only the gateway's one clock tells them apart.
        *((at, {"parent_span_id": "", "outgoing_span_id": ""}) for at in (-14, 900)),
    ],
)
def test_a_request_is_not_hung_under_the_calls_of_another_one(
    at: int, known: dict[str, Any]
) -> None:
    """A service behind the first request makes a call long enough to have been the second."""
    trace = TraceBuilder()
    first = call(trace, 3, 190)
    trace.span("orders", 9, 180, first, "Client", attributes={"server.address": "basket"})
    second = call(trace, at + 4, 20)
    records = [request("first", 0, 200, **known), request("second", at, 30, **known)]
    for name, own in (("first", first), ("second", second)):
        timeline = asked(records, trace, name)
        assert len(timeline.gateway_records) == 1
        assert calls_of(timeline)[0] == own.span_id
        assert moved(timeline) == []


def test_requests_in_parallel_under_one_header_keep_their_calls() -> None:
    """Three equal requests that overlap are paired in turn with three equal calls."""
    trace = TraceBuilder()
    calls = [call(trace, 4 + 3 * n, 40) for n in range(3)]
    records = [request(f"r{n}", 3 * n, 50) for n in range(3)]
    for number, one in enumerate(calls):
        assert calls_of(asked(records, trace, f"r{number}")) == [one.span_id]


def test_a_short_request_inside_a_long_one_is_told_by_its_path() -> None:
    """Two parallel calls of one client span: the failed one has its own timeline and span."""
    trace = TraceBuilder()
    slow = call(trace, 5, 295, path="/slow", service="slow")
    fast = call(trace, 50, 40, code=500, path="/fast", service="fast")
    records = [
        request("slow", 0, 310, path="/slow", outgoing_span_id=""),
        request("fast", 45, 50, 500, path="/fast", outgoing_span_id=""),
    ]
    assert calls_of(asked(records, trace, "slow")) == [slow.span_id]
    failed = asked(records, trace, "fast")
    assert (failed.id, failed.status, calls_of(failed)) == ("fast", 500, [fast.span_id])


@pytest.mark.parametrize("late_ms", [-900, -40, 40, 900])
def test_a_short_request_in_a_long_one_is_told_by_its_path_on_other_clocks(late_ms: int) -> None:
    """The short call lies in the long request's time by chance: it was another's."""
    trace = TraceBuilder()
    slow = call(trace, 4 + late_ms, 290, path="/export", service="export")
    fast = call(trace, 70 + late_ms, 30, path="/stock", service="stock", code=500)
    long = request("long", 0, 300, path="/export")
    short = request("short", 60, 45, 500, path="/stock")
    timeline = asked([long, short], trace, "short")
    assert (timeline.status, calls_of(timeline)) == (500, [fast.span_id])
    assert timeline.verdict.component == "stock"
    assert calls_of(asked([long, short], trace, "long")) == [slow.span_id]


@pytest.mark.parametrize("late_ms", [-1_500, -60, 60, 1_500])
def test_a_call_that_its_gateway_gave_up_on_is_its_own_on_other_clocks(late_ms: int) -> None:
    """Nobody else sent that id; that the call went well in the end says nothing against it."""
    trace = TraceBuilder()
    slow = call(trace, 5 + late_ms, 1_900)
    gave_up = request("one", 0, 500, 504, parent_span_id="", backend_status=None)
    timeline = asked([gave_up], trace, "one")
    assert calls_of(timeline) == [slow.span_id]
    assert not [f.rule for f in timeline.findings if f.rule == "JOIN_CONTRADICTED"]


@pytest.mark.parametrize(
    ("parent", "confidence"), [("", 0.48), (_CALLER, 0.0)], ids=["sent only", "passed on"]
)
def test_a_rewritten_path_and_another_clock_are_doubted(parent: str, confidence: float) -> None:
    """Where the gateway may have made the id, it is still the likeliest that this is its call."""
    trace = TraceBuilder()
    call(trace, -60, 40, path="/v2/lookup")
    timeline = asked([request("one", 0, 50, parent_span_id=parent)], trace, "one")
    assert max(link.confidence for link in timeline.links) == confidence


def test_calls_in_turn_stay_in_turn_on_a_clock_that_is_not_the_gateways() -> None:
    """Two services that the gateway called one after the other: one offset explains both."""
    trace = TraceBuilder()
    call(trace, 405, 30, parent=_SENT, service="auth", path="/check")
    call(trace, 445, 50, parent=_SENT)
    made = request("one", 0, 100, outgoing_span_id=_SENT, backend=52)
    timeline = asked([made], trace, "one")
    starts = [hop.start_offset_ns // MS for hop in timeline.hops if hop.role == "service"]
    assert starts == [5, 45]
    app = next(phase for phase in timeline.phases if phase.name == "app")
    assert app.duration_ns == 80 * MS


def test_polling_for_an_hour_under_one_header() -> None:
    """Six hundred equal calls in one trace: each request has the call of its own moment."""
    trace = TraceBuilder()
    calls = [call(trace, 6_000 * n + 3, 12) for n in range(600)]
    records = [request(f"p{n}", 6_000 * n, 20) for n in range(0, 600, 50)]
    for number in (0, 50, 550):
        timeline = asked(records, trace, f"p{number}")
        assert calls_of(timeline) == [calls[number].span_id]
        assert moved(timeline) == []


def test_requests_whose_record_is_not_at_hand_are_named_and_not_taken() -> None:
    """The record of the retry is late: its call is listed as another request's."""
    trace = TraceBuilder()
    first = call(trace, 5, 40, code=503)
    second = call(trace, 205, 50)
    timeline = asked([request("first", 0, 50, 503)], trace, "first")
    assert calls_of(timeline) == [first.span_id]
    assert timeline.others == (second.span_id,)


def test_a_retry_is_not_taken_for_the_failed_request_whose_call_never_left() -> None:
    """The gateway could not connect; the only call there is was made for the retry."""
    trace = TraceBuilder()
    late = call(trace, 205, 50)
    timeline = asked([request("first", 0, 50, 502, backend_status=None)], trace, "first")
    assert calls_of(timeline) == []
    assert [link for link in timeline.links if link.to] == []
    assert timeline.others == (late.span_id,)


def test_one_clock_that_is_wrong_is_told_from_a_second_request() -> None:
    """Two requests and two calls that are one constant apart: the clock is wrong, not the join."""
    trace = TraceBuilder()
    first = call(trace, 120_005, 40, code=503)
    second = call(trace, 120_205, 50)
    records = [request("first", 0, 50, 503), request("second", 200, 60)]
    assert calls_of(asked(records, trace, "first")) == [first.span_id]
    good = asked(records, trace, "second")
    assert calls_of(good) == [second.span_id]
    assert set(moved(good)) <= {-120_000 * MS, -119_999 * MS, -120_001 * MS}


def test_a_call_at_another_time_is_doubted_where_the_header_was_passed_on() -> None:
    """Alone and apart, it may be a wrong clock or a second request: it is shown as uncertain."""
    trace = TraceBuilder()
    call(trace, 205, 40)
    [link] = [k for k in asked([request("only", 0, 50)], trace, "only").links if k.to]
    assert link.confidence < 0.7
    assert [one.field for one in link.contradictions] == ["time"]


def test_a_call_at_another_time_is_sure_where_the_gateway_made_the_id() -> None:
    """Nobody else can name an id that was made for one request: a clock is wrong."""
    trace = TraceBuilder()
    call(trace, 205, 40, parent=_SENT)
    timeline = asked([request("only", 0, 50, outgoing_span_id=_SENT)], trace, "only")
    [link] = [k for k in timeline.links if k.to]
    assert (link.tier, link.confidence, link.contradictions) == (0, 1.0, ())
    assert moved(timeline) == [-200 * MS]


@pytest.mark.parametrize(
    ("sent", "tier", "confidence"), [(_SENT, 0, 1.0), (_CALLER, 1, 0.99), ("", 1, 0.99)]
)
def test_an_id_that_was_passed_on_proves_less(sent: str, tier: int, confidence: float) -> None:
    """Only the id that the gateway made itself joins at tier 0 and with certainty."""
    trace = TraceBuilder()
    call(trace, 5, 40, parent=sent or _CALLER)
    timeline = asked([request("only", 0, 50, outgoing_span_id=sent)], trace, "only")
    [link] = [k for k in timeline.links if k.to]
    assert (link.tier, link.confidence) == (tier, confidence)


def test_contradictions_are_said_and_lower_the_confidence() -> None:
    """The span under the sent id is of another method, path and status than the record says."""
    trace = TraceBuilder()
    call(trace, 5, 40, parent=_SENT, code=500, method="DELETE", path="/admin/9")
    timeline = asked([request("only", 0, 50, outgoing_span_id=_SENT)], trace, "only")
    [link] = [k for k in timeline.links if k.to]
    assert link.confidence < 0.5
    assert {one.field: (one.left, one.right) for one in link.contradictions} == {
        "method": ("GET", "DELETE"),
        "path": ("/orders/7", "/admin/9"),
        "status": ("200", "500"),
    }
    [finding] = [f for f in timeline.findings if f.rule == "JOIN_CONTRADICTED"]
    for word in ("method GET and DELETE", "path /orders/7 and /admin/9", "status 200 and 500"):
        assert word in finding.message
    assert not [s for s in sample_pairs(timeline) if "shop-apim" in s.first + s.second]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("/api/orders/7", "/orders/7"),
        ("/orders/7", "/v2/orders/7/"),
        ("/Orders/7", "/orders/7?x=1"),
    ],
)
def test_a_prefix_of_the_path_is_no_contradiction(written: str, seen: str) -> None:
    """Gateways put prefixes before paths and take them away."""
    trace = TraceBuilder()
    call(trace, 5, 40, path=seen)
    [link] = [k for k in asked([request("o", 0, 50, path=written)], trace, "o").links if k.to]
    assert (link.confidence, link.contradictions) == (0.99, ())


def test_a_call_of_another_method_is_not_taken_under_a_header_that_was_passed_on() -> None:
    """A session's header: a POST behind a GET is of a request whose record is not here."""
    trace = TraceBuilder()
    other = call(trace, 5, 40, method="POST")
    timeline = asked([request("only", 0, 50)], trace, "only")
    assert calls_of(timeline) == []
    assert timeline.others == (other.span_id,)
    [refused] = [
        r for link in timeline.links for r in link.rejected if r.to.endswith(other.span_id)
    ]
    assert "another method" in refused.reason


def test_tries_of_the_gateway_stay_with_their_request() -> None:
    """One record, two calls in turn inside it under the header that it passed on: two tries."""
    trace = TraceBuilder()
    calls = [call(trace, 3, 10, code=503), call(trace, 20, 25)]
    timeline = asked([request("only", 0, 50)], trace, "only")
    assert calls_of(timeline) == [one.span_id for one in calls]


@pytest.mark.parametrize(
    "parent", ["", _CALLER, "7c0ffee000000001"], ids=["sent", "passed", "made"]
)
def test_an_earlier_try_that_failed_contradicts_no_status(parent: str) -> None:
    """The status of a record is that of the last try: that the first one failed is no surprise."""
    trace = TraceBuilder()
    call(trace, 3, 10, code=503)
    call(trace, 20, 25)
    timeline = asked([request("only", 0, 50, parent_span_id=parent)], trace, "only")
    assert not [f for f in timeline.findings if f.rule == "JOIN_CONTRADICTED"]
    assert min(link.confidence for link in timeline.links) >= 0.99


def test_a_last_try_that_ended_otherwise_contradicts_the_status() -> None:
    """The last call failed and its record says 200: one of the two is wrong."""
    trace = TraceBuilder()
    call(trace, 3, 10)
    call(trace, 20, 25, code=503)
    made = request("only", 0, 50, parent_span_id="7c0ffee000000001")
    timeline = asked([made], trace, "only")
    assert [f for f in timeline.findings if f.rule == "JOIN_CONTRADICTED"]


def test_a_counted_try_is_the_only_one() -> None:
    """A gateway that counted one try made one: a second call inside its time is not its own."""
    trace = TraceBuilder()
    calls = [call(trace, 3, 10, code=503), call(trace, 20, 25)]
    timeline = asked([request("only", 0, 50, attempts=1)], trace, "only")
    assert calls_of(timeline) == [calls[1].span_id]
    assert timeline.others == (calls[0].span_id,)


def test_requests_through_two_gateways_that_pass_one_header_on() -> None:
    """A retry through an outer and an inner gateway: four records, two requests, a call each."""
    trace = TraceBuilder()
    first = call(trace, 9, 30, code=503)
    second = call(trace, 309, 20)
    records = [
        request("outer-1", 0, 70, 503, instance="edge"),
        request("inner-1", 4, 40, 503, gateway="kong", instance="kong", parent_span_id=""),
        request("outer-2", 300, 50, instance="edge"),
        request("inner-2", 304, 30, gateway="kong", instance="kong", parent_span_id=""),
    ]
    for number, one in ((1, first), (2, second)):
        timeline = asked(records, trace, f"outer-{number}")
        held = [merged.record.record_id for merged in timeline.gateway_records]
        assert held == [f"outer-{number}", f"inner-{number}"]
        assert calls_of(timeline) == [one.span_id]
        assert timeline.hops[1].service == "kong"
        assert timeline.hops[2].parent == 1


def test_a_record_is_not_hung_under_a_span_of_another_minute() -> None:
    """The traced client called once; what carries its header an hour later is another request."""
    trace = TraceBuilder()
    client = trace.span("web", 0, 60, None, "Client", span_id=_CALLER)
    now, later = call(trace, 5, 40), call(trace, 3_600_005, 40)
    records = [request("now", 1, 50), request("later", 3_600_000, 50)]
    first, second = (asked(records, trace, name) for name in ("now", "later"))
    assert [span.raw_span_id for span in first.callers] == [client.span_id]
    assert calls_of(first) == [now.span_id]
    assert second.callers == ()
    assert calls_of(second) == [later.span_id]


def test_a_record_is_nested_by_an_id_only_inside_the_time_of_the_other() -> None:
    """An API that calls its own gateway is nested; a later request with the same id is not."""
    inner = request("inner", 10, 30, parent_span_id=_SENT, outgoing_span_id="")
    later = request("later", 60_000, 30, parent_span_id=_SENT, outgoing_span_id="")
    outer = request("outer", 0, 60, outgoing_span_id=_SENT)
    timeline = asked([inner, later, outer], TraceBuilder(), "outer")
    held = [merged.record.record_id for merged in timeline.gateway_records]
    assert held == ["outer", "inner"]


def test_a_known_offset_tells_whose_call_it_is() -> None:
    """Clocks known to be 200 ms apart: the call that seems the retry's is the first request's."""
    trace = TraceBuilder()
    first = call(trace, 205, 40)
    offsets = ClockOffsets({("azure-apim/shop-apim", "orders-host"): Offset(200 * MS, 2 * MS)})
    records = [request("first", 0, 50), request("second", 200, 60)]
    held = {
        name: calls_of(
            stitch(records, trace.spans, now_ns=LONG_AFTER, subject=name, offsets=offsets)
        )
        for name in ("first", "second")
    }
    assert held == {"first": [first.span_id], "second": []}


def test_clocks_are_not_learned_from_a_call_that_may_be_anothers() -> None:
    """A header that was passed on and a call at another time: no sample for the hosts' clocks."""
    trace = TraceBuilder()
    call(trace, 205, 40)
    assert sample_pairs(asked([request("only", 0, 50)], trace, "only")) == []
    trace = TraceBuilder()
    call(trace, 205, 40, parent=_SENT)
    sure = asked([request("only", 0, 50, outgoing_span_id=_SENT)], trace, "only")
    assert len(sample_pairs(sure)) == 1


@pytest.mark.parametrize(("late_ms", "is_joined"), [(0, True), (25_000, True), (40_000, False)])
def test_a_request_id_joins_over_clocks_that_nobody_keeps(late_ms: int, is_joined: bool) -> None:
    """Half a minute apart is a wrong clock; further apart the client has used its id again."""
    trace = TraceBuilder()
    edge = trace.edge(late_ms + 5, 40, request_id=CORRELATION)
    known = record(total=60, backend=50, ids=(Id("x_request_id", CORRELATION),))
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER, subject=CORRELATION)
    assert (edge.span_id in calls_of(timeline)) is is_joined


@pytest.mark.parametrize(("late_ms", "against"), [(1_900, []), (2_100, ["time"])])
def test_two_seconds_apart_is_a_clock_and_more_is_doubted(late_ms: int, against: list[str]) -> None:
    """Where nobody knows who made the id, one call at another time may be of another request."""
    trace = TraceBuilder()
    call(trace, late_ms + 5, 40)
    timeline = asked([request("one", 0, 50, parent_span_id="")], trace, "one")
    [link] = [link for link in timeline.links if link.to]
    assert [one.field for one in link.contradictions] == against


@pytest.mark.parametrize("logged", ["parent_span_id", "outgoing_span_id"])
def test_a_logged_header_may_name_the_span_that_the_gateway_called(logged: str) -> None:
    """A trace's first server span that lies in the record's time is behind the gateway."""
    trace = TraceBuilder()
    first = trace.span("orders", 2, 90, None, "Server")
    trace.span("payments", 10, 60, first, "Server")
    known = record(total=95, backend=93, trace_id=TRACE, **{logged: first.span_id})
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER, subject=known.record_id)
    assert timeline.hops[0].role == "gateway"
    assert [hop.service for hop in timeline.hops][1:] == ["orders", "payments"]
    assert timeline.duration_ns == 95 * MS


@pytest.mark.parametrize("late_ms", [-7_200_000, 40_000, 3_600_000])
def test_the_only_call_is_of_the_only_record_however_far_its_clock_is(late_ms: int) -> None:
    """Only the header that was sent is logged: hours apart are a zone or a clock, and doubted."""
    trace = TraceBuilder()
    only = call(trace, late_ms + 5, 40, code=500)
    timeline = asked([request("only", 0, 50, 500, parent_span_id="")], trace, "only")
    assert calls_of(timeline) == [only.span_id]
    [link] = [k for k in timeline.links if k.to]
    assert link.confidence < 0.7
    assert (timeline.verdict.layer, timeline.verdict.component) == ("app", "orders")
    assert "CLOCK" in {finding.rule for finding in timeline.findings}


@pytest.mark.parametrize("known", [{}, {"parent_span_id": ""}, {"parent_span_id": "f" * 16}])
def test_a_connection_outlives_the_record_of_its_handshake(known: dict[str, Any]) -> None:
    """API Management writes a WebSocket down once it is made: its span lasts a minute longer."""
    trace = TraceBuilder()
    chat = call(trace, 3, 60_000, code=101, path="/chat", service="chat")
    handshake = request(
        "only", 0, 50, 101, path="/chat", kind="websocket", quality=("STREAMING",), **known
    )
    timeline = asked([handshake], trace, "only")
    assert calls_of(timeline) == [chat.span_id]
    assert timeline.duration_ns == 50 * MS
    rules = {finding.rule for finding in timeline.findings}
    assert rules.isdisjoint({"OUTSIDE_PARENT", "TIMES_CONTRADICT", "CLOCK"})
