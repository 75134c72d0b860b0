"""Trees with parts missing or ids shared: nothing is put where nobody said that it belongs."""

import pytest

from collector.attributes import SHARED_ID, SHARED_PARENT_ID
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, TRACE, TraceBuilder, record, stitch
from tests.unit.stitch.scenarios import picture

_GONE = "dead00000000beef"


def parents(timeline: Timeline) -> dict[str, str]:
    """Return the service of each span's parent by the span's service."""
    by_id = {span.span_id: span.service for span in timeline.spans}
    return {span.service: by_id.get(span.parent_span_id, "") for span in timeline.spans}


@pytest.mark.parametrize("inner_ms", [95, 120, 140])
def test_siblings_of_one_missing_parent_stay_siblings(inner_ms: int) -> None:
    """Two server spans name one parent that never came: neither called the other."""
    trace = TraceBuilder()
    trace.span("catalog", 0, 120, _GONE, "Server")
    trace.span("reviews", 5, inner_ms, _GONE, "Server", status="Error")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    root = timeline.spans[0]
    assert (root.span_id, root.is_inferred) == (_GONE, True)
    assert parents(timeline)["catalog"] == parents(timeline)["reviews"] == root.service
    assert not any(
        hop.parent >= 0
        and hop.service == "reviews"
        and timeline.hops[hop.parent].service == "catalog"
        for hop in timeline.hops
    )


@pytest.mark.parametrize("inner_ms", [60, 90, 130])
def test_siblings_below_a_known_root_stay_siblings(inner_ms: int) -> None:
    """The root came, their parent did not: placed by time, but not under each other."""
    trace = TraceBuilder()
    web = trace.span("web", 0, 200, None, "Server")
    trace.span("web", 6, 150, web, "Client")
    trace.span("catalog", 10, 120, _GONE, "Server")
    reviews = trace.span("reviews", 15, inner_ms, _GONE, "Server", status="Error")
    trace.span("reviews", 20, 30, reviews, "Internal")
    trace.span("ratings", 22, 5, "dead00000000feed", "Server")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert parents(timeline)["catalog"] == "web"
    assert [s.parent_span_id for s in timeline.spans if s.service in ("catalog", "reviews")][
        :2
    ] == ["a000000000000002"] * 2
    assert parents(timeline)["ratings"] == "reviews"


def test_siblings_under_a_gateway_that_did_not_log_its_span_id() -> None:
    """Calls that a gateway made at once lie below its record, side by side."""
    trace = TraceBuilder()
    trace.span("catalog", 5, 80, _GONE, "Server")
    trace.span("reviews", 8, 60, _GONE, "Server")
    known = record(total=100, backend=90, trace_id=TRACE)
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert picture(timeline) == ["gateway shop-apim", "  service catalog", "  service reviews"]


def test_a_proxy_that_names_its_callee_is_its_parent_all_the_same() -> None:
    """Both name a missing parent, but the edge's span says whom it called: no sibling."""
    trace = TraceBuilder()
    trace.edge(0, 100, _GONE, cluster="outbound|8080||orders.shop.svc.cluster.local")
    trace.sidecar_in("orders", 5, 90, _GONE)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert picture(timeline) == ["edge istio-ingressgateway.shop", "  service orders.shop"]
    assert not any(span.is_inferred for span in timeline.spans)


def test_a_shared_half_whose_client_is_lost_hangs_under_the_parent_it_names() -> None:
    """Another span encloses it in time; the parent that the server reported decides."""
    trace = TraceBuilder()
    root = trace.span("routing", 0, 10, None, "Server", name="get")
    trace.span("routing", 0.5, 9, root, name="refresh")
    half = {SHARED_ID: "5a5a000000005a5a", SHARED_PARENT_ID: root.span_id}
    trace.span("biz", 2, 3, "5a5a000000005a5a", "Server", attributes=half)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    [biz] = [span for span in timeline.spans if span.service == "biz"]
    assert biz.parent_span_id == root.span_id
    assert not biz.is_orphan


