"""Broken, contradictory and enormous input: a timeline comes back, says so, and soon."""

import time
from collections.abc import Callable

import pytest

from collector.attributes import SENT_END
from collector.model import Span
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import (
    LONG_AFTER,
    MS,
    START,
    TRACE,
    TraceBuilder,
    record,
    shop_request,
    stitch,
)


def stitched(spans: list[Span]) -> Timeline:
    """Stitch and check what holds for every timeline."""
    timeline = stitch([], spans, now_ns=LONG_AFTER)
    check_invariants(timeline)
    return timeline


def check_invariants(timeline: Timeline) -> None:
    """Phases sum to the total, sections tile it, hops and spans point at each other."""
    total = timeline.duration_ns or 0
    assert sum(phase.duration_ns for phase in timeline.phases) == total
    for phase in timeline.phases:
        assert 0 <= phase.lower_ns <= phase.duration_ns <= phase.upper_ns
        assert sum(way.duration_ns for way in phase.directions) <= phase.duration_ns
        for way in phase.directions:
            assert 0 <= way.lower_ns <= way.duration_ns <= way.upper_ns
    reach = 0
    for section in timeline.critical_path:
        assert section.from_ns == reach < section.to_ns
        reach = section.to_ns
    assert reach == total
    assert sum(hop.critical_ns for hop in timeline.hops) == total
    on_path = {section.span_id for section in timeline.critical_path}
    assert on_path == {span.span_id for span in timeline.spans if span.is_on_critical_path}
    times = [(hop.duration_ns, hop.self_ns) for hop in timeline.hops]
    times += [(span.duration_ns, span.self_ns) for span in timeline.spans]
    for duration_ns, self_ns in times:
        assert duration_ns is None or 0 <= (self_ns or 0) <= duration_ns
    ids = [span.span_id for span in timeline.spans]
    assert len(set(ids)) == len(ids)
    assert sorted(i for hop in timeline.hops for i in hop.span_ids) == sorted(ids)
    assert all(timeline.hops[hop.index] is hop for hop in timeline.hops)


def rules(timeline: Timeline) -> set[str]:
    """Return the rules that fired."""
    return {finding.rule for finding in timeline.findings}


def test_spans_in_a_circle_are_cut_open() -> None:
    """Three spans that are each other's ancestors come back as one tree, marked."""
    trace = TraceBuilder()
    first = trace.span("a", 0, 100, "a000000000000003", "Server")
    second = trace.span("b", 10, 50, first, "Server")
    third = trace.span("c", 20, 20, second, "Server")
    assert third.span_id == first.parent_span_id
    timeline = stitched(trace.spans)
    assert len(timeline.spans) == 3
    assert "PARENT_CYCLE" in rules(timeline)
    assert timeline.duration_ns == 100 * MS


def test_a_span_that_is_its_own_parent() -> None:
    """A span may name itself as parent and still be drawn."""
    trace = TraceBuilder()
    trace.span("a", 0, 10, "a000000000000001", "Server")
    assert "PARENT_CYCLE" in rules(stitched(trace.spans))


def test_a_circle_beside_the_tree_is_placed_in_it() -> None:
    """A circle that hangs on nothing is cut and placed by time."""
    trace = TraceBuilder()
    trace.span("a", 0, 100, None, "Server")
    trace.span("b", 10, 50, "a000000000000003", "Server")
    trace.span("c", 20, 20, "a000000000000002", "Server")
    timeline = stitched(trace.spans)
    assert len(timeline.spans) == 3
    assert timeline.spans[1].is_orphan


def test_one_span_sent_twice_is_one_span() -> None:
    """An exact copy disappears without a word."""
    _, trace = shop_request()
    once = stitched(trace.spans)
    twice = stitched([*trace.spans, *trace.spans])
    assert once == twice


