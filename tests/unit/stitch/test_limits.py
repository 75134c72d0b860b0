"""
Where the rules' limits lie: what is just within each is treated one way, what is just beyond it
the other. A limit that is moved by a third fails here.
"""

from typing import Any

import pytest

from collector.model import GatewayRecord
from collector.stitch.join.agreement import PASSED_ON, confidence_with, lies_inside, slack_of
from collector.stitch.join.by_id import continuation_of, match_records, view_traces
from collector.stitch.join.sharing import share_calls
from collector.stitch.time.clocks import PairSample, learn_offsets, offsets_of
from collector.stitch.time.critical_path import find_critical_path
from collector.stitch.time.placement import bounds_of_times, call_bounds
from collector.stitch.timeline import Evidence, MergedRecord, Timeline
from collector.stitch.tree.forest import build_forest
from collector.stitch.tree.nodes import Node
from tests.unit.stitch.building import LONG_AFTER, MS, START, TRACE, TraceBuilder, record, stitch

S = 1_000.0  # ms
SENT = "c0ffee0000000001"


def merged(known: GatewayRecord) -> MergedRecord:
    return MergedRecord(record=known, sources=(known.source,), versions=1)


def record_node(**more: Any) -> Node:
    """Return the node of a record of 50 ms in whole milliseconds."""
    known = record(**{"total": 50, "trace_id": TRACE, **more})
    end = known.start_ns + (known.duration_ns or 0)
    return Node("r", TRACE, known.start_ns, end, record=merged(known), role="gateway")


def node(at: float, ms: float, **more: Any) -> Node:
    start = START + round(at * MS)
    return Node("n", TRACE, start, start + round(ms * MS), **more)


def told(trace: TraceBuilder, **more: Any) -> Timeline:
    return stitch([], trace.spans, now_ns=LONG_AFTER, **more)


def test_a_call_stands_out_of_its_record_by_rounding_and_a_millisecond() -> None:
    """Start and duration are whole milliseconds, each off by one; two good clocks by one more."""
    holder = record_node()
    assert slack_of(holder.record.record if holder.record else record()) == 3 * MS
    for out_ms, is_inside in ((2.9, True), (3.1, False)):
        assert lies_inside(node(-out_ms, 20), holder) is is_inside
        assert lies_inside(node(20, 30 + out_ms), holder) is is_inside


def test_what_contradicts_a_join_costs_its_share_of_the_confidence() -> None:
    """A method weighs most, a path that may have been rewritten least."""
    doubt = {
        name: confidence_with(1.0, [Evidence(field=name, left="a", right="b")])
        for name in ("method", "status", "path", "time")
    }
    assert doubt == {"method": 0.6, "status": 0.7, "path": 0.8, "time": 0.6}


@pytest.mark.parametrize(
    ("late_ms", "ids", "is_joined"),
    [
        (599 * S, "trace", True),
        (601 * S, "trace", False),
        (29 * S, "request", True),
        (31 * S, "request", False),
    ],
)
def test_an_id_counts_for_so_long(late_ms: float, ids: str, is_joined: bool) -> None:
    """A trace id is random and counts for ten minutes, a request id is chosen: half a minute."""
    trace = TraceBuilder()
    request_id = "2b6f1c0e-5d43-4a8e-9f27-61c8d0e4b3a5"
    trace.edge(50 + late_ms, 20, request_id=request_id if ids == "request" else "")
    known = record(total=50, **({"trace_id": TRACE} if ids == "trace" else {}))
    views = view_traces(build_forest(trace.spans).nodes, [merged(known)])
    [(_, matches)] = match_records([merged(known)], views, population=1)
    assert bool(matches.accepted) is is_joined
    assert bool(matches.rejected) is not is_joined


@pytest.mark.parametrize(("out_ms", "is_rest"), [(1.9 * S, True), (2.1 * S, False)])
def test_the_rest_of_a_trace_lies_in_it_give_or_take_two_seconds(
    out_ms: float, is_rest: bool
) -> None:
    """Two clocks lie between the halves of a trace whose id was cut."""
    whole = TraceBuilder(trace_id=TRACE)
    whole.span("shop", 0, 100, kind="Server")
    half = TraceBuilder(trace_id="0" * 16 + TRACE[16:], prefix="b")
    half.span("stock", -out_ms, 50, "dead00000000beef", "Server")
    views = view_traces(build_forest([*whole.spans, *half.spans]).nodes)
    first, second = views[whole.trace_id], views[half.trace_id]
    assert bool(continuation_of(second, [first])) is is_rest


