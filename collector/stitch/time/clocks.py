"""
Clock offsets between hosts, learned from many requests, with their error bars.

Every call between two hosts bounds their offset (see `placement`). Over many calls the bounds
shrink to the fastest exchange seen, as in NTP. The tightest twentieth of the calls votes, and the
stretch that most of them agree on wins: a wrong bound (of a callee that nobody waited for) may be
tight as well, but it is in the minority.

Where two hosts never called each other, offsets are added up along the chain of calls with the
smallest total bound; the bounds add up as well, so they stay bounds.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collector.answers import Duration
from collector.stitch.time.agreement import widest_agreement
from collector.stitch.time.placement import (
    PROXY_END_NS,
    ClockOffsets,
    Offset,
    bounds_of_times,
    record_slack_ns,
)
from collector.stitch.timeline import Timeline, TimelineSpan

WINDOW_NS = 300_000_000_000
# Fewer calls say too little: one odd call could be a majority.
_MIN_SAMPLES = 5
_TIGHTEST_SHARE = 20
_ALARM_NS = 50_000_000
_ALARM_DRIFT_PPM = 200.0
_MAX_CHAIN = 8
_PROXIES = frozenset({"edge", "client_proxy", "server_proxy", "waypoint"})


@dataclass(frozen=True, slots=True)
class PairSample:
    """One call: how far the second host's clock can be ahead of the first's."""

    first: str
    second: str
    lower_ns: int
    upper_ns: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class ClockPair:
    """
    What is known of two hosts' clocks: the second is ahead by `offset_ns` ± `bound_ns`.

    `drift_ppm` is how fast that changes, `None` with one window only. `health` is `ok`, `unknown`
    (too wide to tell zero from the alarm limit), `off` (surely more than 50 ms) or `drifting`.
    """

    first: str
    second: str
    offset_ns: Duration
    bound_ns: Duration
    samples: int
    drift_ppm: float | None
    health: str


@dataclass(slots=True)
class _Window:
    start_ns: int
    samples: list[PairSample] = field(default_factory=list)


def sample_pairs(timeline: Timeline) -> list[PairSample]:
    """Return the bounds that the calls of one timeline give, two different hosts each."""
    by_id = {span.span_id: span for span in timeline.spans}
    hops = timeline.hops
    # What may be another request's says nothing of clocks. An id that was not passed on, at another
    # time, mostly means a wrong clock: the majority of the calls decides.
    doubted = {
        link.to
        for link in timeline.links
        if link.contradictions
        and (link.tier > 0 or any(one.field != "time" for one in link.contradictions))
    }
    found = []
    for span in timeline.spans:
        caller = by_id.get(span.parent_span_id)
        if caller is None or span.is_orphan or span.is_inferred or caller.is_inferred:
            continue
        if not _is_call(caller, span) or hops[span.hop].is_async or hops[span.hop].is_mirrored:
            continue
        if doubted and f"{span.trace_id}/{span.raw_span_id}" in doubted:
            continue
        sample = _sample(caller, span, _slack(timeline, caller))
        if sample is not None:
            found.append(sample)
    return found


def learn_offsets(
    samples: Iterable[PairSample], *, window_ns: int = WINDOW_NS
) -> tuple[ClockPair, ...]:
    """Return what the samples say of each pair of hosts, by name; the newest window counts."""
    by_pair: dict[tuple[str, str], list[PairSample]] = {}
    for sample in samples:
        first, second = sorted((sample.first, sample.second))
        if (first, second) != (sample.first, sample.second):
            sample = PairSample(first, second, -sample.upper_ns, -sample.lower_ns, sample.at_ns)
        by_pair.setdefault((first, second), []).append(sample)
    pairs = (_learn_pair(found, window_ns) for _, found in sorted(by_pair.items()))
    return tuple(pair for pair in pairs if pair is not None)


def offsets_of(pairs: Sequence[ClockPair]) -> ClockOffsets:
    """Return the offsets for placing spans, with those of hosts that never called each other."""
    edges: dict[str, dict[str, Offset]] = {}
    for pair in pairs:
        edges.setdefault(pair.first, {})[pair.second] = Offset(pair.offset_ns, pair.bound_ns)
        edges.setdefault(pair.second, {})[pair.first] = Offset(-pair.offset_ns, pair.bound_ns)
    found: dict[tuple[str, str], Offset] = {}
    for host in sorted(edges):
        for other, offset in _reach(host, edges):
            if host < other:
                found[(host, other)] = offset
    return ClockOffsets(found)


def _is_call(caller: TimelineSpan, span: TimelineSpan) -> bool:
    if caller.duration_ns is None or span.duration_ns is None or "unmeasured" in caller.flags:
        # An end that nobody measured bounds no offset.
        return False
    if not caller.host or not span.host or caller.host == span.host:
        return False
    if caller.role == "gateway":
        return span.role != "gateway" or caller.raw_span_id == ""
    return caller.kind == "Client" and span.kind == "Server"


def _slack(timeline: Timeline, caller: TimelineSpan) -> int:
    for merged in timeline.gateway_records:
        if merged.span_id == caller.span_id:
            return record_slack_ns(merged.record.resolution_ns)
    return 0


def _sample(caller: TimelineSpan, span: TimelineSpan, slack_ns: int) -> PairSample | None:
    """Return the bounds of one call, `None` if only its beginning is bounded."""
    begin, start = caller.raw_start_ns, span.raw_start_ns
    found = bounds_of_times(
        (begin, begin + (caller.duration_ns or 0)),
        (start, start + (span.duration_ns or 0)),
        slack_ns + (PROXY_END_NS if caller.role in _PROXIES else 0),
        slack_ns,
    )
    if found.is_loose:
        return None
    return PairSample(
        first=caller.host,
        second=span.host,
        lower_ns=found.lower_ns,
        upper_ns=found.upper_ns,
        at_ns=begin,
    )


def _learn_pair(samples: Sequence[PairSample], window_ns: int) -> ClockPair | None:
    windows: dict[int, _Window] = {}
    for sample in samples:
        start = sample.at_ns // window_ns * window_ns
        windows.setdefault(start, _Window(start)).samples.append(sample)
    known = [
        (start, agreement)
        for start, window in sorted(windows.items())
        if (agreement := _agree(window.samples)) is not None
    ]
    if not known:
        return None
    newest, (low, high) = known[-1]
    offset, bound = (low + high) // 2, (high - low + 1) // 2
    drift = _drift(known)
    return ClockPair(
        first=samples[0].first,
        second=samples[0].second,
        offset_ns=offset,
        bound_ns=bound,
        samples=len(windows[newest].samples),
        drift_ppm=drift,
        health=_health(offset, bound, drift),
    )


def _agree(samples: Sequence[PairSample]) -> tuple[int, int] | None:
    if len(samples) < _MIN_SAMPLES:
        return None
    ordered = sorted((s.upper_ns - s.lower_ns, s.lower_ns, s.upper_ns) for s in samples)
    voters = ordered[: max(_MIN_SAMPLES, len(ordered) // _TIGHTEST_SHARE)]
    low, high, votes = widest_agreement([(low, high) for _, low, high in voters])
    return (low, high) if votes * 2 > len(voters) else None


def _drift(known: Sequence[tuple[int, tuple[int, int]]]) -> float | None:
    if len(known) < 2:
        return None
    (first_at, first), (last_at, last) = known[0], known[-1]
    change = (last[0] + last[1] - first[0] - first[1]) / 2
    # What the error bars allow to be no change at all is no drift.
    noise = (first[1] - first[0] + last[1] - last[0]) / 2
    return change / (last_at - first_at) * 1e6 if abs(change) > noise else 0.0


def _health(offset: int, bound: int, drift: float | None) -> str:
    if abs(offset) - bound > _ALARM_NS:
        return "off"
    if drift is not None and abs(drift) > _ALARM_DRIFT_PPM:
        return "drifting"
    return "ok" if abs(offset) + bound <= _ALARM_NS else "unknown"


def _reach(host: str, edges: Mapping[str, Mapping[str, Offset]]) -> Iterator[tuple[str, Offset]]:
    """Yield every host that calls lead to, with the offset along the surest chain."""
    queue: list[tuple[int, int, str, int]] = [(0, 0, host, 0)]
    done: set[str] = set()
    while queue:
        bound, length, here, offset = heapq.heappop(queue)
        if here in done:
            continue
        done.add(here)
        if here != host:
            yield here, Offset(offset, bound)
        if length == _MAX_CHAIN:
            continue
        for other, step in edges.get(here, {}).items():
            if other not in done:
                entry = (bound + step.bound_ns, length + 1, other, offset + step.offset_ns)
                heapq.heappush(queue, entry)