def test_one_span_sent_twice_with_other_content_keeps_the_fuller_one() -> None:
    """The longer version of a span that was sent again wins, and it is said."""
    trace = TraceBuilder()
    trace.span("a", 0, 10, None, "Server", span_id="a0000000000000aa")
    trace.span("a", 0, 90, None, "Server", span_id="a0000000000000aa")
    timeline = stitched(trace.spans)
    assert len(timeline.spans) == 1
    assert timeline.duration_ns == 90 * MS
    assert "DUPLICATE_SPAN" in rules(timeline)


def test_two_services_with_one_span_id_are_both_kept() -> None:
    """An id used by two services names two spans; the second gets an id of its own."""
    trace = TraceBuilder()
    root = trace.span("root", 0, 100, None, "Server")
    trace.span("a", 10, 20, root, "Server", span_id="a0000000000000bb")
    trace.span("b", 40, 20, root, "Server", span_id="a0000000000000bb")
    timeline = stitched(trace.spans)
    assert [span.raw_span_id for span in timeline.spans].count("a0000000000000bb") == 2
    assert "DUPLICATE_ID" in rules(timeline)


def test_a_trace_that_is_sent_under_two_names_is_drawn_once() -> None:
    """A collector that renames services beside an SDK's own export makes no second hop or root."""
    trace = TraceBuilder()
    for service in ("unknown_service:java", "fares"):
        root = trace.span(service, 0, 80, None, "Server", span_id="a0000000000000e1", name="/fares")
        call = trace.span(service, 10, 60, root, "Client", span_id="a0000000000000e2", name="GET")
    trace.span("tariffs", 15, 40, call, "Server")
    timeline = stitched(trace.spans)
    assert [hop.service for hop in timeline.hops] == ["fares", "tariffs"]
    assert [span.service for span in timeline.spans] == ["fares", "fares", "tariffs"]
    (told,) = (f for f in timeline.findings if f.rule == "SPAN_UNDER_TWO_NAMES")
    assert "as of fares and as of unknown_service:java" in told.message
    assert not {"DUPLICATE_ID", "SEVERAL_ROOTS"} & rules(timeline)
    assert stitched(trace.spans[::-1]) == timeline


def test_a_span_under_two_names_may_be_sent_again() -> None:
    """What came under two names, and under one of them once more with more to say, is one span."""
    trace = TraceBuilder()
    same = {"span_id": "a0000000000000e3", "name": "/fares"}
    trace.span("fares", 0, 80, None, "Server", **same)
    trace.span("fares-renamed", 0, 80, None, "Server", **same)
    trace.span("fares", 0, 79.5, None, "Server", attributes={"tries": "2"}, **same)
    timeline = stitched(trace.spans)
    (span,) = timeline.spans
    assert (span.service, span.attributes["tries"]) == ("fares", "2")
    assert {"SPAN_UNDER_TWO_NAMES", "DUPLICATE_SPAN"} <= rules(timeline)
    assert stitched(trace.spans[::-1]) == timeline


def test_zipkins_shared_span_is_a_client_and_a_server() -> None:
    """Client and server under one id become parent and child, and one hop."""
    trace = TraceBuilder()
    root = trace.span("shop", 0, 100, None, "Server")
    shared = "a0000000000000cc"
    trace.span("shop", 10, 50, root, "Client", span_id=shared)
    trace.span("stock", 15, 40, root, "Server", span_id=shared)
    trace.span("stock", 20, 10, shared, "Internal")
    timeline = stitched(trace.spans)
    client, server, inner = timeline.spans[1:]
    assert (server.parent_span_id, inner.parent_span_id) == (client.span_id, server.span_id)
    assert client.hop == server.hop == inner.hop
    assert timeline.hops[1].service == "stock"


