"""Clock offsets learned over many requests: bounds that hold, and no movement without need."""

import random

from collector.stitch.assemble import stitch
from collector.stitch.clocks import (
    ClockPair,
    PairSample,
    learn_offsets,
    offsets_of,
    sample_pairs,
    widest_agreement,
)
from collector.stitch.placement import Offset
from tests.unit.stitch.building import LONG_AFTER, MS, START, TraceBuilder, record


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
    assert (sample.lower_ns, sample.upper_ns) == (-10 * MS - MS // 2, 30 * MS + MS // 2)


def test_agreement_is_where_most_intervals_overlap() -> None:
    """Of four intervals three share the stretch from 4 to 6."""
    assert widest_agreement([(0, 6), (4, 9), (3, 7), (20, 30)]) == (4, 6, 3)
    assert widest_agreement([(0, 5), (5, 9)]) == (5, 5, 2)
