"""Clock offsets learned over many requests: bounds that hold, and no movement without need."""

import random
from typing import Any

import pytest

from collector.model import Id
from collector.stitch.time.agreement import widest_agreement
from collector.stitch.time.clocks import (
    ClockPair,
    PairSample,
    learn_offsets,
    offsets_of,
    sample_pairs,
)
from collector.stitch.time.placement import Offset
from tests.unit.stitch.building import (
    CORRELATION,
    LONG_AFTER,
    MS,
    START,
    TraceBuilder,
    record,
    stitch,
)


def exchange(rnd: random.Random, offset_ns: int, at_ns: int = START) -> PairSample:
    """Return the bounds of one call between two hosts whose clocks differ by *offset_ns*."""
    there = int(rnd.expovariate(1 / (2 * MS))) + 200_000
    back = int(rnd.expovariate(1 / (2 * MS))) + 200_000
    return PairSample("a", "b", offset_ns - back, offset_ns + there, at_ns)


def test_simulated_offsets_are_recovered_within_their_bounds() -> None:
    """In 99 of 100 runs the true offset lies within what is published, and that is narrow."""
    rnd = random.Random(3)
    held = 0
    for _ in range(200):
        truth = rnd.randrange(-200 * MS, 200 * MS)
        [pair] = learn_offsets([exchange(rnd, truth) for _ in range(200)])
        held += abs(pair.offset_ns - truth) <= pair.bound_ns
        assert pair.bound_ns < MS
    assert held >= 198


def test_wrong_bounds_are_outvoted() -> None:
    """A fifth of callees that nobody waited for does not move the result."""
    rnd = random.Random(5)
    truth = 30 * MS
    samples = [exchange(rnd, truth) for _ in range(400)]
    lies = [PairSample("a", "b", 90 * MS, 90 * MS + n * 30_000, START) for n in range(8)]
    [pair] = learn_offsets(samples + lies)
    assert abs(pair.offset_ns - truth) <= pair.bound_ns