@pytest.mark.parametrize(
    ("late_ms", "is_claimed", "is_doubtful"),
    [
        *((1.9 * S, True, False), (2.1 * S, True, True)),
        *((25 * 3600 * S, True, True), (27 * 3600 * S, False, False)),
    ],
)
def test_the_only_call_at_another_time_is_a_wrong_clock_s_or_another_request_s(
    late_ms: float, is_claimed: bool, is_doubtful: bool
) -> None:
    """Two seconds are a clock that nobody keeps, hours a zone, more than a day another request."""
    holder = record_node(outgoing_span_id=SENT)
    shares = share_calls([holder], [node(5 + late_ms, 40, side="server")], "")
    assert [claim.is_doubtful for claim in shares.claims] == ([is_doubtful] if is_claimed else [])
    assert len(shares.rest) == (not is_claimed)


@pytest.mark.parametrize(("late_ms", "is_claimed"), [(599 * S, True), (601 * S, False)])
def test_under_an_id_that_was_passed_on_ten_minutes_are_another_request(
    late_ms: float, is_claimed: bool
) -> None:
    """So they are where several calls name the id."""
    late = node(5 + late_ms, 40, side="server")
    shares = share_calls([record_node(outgoing_span_id=SENT)], [late], PASSED_ON)
    assert bool(shares.claims) is is_claimed
    several = [late, node(605 + late_ms, 41, side="server")]
    assert not share_calls([record_node(outgoing_span_id=SENT)], several, "").claims


@pytest.mark.parametrize(
    ("visit_ms", "excess_ms", "is_apart"),
    [(80, 1.9, False), (80, 2.1, True), (1_000, 9, False), (1_000, 11, True)],
)
def test_a_call_outlives_its_request_by_more_than_noise(
    visit_ms: float, excess_ms: float, is_apart: bool
) -> None:
    """Two milliseconds, or a hundredth of a long visit, is the order in which spans end."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, visit_ms, kind="Server")
    peer = {"server.address": "bus"}
    trace.span("shop", 5, visit_ms - 5 + excess_ms, shop, "Client", attributes=peer)
    assert told(trace).hops[1].is_async is is_apart


@pytest.mark.parametrize(
    ("overlap_ms", "shift_ms", "is_sequence"),
    [(0.8, 0.0003, True), (1, 0.0003, False), (1, 0, True), (2, 0, False)],
)
def test_an_overlap_below_a_hundredth_or_a_step_of_the_clock_is_a_sequence(
    overlap_ms: float, shift_ms: float, is_sequence: bool
) -> None:
    """Of 90 ms, 0.8 ms is no work side by side; a whole millisecond is, but for whole clocks."""
    whole = 90 if shift_ms else 40
    trace = TraceBuilder()
    shop = trace.span("shop", 0, whole, kind="Server")
    second_ms = 20 - overlap_ms + shift_ms
    for at, end in ((5 + shift_ms, 20 + shift_ms), (second_ms, 35)):
        trace.span("shop", at, end - at, shop, "Client", attributes={"db.system": "mysql"})
    if not shift_ms:
        assert all(span.start_ns % MS == 0 for span in trace.spans)
    root = build_forest(trace.spans).tops[0]
    for each in (root, *root.children):
        each.start, each.end = each.raw_start, each.raw_end
    on_path = {found.span_id for found, _, _ in find_critical_path(root)}
    assert (trace.spans[1].span_id in on_path) is is_sequence
    assert trace.spans[2].span_id in on_path


@pytest.mark.parametrize(
    ("longer_ms", "called_ms", "is_bounded"),
    [(9.9, 20, True), (10.1, 20, False), (24.9, 100, True), (25.1, 100, False)],
)
def test_a_callee_that_is_a_little_longer_was_called_in_its_caller_s_time(
    longer_ms: float, called_ms: float, is_bounded: bool
) -> None:
    """Ten milliseconds, or a quarter: its caller ended at the headers. More says less."""
    caller = (START, START + round(called_ms * MS))
    callee = (START + 400 * MS, START + round((400 + called_ms + longer_ms) * MS))
    bounds = bounds_of_times(caller, callee)
    assert bounds.is_loose
    assert (bounds.lower_ns > 0) is is_bounded


@pytest.mark.parametrize(
    ("caller", "callee", "lower_ms", "upper_ms"),
    [
        ({}, {}, -20, 10),
        # Envoy's Zipkin spans end early.
        ({"is_proxy": True}, {}, -20.25, 10),
        # A line of a log has whole milliseconds, cut off.
        ({}, {"flags": ("access_log",)}, -22, 11),
    ],
)
def test_what_a_call_shows_of_two_clocks_is_as_wide_as_its_times_are_coarse(
    caller: dict[str, Any], callee: dict[str, Any], lower_ms: float, upper_ms: float
) -> None:
    """Each source of times widens the bounds by what it leaves out."""
    flags = callee.pop("flags", ()) if callee else ()
    inner = node(10, 70, side="server", **callee)
    for flag in flags:
        inner.flag(flag)
    found = call_bounds(node(0, 100, side="client", **caller), inner)
    assert found is not None
    assert (found.lower_ns, found.upper_ns) == (round(lower_ms * MS), round(upper_ms * MS))


@pytest.mark.parametrize(("lead_ms", "total_ms"), [(1.9 * S, 1.94 * S), (2.1 * S, 40)])
def test_a_record_without_a_duration_takes_that_of_its_call(
    lead_ms: float, total_ms: float
) -> None:
    """What went before the call counts as well, unless the clocks are more than 2 s apart."""
    trace = TraceBuilder()
    trace.span("orders", lead_ms, 40, SENT, "Server")
    known = record(trace_id=TRACE, outgoing_span_id=SENT, parent_span_id="feed000000000001")
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert timeline.hops[0].duration_ns == total_ms * MS


@pytest.mark.parametrize(("excess_ms", "wasted_ms"), [(1.9, 0), (2.1, 2.1)])
def test_work_that_goes_on_after_its_caller_gave_up_is_wasted(
    excess_ms: float, wasted_ms: float
) -> None:
    """Two milliseconds are the order of two stamps, and not work."""
    trace = TraceBuilder()
    edge = trace.edge(0, 100, code=504, flags="UT")
    trace.span("orders", 1, 100 + excess_ms, edge, "Server")
    assert told(trace).verdict.wasted_ns == round(wasted_ms * MS)


@pytest.mark.parametrize(("gap_ms", "spans"), [(0.9, 2), (1.1, 3)])
def test_two_reports_of_one_id_are_one_span_if_they_meet(gap_ms: float, spans: int) -> None:
    """A rounding apart they are two versions of one span, more apart two tries of a call."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server")
    for at in (5, 25 + gap_ms):
        peer = {"server.address": "stock"}
        trace.span("shop", at, 20, shop, "Client", span_id="cafe000000000001", attributes=peer)
    assert len(told(trace).spans) == spans