def test_a_child_outside_of_its_parent_is_marked_and_off_the_path() -> None:
    """What runs after its parent ended cannot have held it up."""
    trace = TraceBuilder()
    root = trace.span("a", 0, 100, None, "Server")
    trace.span("a", 150, 50, root, "Internal")
    timeline = stitched(trace.spans)
    [outside] = [each for each in timeline.findings if each.rule == "OUTSIDE_PARENT"]
    assert outside.message == "1 span reaches outside of its parent's time"
    assert timeline.duration_ns == 100 * MS
    assert not timeline.spans[1].is_on_critical_path


def test_a_negative_duration_is_shown_as_none() -> None:
    """A span that ended before it began has no length and says so."""
    trace = TraceBuilder()
    root = trace.span("a", 0, 100, None, "Server")
    trace.span("a", 50, -20, root, "Internal")
    timeline = stitched(trace.spans)
    assert timeline.spans[1].duration_ns == 0
    assert "NEGATIVE_DURATION" in rules(timeline)


def test_an_end_that_was_corrected_on_arrival_is_still_told() -> None:
    """Receivers set an end before the start to the start; the mark they leave is a finding."""
    trace = TraceBuilder()
    root = trace.span("a", 0, 100, None, "Server")
    trace.span("a", 50, 0, root, "Internal", attributes={SENT_END: str(START)})
    timeline = stitched(trace.spans)
    assert timeline.spans[1].duration_ns == 0
    assert "NEGATIVE_DURATION" in rules(timeline)


def test_a_span_of_ten_years() -> None:
    """A span of ten years stays as it is and is called implausible."""
    trace = TraceBuilder()
    root = trace.span("a", 0, 100, None, "Server")
    trace.span("b", 10, 10 * 365 * 86_400_000, root, "Server")
    timeline = stitched(trace.spans)
    assert timeline.duration_ns == 100 * MS
    assert "IMPLAUSIBLE_DURATION" in rules(timeline)


def test_a_span_without_times() -> None:
    """Zero as start is not the year 1970."""
    trace = TraceBuilder()
    root = trace.span("a", 0, 100, None, "Server")
    lost = trace.span("a", 10, 10, root, "Internal")
    lost.start_ns = lost.end_ns = 0
    assert "NO_START" in rules(stitched(trace.spans))


def test_two_roots_have_a_common_parent_drawn_for_them() -> None:
    """Two spans without parent that do not enclose each other hang under an inferred one."""
    trace = TraceBuilder()
    trace.span("a", 0, 50, None, "Server")
    trace.span("b", 60, 40, None, "Server")
    timeline = stitched(trace.spans)
    assert timeline.spans[0].is_inferred
    assert timeline.duration_ns == 100 * MS
    unexplained = [phase for phase in timeline.phases if phase.name == "unexplained"]
    assert unexplained[0].duration_ns == 10 * MS
    assert "SEVERAL_ROOTS" in rules(timeline)


def test_spans_whose_one_parent_never_arrived_get_it_inferred() -> None:
    """Siblings with the same missing parent hang under a span with the parent's id."""
    trace = TraceBuilder()
    trace.span("a", 0, 50, "beef00000000beef", "Server")
    trace.span("b", 60, 40, "beef00000000beef", "Server")
    timeline = stitched(trace.spans)
    assert timeline.root_span_id == "beef00000000beef"
    assert "MISSING_ROOT" in rules(timeline)


def test_an_orphan_is_placed_under_its_own_service_by_time() -> None:
    """A sidecar's call whose application span is missing hangs on the same service's server."""
    trace = TraceBuilder()
    edge = trace.edge(0, 100)
    inward = trace.sidecar_in("orders", 5, 90, edge)
    trace.sidecar_out("orders", "stock", 20, 30, None)
    trace.spans[-1].parent_span_id = "dead0000dead0000"
    timeline = stitched(trace.spans)
    orphan = timeline.spans[-1]
    assert orphan.is_orphan
    assert orphan.parent_span_id == inward.span_id
    assert orphan.raw_parent_span_id == "dead0000dead0000"
    assert any("dead0000dead0000 never arrived" in finding.message for finding in timeline.findings)


