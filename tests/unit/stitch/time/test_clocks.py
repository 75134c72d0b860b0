"""Clock offsets learned over many requests: bounds that hold, and no movement without need."""

import random

import pytest

from collector.stitch.time.clocks import (
    ClockPair,
    PairSample,
    learn_offsets,
    offsets_of,
    sample_pairs,
    widest_agreement,
)
from collector.stitch.time.placement import Offset
from tests.unit.stitch.building import LONG_AFTER, MS, START, TraceBuilder, record, stitch


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
    assert "the clock of stock is ahead of shop" in moved.adjusted_reason
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