def test_equal_clocks_move_nothing() -> None:
    """Without skew every interval holds zero, so no span of any request is moved."""
    rnd = random.Random(8)
    pairs = learn_offsets([exchange(rnd, 0) for _ in range(300)])
    trace = TraceBuilder()
    client = trace.span("shop", 0, 50, None, "Client", resource={"host.name": "a"})
    trace.span("stock", 5, 40, client, "Server", resource={"host.name": "b"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER, offsets=offsets_of(pairs))
    assert pairs[0].health == "ok"
    assert not any(span.adjusted_by_ns for span in timeline.spans)


def test_a_pair_is_one_pair_in_both_directions() -> None:
    """Calls from b to a say the same of the two clocks as calls from a to b."""
    there = PairSample("a", "b", 9 * MS, 11 * MS, START)
    back = PairSample("b", "a", -11 * MS, -9 * MS, START)
    [pair] = learn_offsets([there, back] * 5)
    assert (pair.first, pair.second, pair.offset_ns, pair.bound_ns) == ("a", "b", 10 * MS, MS)


def test_too_few_calls_say_nothing() -> None:
    """Four calls are no majority of anything."""
    assert learn_offsets([PairSample("a", "b", 0, MS, START)] * 4) == ()


def test_no_majority_no_offset() -> None:
    """Calls that contradict each other give no offset at all."""
    apart = [PairSample("a", "b", n * 10 * MS, n * 10 * MS + MS, START) for n in range(10)]
    assert learn_offsets(apart) == ()


def test_hosts_that_never_met_are_compared_along_a_chain() -> None:
    """Offsets and bounds add up over the surest chain of calls."""
    pairs = [
        ClockPair("a", "b", 10, 1, 9, None, "ok"),
        ClockPair("b", "c", 5, 2, 9, None, "ok"),
        ClockPair("a", "d", 100, 50, 9, None, "ok"),
        ClockPair("c", "d", 85, 1, 9, None, "ok"),
    ]
    offsets = offsets_of(pairs)
    assert offsets.get("a", "c") == Offset(15, 3)
    assert offsets.get("c", "a") == Offset(-15, 3)
    assert offsets.get("a", "d") == Offset(100, 4)
    assert offsets.get("a", "z") is None


def test_a_drifting_clock_is_noticed() -> None:
    """A clock that gains 60 ms in five minutes drifts by 200 ppm."""
    windows = [
        PairSample("a", "b", n * 61 * MS - MS, n * 61 * MS + MS, START + n * 300 * 1000 * MS)
        for n in (0, 1)
    ]
    [pair] = learn_offsets(windows * 6)
    assert pair.drift_ppm is not None
    assert 200 < pair.drift_ppm < 207
    assert pair.health == "off"


def test_timelines_give_samples_of_calls_between_hosts() -> None:
    """A call between two hosts bounds their offset, also the gateway's call of the edge."""
    trace = TraceBuilder()
    edge = trace.edge(30, 60, "c0ffee0000000001")
    trace.sidecar_in("orders", 32, 50, edge)
    known = record(
        total=100, backend=80, trace_id=trace.trace_id, outgoing_span_id="c0ffee0000000001"
    )
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    [sample] = sample_pairs(timeline)
    assert (sample.first, sample.second) == (
        "azure-apim/shop-apim",
        "istio-ingressgateway-6d9f7c5b84-abcde",
    )
    # Start and duration are cut to milliseconds, so the end may be off by two.
    assert (sample.lower_ns, sample.upper_ns) == (-10 * MS - 2 * MS, 30 * MS + 2 * MS)


def test_agreement_is_where_most_intervals_overlap() -> None:
    """Of four intervals three share the stretch from 4 to 6."""
    assert widest_agreement([(0, 6), (4, 9), (3, 7), (20, 30)]) == (4, 6, 3)
    assert widest_agreement([(0, 5), (5, 9)]) == (5, 5, 2)


def hop(skew_ms: float, *, callee: str = "stock", host: str = "b") -> TraceBuilder:
    """Return one call of 50 ms between two pods, the second one's clock ahead by *skew_ms*."""
    trace = TraceBuilder()
    root = trace.span("shop", 0, 60, None, "Server", resource={"host.name": "a"})
    client = trace.span("shop", 5, 50, root, "Client", resource={"host.name": "a"})
    trace.span(callee, 10 + skew_ms, 40, client, "Server", resource={"host.name": host})
    return trace


@pytest.mark.parametrize("skew_ms", [200, -200, 6, -6])
def test_one_request_moves_a_clock_that_is_surely_wrong(skew_ms: int) -> None:
    """The published offset holds the true one within its half-width, and raw times stay."""
    timeline = stitch([], hop(skew_ms).spans, now_ns=LONG_AFTER)
    *_, moved = timeline.spans
    assert abs(-moved.adjusted_by_ns - skew_ms * MS) <= moved.adjusted_bound_ns
    side = "ahead of" if skew_ms > 0 else "behind"
    said = f"the clock of stock is {abs(skew_ms)}.000 ms {side} shop, from this request"
    assert moved.adjusted_reason == said
    raw = stitch([], hop(skew_ms).spans, now_ns=LONG_AFTER, is_raw=True)
    assert [span.raw_start_ns for span in raw.spans] == [s.start_ns for s in hop(skew_ms).spans]


@pytest.mark.parametrize("skew_ms", [0, 4.9, -4.9])
def test_what_may_be_no_skew_moves_nothing(skew_ms: float) -> None:
    """As long as zero lies within the bounds a span stays where its sender put it."""
    timeline = stitch([], hop(skew_ms).spans, now_ns=LONG_AFTER)
    assert not any(span.adjusted_by_ns for span in timeline.spans)


@pytest.mark.parametrize("host", ["a", ""])
def test_one_service_is_not_ahead_of_itself(host: str) -> None:
    """Spans of one service share a clock, whether or not each says where it ran."""
    timeline = stitch([], hop(20, callee="shop", host=host).spans, now_ns=LONG_AFTER)
    assert not any(span.adjusted_by_ns for span in timeline.spans)
    assert "CLOCK" not in {finding.rule for finding in timeline.findings}
    assert {span.host for span in timeline.spans} == {"a"}


def test_a_proxy_that_ends_its_span_early_is_no_wrong_clock() -> None:
    """Envoy's Zipkin spans end some 0.15 ms before the answer is out; nothing is moved for that."""
    trace = TraceBuilder()
    edge = trace.edge(0, 20, "c0ffee0000000001")
    trace.sidecar_in("orders", 0.02, 20.1, edge)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert not any(span.adjusted_by_ns for span in timeline.spans)
    assert all(s.lower_ns <= 0 <= s.upper_ns for s in sample_pairs(timeline))


def streamed(skew_ms: float, longer_ms: float) -> TraceBuilder:
    """
    Return a call of 200 ms whose client ends at the headers; the server goes on for *longer_ms*.

    The callee spends 180 ms in a query, from 10 ms after it was called.
    """
    trace = TraceBuilder()
    root = trace.span("shop", 0, 230, None, "Server", resource={"host.name": "a"})
    client = trace.span("shop", 10, 200, root, "Client", resource={"host.name": "a"})
    at = 15 + skew_ms
    callee = trace.span("stock", at, 200 + longer_ms, client, "Server", resource={"host.name": "b"})
    trace.span(
        "stock",
        at + 5,
        180,
        callee,
        "Client",
        attributes={"db.system": "postgresql"},
        resource={"host.name": "b"},
    )
    return trace


@pytest.mark.parametrize("longer_ms", [0.1, 3, 9, 45])
@pytest.mark.parametrize("skew_ms", [-400, 400, -60, 5_000])
def test_a_callee_that_outlasts_its_caller_a_little_is_moved_into_it(
    skew_ms: float, longer_ms: float
) -> None:
    """
    A client that ends at the headers still bounds the clock: phases are as without skew.

    How long the call was on its way cannot be known, and is a part of the published bound.
    """
    timeline = stitch([], streamed(skew_ms, longer_ms).spans, now_ns=LONG_AFTER)
    *_, callee, query = timeline.spans
    assert 10 * MS <= callee.start_offset_ns <= 20 * MS
    assert query.start_offset_ns == callee.start_offset_ns + 5 * MS
    straight = stitch([], streamed(0, longer_ms).spans, now_ns=LONG_AFTER)
    assert not any(span.adjusted_by_ns for span in straight.spans)
    held = {phase.name: phase.duration_ns for phase in timeline.phases}
    known = {phase.name: phase.duration_ns for phase in straight.phases}
    assert held["dependency"] == known["dependency"] == 180 * MS
    way_ns = 5 * MS
    assert all(abs(held.get(name, 0) - known[name]) <= way_ns for name in known)
    assert abs(skew_ms * MS + callee.adjusted_by_ns) <= callee.adjusted_bound_ns


def test_a_callee_that_outlasts_its_caller_by_far_only_begins_after_it() -> None:
    """Work that goes on for long after the answer says nothing but cause and effect."""
    after = stitch([], streamed(120, 4_000).spans, now_ns=LONG_AFTER)
    assert not any(span.adjusted_by_ns for span in after.spans)
    before = stitch([], streamed(-100, 4_000).spans, now_ns=LONG_AFTER)
    *_, callee, _ = before.spans
    assert callee.start_offset_ns == 10 * MS


def test_learned_offsets_are_used_for_a_callee_that_outlasts_its_caller() -> None:
    """Other requests know the clock better than one call that shows its beginning only."""
    learned = offsets_of(learn_offsets([exchange(random.Random(n), -400 * MS) for n in range(60)]))
    timeline = stitch([], streamed(-400, 3).spans, now_ns=LONG_AFTER, offsets=learned)
    *_, callee, _ = timeline.spans
    assert "learned over many requests" in callee.adjusted_reason
    assert abs(callee.adjusted_by_ns - 400 * MS) <= 3 * MS
    assert callee.adjusted_bound_ns < 3 * MS


def test_a_call_with_a_wrong_parent_is_outvoted() -> None:
    """Of seven calls of one host the first seems to run before its caller: nothing is moved."""
    trace = TraceBuilder()
    root = trace.span("shop", 0, 500, None, "Server", resource={"host.name": "a"})
    for number in range(7):
        at = 20 + 60 * number
        client = trace.span("shop", at, 50, root, "Client", resource={"host.name": "a"})
        early = 60 if number == 0 else 0
        trace.span("stock", at + 5 - early, 40, client, "Server", resource={"host.name": "b"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert not any(span.adjusted_by_ns for span in timeline.spans)


@pytest.mark.parametrize("has_own_span", [True, False])
@pytest.mark.parametrize("late_ms", [0, 250, 900])
def test_a_second_that_was_cut_off_is_no_clock_that_is_wrong(
    late_ms: int, has_own_span: bool
) -> None:
    """The log knows its second only: spans are fitted in, and no host is told."""
    trace = TraceBuilder()
    parent: object = "00000000000000cc"
    if has_own_span:
        trace.span(
            "nginx", late_ms + 1, 148, None, "Server", span_id=parent, scope="nginx",
            attributes={"http.method": "GET", "http.target": "/orders/7"},
        )  # fmt: skip
    trace.span(
        "orders", late_ms + 4, 142, str(parent), "Server", resource={"host.name": "b"},
        attributes={"http.request.method": "GET", "url.path": "/orders/7"},
    )  # fmt: skip
    logged = record(
        gateway="ingress-nginx", total=150, backend=145, trace_id=trace.trace_id, ids=(),
        outgoing_span_id=parent, path="/orders/7", quality=("SECOND_GRANULARITY",),
        resolution_ns=MS,
    )  # fmt: skip
    timeline = stitch([logged], trace.spans, now_ns=LONG_AFTER)
    took = {phase.name: phase.duration_ns // MS for phase in timeline.phases}
    assert took["app"] == 142
    assert {"CLOCK", "OUTSIDE_PARENT"}.isdisjoint(f.rule for f in timeline.findings)
    [orders] = [span for span in timeline.spans if span.service == "orders"]
    assert 0 <= orders.start_offset_ns <= 8 * MS


def test_a_clock_that_is_more_than_a_second_off_is_told_beside_a_coarse_record() -> None:
    """What rounding cannot explain is a clock."""
    trace = TraceBuilder()
    trace.span("orders", 4_004, 142, "00000000000000cc", "Server", resource={"host.name": "b"})
    logged = record(
        gateway="ingress-nginx", total=150, backend=145, trace_id=trace.trace_id, ids=(),
        outgoing_span_id="00000000000000cc", quality=("SECOND_GRANULARITY",), resolution_ns=MS,
    )  # fmt: skip
    timeline = stitch([logged], trace.spans, now_ns=LONG_AFTER)
    assert "CLOCK" in {finding.rule for finding in timeline.findings}


@pytest.mark.parametrize("is_outer_coarse", [True, False])
@pytest.mark.parametrize("late_ms", [0, 300, 950])
def test_gateways_in_a_row_of_which_one_knows_its_second_only(
    late_ms: int, is_outer_coarse: bool
) -> None:
    """The inner one lies in the outer one's time, and the application in both."""
    coarse: dict[str, Any] = {"quality": ("SECOND_GRANULARITY",)}
    shared = "4c1d9a7be05f43d2a6b8c7d0e1f2a3b4"
    sent = "00000000000000cc"
    at = late_ms if is_outer_coarse else -late_ms
    outer = record(
        gateway="azure-application-gateway", record_id=shared, instance="agw", total=140,
        backend=138, ids=(Id("transaction_id", shared),), resolution_ns=MS,
        **(coarse if is_outer_coarse else {}),
    )  # fmt: skip
    inner = record(
        at=at + 3, total=130, backend=120, trace_id="7" * 32, outgoing_span_id=sent,
        parent_span_id="b" * 16, resolution_ns=MS,
        ids=(Id("apim_correlation_id", CORRELATION), Id("tracking_id", shared)),
        **({} if is_outer_coarse else coarse),
    )  # fmt: skip
    trace = TraceBuilder(trace_id="7" * 32)
    begin = late_ms + 9 if is_outer_coarse else 9
    trace.span("orders", begin, 108, sent, "Server", resource={"host.name": "b"})
    timeline = stitch([outer, inner], trace.spans, now_ns=LONG_AFTER)
    took = {phase.name: phase.duration_ns // MS for phase in timeline.phases}
    assert (len(timeline.gateway_records), took["app"]) == (2, 108)
    assert {"CLOCK", "OUTSIDE_PARENT"}.isdisjoint(f.rule for f in timeline.findings)