def test_a_record_whose_backend_took_longer_than_the_whole() -> None:
    """Contradictory times are flagged, and the phases still sum to the total."""
    known = record(total=434, backend=865, client=3, quality=("BACKEND_GT_TOTAL",))
    timeline = stitch([known], [], now_ns=LONG_AFTER)
    check_invariants(timeline)
    assert "BACKEND_GT_TOTAL" in rules(timeline)


def test_records_that_contradict_each_other_are_one_request() -> None:
    """Two sources that disagree about status and time are merged, not counted twice."""
    timeline = stitch(
        [
            record(total=100, backend=80, client=5, status=200),
            record(total=300, source="AppRequests", status=500, is_error=True),
        ],
        [],
        now_ns=LONG_AFTER,
    )
    check_invariants(timeline)
    assert len(timeline.gateway_records) == 1
    assert timeline.gateway_records[0].sources == ("ApiManagementGatewayLogs", "AppRequests")
    assert timeline.duration_ns == 100 * MS


def test_a_trace_id_used_again_does_not_join_another_days_record() -> None:
    """Equal trace ids hours apart are listed as a rejected candidate with the reason."""
    known, trace = shop_request()
    known.start_ns -= 7_200_000_000_000
    known.outgoing_span_id = ""
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    check_invariants(timeline)
    assert [hop.role for hop in timeline.hops] == ["gateway"]
    rejected = timeline.links[0].rejected[0]
    assert rejected.to == TRACE
    assert "used again" in rejected.reason


def _chain(trace: TraceBuilder, n: int) -> None:
    parent = None
    for depth in range(n):
        kind = ("Server", "Client", "Internal")[depth % 3]
        parent = trace.span(f"s{depth % 50}", depth / 1000, 1000, parent, kind)


def _fan(trace: TraceBuilder, n: int) -> None:
    root = trace.span("a", 0, 100_000, None, "Client")
    for number in range(n - 1):
        trace.sidecar_out("a", f"s{number % 50}", number / 10, 5, root)


def _orphans(trace: TraceBuilder, n: int) -> None:
    trace.span("a", 0, 100_000, None, "Server")
    for number in range(n - 1):
        trace.span(f"s{number % 50}", number / 10, 500, f"f{number:015x}", "Server")


def _circle(trace: TraceBuilder, n: int) -> None:
    for number in range(n):
        trace.span("a", number / 10, 50, f"a{(number + 1) % n + 1:015x}", "Internal")


def _copies(trace: TraceBuilder, n: int) -> None:
    for number in range(n):
        trace.span(f"s{number % 7}", number / 10, 50, None, "Server", span_id="a0000000000000aa")


def _edges(trace: TraceBuilder, n: int) -> None:
    for number in range(n):
        trace.edge(number / 10, 50, f"f{number:015x}")


@pytest.mark.parametrize("shape", [_chain, _fan, _orphans, _circle, _copies, _edges])
def test_a_hostile_shape_takes_linear_time(shape: Callable[[TraceBuilder, int], None]) -> None:
    """Depth, breadth, orphans, circles, copies: 8,000 spans come back within seconds."""
    trace = TraceBuilder()
    shape(trace, 8_000)
    began = time.process_time()
    timeline = stitch([record(total=900, trace_id=TRACE)], trace.spans, now_ns=LONG_AFTER)
    assert time.process_time() - began < 10
    check_invariants(timeline)
    assert timeline.start_ns == START


def test_a_hundred_thousand_spans_come_back() -> None:
    """A trace of 100,000 spans is slow to read and still a timeline."""
    trace = TraceBuilder()
    _fan(trace, 100_000)
    began = time.process_time()
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    # Two to four seconds of one core; a square of the number would take hours.
    assert time.process_time() - began < 60
    assert len(timeline.spans) == 100_000
    total = timeline.duration_ns or 0
    assert sum(phase.duration_ns for phase in timeline.phases) == total