def test_two_tries_under_one_id_are_two_tries() -> None:
    """A client reports both tries as one span id: each has its server span, no clock is moved."""
    trace = TraceBuilder()
    root = trace.span("cart", 0, 230, None, "Server")
    call = "ca11000000000001"
    trace.span(
        "cart",
        5,
        100,
        root,
        "Client",
        span_id=call,
        status="Error",
        attributes={"http.response.status_code": "503", "server.address": "stock"},
    )
    trace.span(
        "cart",
        120,
        100,
        root,
        "Client",
        span_id=call,
        attributes={"http.response.status_code": "200", "server.address": "stock"},
    )
    trace.span("stock", 7, 96, call, "Server", status="Error", resource={"host.name": "b"})
    trace.span("stock", 122, 96, call, "Server", resource={"host.name": "b"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    tries = [s for s in timeline.spans if s.service == "cart" and s.kind == "Client"]
    served = [s for s in timeline.spans if s.service == "stock"]
    assert [s.start_offset_ns for s in tries] == [5 * MS, 120 * MS]
    assert [s.start_offset_ns for s in served] == [7 * MS, 122 * MS]
    assert [s.parent_span_id for s in served] == [s.span_id for s in tries]
    assert not any(span.adjusted_by_ns for span in timeline.spans)
    assert [(hop.attempt, hop.attempts) for hop in timeline.hops[1:]] == [(1, 2), (2, 2)]


def test_one_span_that_is_sent_twice_is_one_span() -> None:
    """Two versions of one time are one span, also when the first was sent before it ended."""
    trace = TraceBuilder()
    root = trace.span("cart", 0, 230, None, "Server")
    for took in (40, 100):
        trace.span("cart", 5, took, root, "Client", span_id="ca11000000000001")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [span.duration_ns for span in timeline.spans] == [230 * MS, 100 * MS]


@pytest.mark.parametrize("has_call", [False, True])
def test_what_failed_below_a_span_that_never_arrived_may_not_have_failed_the_request(
    has_call: bool,
) -> None:
    """Nobody knows how the missing caller ended: half sure, and no status is made up for it."""
    trace = TraceBuilder()
    told = {"http.response.status_code": "200"}
    trace.span("catalog", 0, 120, _GONE, "Server", attributes=told)
    parent = trace.span("web", 4, 97, _GONE, "Client") if has_call else _GONE
    trace.span("reviews", 5, 95, parent, "Server", status="Error", status_message="no pages")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    verdict = timeline.verdict
    assert (timeline.status, timeline.is_error) == (None, False)
    assert (verdict.component, verdict.confidence, verdict.outcome) == ("reviews", 0.5, "failed")
    assert verdict.reason.endswith("the span of its caller never arrived, nor how that ended")


def test_the_service_whose_calls_lost_their_parent_is_drawn() -> None:
    """Two calls of checkout name one span that never came: it was checkout's."""
    trace = TraceBuilder()
    for at, callee in ((0, "prices"), (60, "ledger")):
        call = trace.span("checkout", at, 50, _GONE, "Client")
        trace.span(callee, at + 2, 46, call, "Server")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert picture(timeline) == [
        "service checkout inferred",
        "  service prices",
        "  service ledger",
    ]


@pytest.mark.parametrize("kinds", [("Server", "Server"), ("Client", "Server")])
def test_what_only_two_services_tell_of_has_no_name(kinds: tuple[str, str]) -> None:
    """A server span does not say who called it, and two callers are not one service."""
    trace = TraceBuilder()
    trace.span("prices", 0, 50, _GONE, "Server")
    trace.span("ledger", 60, 50, _GONE, kinds[0])
    if kinds[0] == "Client":
        trace.span("checkout", 120, 50, _GONE, "Client")
    assert stitch([], trace.spans, now_ns=LONG_AFTER).hops[0].service == ""


@pytest.mark.parametrize("status", ["Unset", "Error"])
def test_a_call_that_names_nobody_is_no_call_of_oneself(status: str) -> None:
    """A client span without a peer and without a callee: who was called is not known."""
    trace = TraceBuilder()
    told = {"http.response.status_code": "500"} if status == "Error" else {}
    shop = trace.span("shop", 0, 100, kind="Server", status=status, attributes=told)
    trace.span("shop", 10, 60, shop, "Client", name="GET", status=status)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [(hop.role, hop.service) for hop in timeline.hops] == [
        ("service", "shop"),
        ("dependency", ""),
    ]
    assert {phase.name: phase.duration_ns // MS for phase in timeline.phases} == {
        "app": 40,
        "dependency": 60,
    }
    if status == "Error":
        verdict = timeline.verdict
        assert (verdict.layer, verdict.component, verdict.confidence) == ("app", "shop", 0.6)