@pytest.mark.parametrize(("early_ms", "parent"), [(0.4, "Client"), (0.6, "Server")])
def test_a_callee_beside_its_call_belongs_to_it_if_it_lies_in_it(
    early_ms: float, parent: str
) -> None:
    """Proxies of one machine stamp in their own order, by half a millisecond at most."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server")
    trace.sidecar_out("shop", "stock", 10, 50, shop)
    trace.span("stock", 10 - early_ms, 40, shop, "Server")
    timeline = told(trace)
    by_id = {span.span_id: span for span in timeline.spans}
    stock = next(span for span in timeline.spans if span.service == "stock")
    assert by_id[stock.parent_span_id].kind == parent


@pytest.mark.parametrize(
    ("samples", "offset_ms", "health"),
    [(5, 49, "ok"), (5, 51, "off"), (5, -51, "off"), (4, 51, "")],
)
def test_a_clock_is_wrong_from_fifty_milliseconds_on(
    samples: int, offset_ms: int, health: str
) -> None:
    """Five calls that agree are enough to know, four are not."""
    seen = [PairSample("a", "b", offset_ms * MS, offset_ms * MS, START)] * samples
    assert [pair.health for pair in learn_offsets(seen)] == ([health] if health else [])


@pytest.mark.parametrize(("change_ms", "health"), [(58, "ok"), (62, "drifting")])
def test_a_clock_drifts_from_two_hundred_millionths_on(change_ms: int, health: str) -> None:
    """Within five minutes that is 60 ms, here from 29 ms behind to as much ahead."""
    window = 300 * 1000 * MS
    middle = change_ms // 2
    seen = [
        PairSample("a", "b", at * MS, at * MS, START // window * window + n * window)
        for n, at in enumerate((-middle, change_ms - middle))
        for _ in range(5)
    ]
    assert [pair.health for pair in learn_offsets(seen)] == [health]


def test_the_tightest_twentieth_of_many_calls_decides() -> None:
    """Of 200 calls the ten that bound the offset best are asked; the wide ones may all be wrong."""
    wide = [PairSample("a", "b", 0, 9 * MS, START)] * 200
    tight = [PairSample("a", "b", 20 * MS, 20 * MS + 1_000, START)] * 6
    other = [PairSample("a", "b", 30 * MS, 30 * MS + 2_000, START)] * 12
    [pair] = learn_offsets([*wide[:182], *tight, *other])
    assert pair.offset_ns // MS == 20
    [pair] = learn_offsets([*wide[:184], *tight[:4], *other])
    assert pair.offset_ns // MS == 30


@pytest.mark.parametrize(("steps", "is_known"), [(8, True), (9, False)])
def test_clocks_are_compared_along_eight_calls_at_most(steps: int, is_known: bool) -> None:
    """Errors add up with each call between two hosts that never met."""
    hosts = [f"h{n:02}" for n in range(steps + 1)]
    seen = [
        PairSample(first, second, MS, MS, START)
        for first, second in zip(hosts, hosts[1:], strict=False)
        for _ in range(5)
    ]
    offset = offsets_of(learn_offsets(seen)).get(hosts[0], hosts[-1])
    assert (offset is not None) is is_known
