"""
Partners of gateway records that no id joins, and how far such joins can be trusted.

Around a moment the records and edge spans of an API are read; the pairs among them that ids decide
teach what a pair looks like, and hiding those ids measures how often likelihood would be right. A
record without spans is then weighed against every edge span near it that no record claims, unless
it has an id of a kind that leads to spans as a rule: then its partner was not recorded.

What was learned is kept for a while and per stretch of time. Nothing here counts in statistics: a
pair changes a timeline only, and only on routes that keep what they claim.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import attrgetter

from cachetools import TTLCache

from collector.clock import Clock
from collector.identity import ids
from collector.model import GatewayRecord, Stream, record_reference
from collector.query.learned.freshness import Freshness
from collector.stitch.completeness import SPAN_SOURCE
from collector.stitch.join.by_likelihood import (
    STATISTICS_MINIMUM,
    RecordPoint,
    RouteAudit,
    RouteModel,
    SpanPoint,
    audit_routes,
    join_without_ids,
    learn_routes,
    record_point,
)
from collector.stitch.join.likely import TIMELINE_MINIMUM, LikelyPair
from collector.store import Edge, Store
from collector.timestamps import NS_PER_H, NS_PER_S

# Narrow first: a busy API fills the limit within minutes, a quiet one needs hours.
_REACHES_NS = (300 * NS_PER_S, 3 * 3600 * NS_PER_S)
_MAX_RECORDS = 3_000
_MAX_EDGES = 12_000
_MARGIN_NS = 30 * NS_PER_S
_STRETCH_NS = 600 * NS_PER_S
_FRESH_NS = 60 * NS_PER_S
# A report tells what was learned up to so long ago, of the same hour. It is learned again before.
_RECALLED_NS = 900 * NS_PER_S
_WORTH_AGAIN_NS = 300 * NS_PER_S
_MAX_REMEMBERED = 64
_CLUSTER_NS = 30 * NS_PER_S
_MAX_CLUSTER_RECORDS = 500
_MAX_CLUSTER_EDGES = 2_000
# Less likely candidates are not worth naming.
_LEAST_CANDIDATE = 0.05
# A kind of id that leads to spans in half of the records would have led there in this one too.
_CARRIED_SHARE = 0.5
# A list waits for so much and no more: what is left over is asked of what was stitched before.
_MAX_CLUSTERS = 4
_MAX_NEAR_STRETCHES = 8
_NEAR_NS = 5 * NS_PER_S
_MAX_NEAR = 4
_UNTAUGHT_NS = 600 * NS_PER_S
_START = attrgetter("start_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """
    What one API's records and edge spans of a stretch of time taught.

    `unjoined` are the records of the stretch that no id joins, `joined` how many of them likelihood
    joins at `STATISTICS_MINIMUM` and above on routes that are not demoted. `carried` are the kinds
    of ids that lead to spans as a rule: a record with one of them and no spans has no partner.
    `as_of_ns` is when it was learned.
    """

    start_ns: int
    end_ns: int
    records: int
    pairs: int
    unjoined: int
    joined: int
    services: tuple[str, ...]
    models: Mapping[str, RouteModel]
    audits: Mapping[str, RouteAudit]
    delay_ns: int
    carried: frozenset[str]
    as_of_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Matched:
    """Records and edges of one stretch, told apart by whether ids join them."""

    pairs: list[tuple[RecordPoint, SpanPoint]]
    services: tuple[str, ...]
    lonely_records: list[RecordPoint]
    lonely_edges: list[Edge]
    carried: frozenset[str]


class LikelyPartners:
    """Finds likely partners. Thread-safe."""

    def __init__(self, store: Store, clock: Clock, freshness: Freshness) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._lock = threading.Lock()
        self._learned: TTLCache[tuple[str, str, int], Learned] = TTLCache(
            _MAX_REMEMBERED, ttl=_FRESH_NS, timer=clock.now_ns
        )
        self._recalled: TTLCache[tuple[str, str, int], Learned] = TTLCache(
            _MAX_REMEMBERED * 16, ttl=_RECALLED_NS, timer=clock.now_ns
        )
        self._learning: dict[tuple[str, str, int], Future[Learned]] = {}
        # one after the other: nobody waits for more than the first of them
        self._learner = ThreadPoolExecutor(1, thread_name_prefix="hopline-learn")
        self._listed: TTLCache[str, tuple[LikelyPair, ...]] = TTLCache(
            _MAX_REMEMBERED * 64, ttl=_FRESH_NS, timer=clock.now_ns
        )
        self._untaught: TTLCache[tuple[str, str], bool] = TTLCache(
            _MAX_REMEMBERED * 16, ttl=_UNTAUGHT_NS, timer=clock.now_ns
        )

    def find_listed(
        self, records: Iterable[GatewayRecord], traces: Mapping[str, int]
    ) -> list[LikelyPair]:
        """
        Return the pairs, likely enough to be joined, of a page's records or traces.

        *traces* are ids, with the starts of their edge spans. Records with a trace id are left out:
        their partner would carry it. A page is given so much time only; what was found is kept for
        a minute, so the next one gets further.
        """
        if SPAN_SOURCE not in self._freshness.lags() or not self._freshness.names(Stream.RECORD):
            return []
        wanted = {each.reference: each for each in records if not each.trace_id}
        for each in self._find_near(traces):
            wanted.setdefault(each.reference, each)
        with self._lock:
            known = {each: self._listed.get(each) for each in wanted}
            untaught = set(self._untaught)
        clusters: dict[tuple[str, str, int], list[GatewayRecord]] = {}
        for reference, record in wanted.items():
            if known[reference] is None and (record.gateway, record.api) not in untaught:
                place = (record.gateway, record.api, record.start_ns // _CLUSTER_NS)
                clusters.setdefault(place, []).append(record)
        groups = sorted(clusters.values(), key=len, reverse=True)
        for group in groups[:_MAX_CLUSTERS]:
            first = group[0]
            own: dict[str, list[LikelyPair]] = {}
            for pair in filter(is_taken, self.find(group)):
                own.setdefault(pair.record, []).append(pair)
            is_taught = bool(self.learn(first.gateway, first.api, first.start_ns).models)
            with self._lock:
                if not is_taught:
                    self._untaught[first.gateway, first.api] = True
                for reference in (each.reference for each in group):
                    known[reference] = self._listed[reference] = tuple(own.get(reference, ()))
        pairs = [pair for found in known.values() for pair in found or ()]
        left = [record for group in groups[_MAX_CLUSTERS:] for record in group]
        if left or len(_stretches(traces)) > _MAX_NEAR_STRETCHES:
            met = {pair.span.partition("/")[0] for pair in pairs}
            pairs += self._find_stored(left, {t: at for t, at in traces.items() if t not in met})
        return pairs

    def _find_stored(
        self, records: Sequence[GatewayRecord], traces: Mapping[str, int]
    ) -> list[LikelyPair]:
        """Return the pairs that stitching in the background found for some of a page."""
        starts = [record.start_ns for record in records]
        starts += [at + gap for at in traces.values() for gap in (-_NEAR_NS, _NEAR_NS)]
        wanted = [record.record_id for record in records]
        found = self._store.find_stitched(traces, wanted, starts)
        stored = [each for each in found if each.likely >= TIMELINE_MINIMUM]
        summaries = self._store.get_trace_summaries(sorted({each.trace_id for each in stored}))
        edges = {each.trace_id: each.edge_span_id for each in summaries}
        return [
            LikelyPair(
                record=record_reference(each.gateway, each.request_id),
                span=f"{each.trace_id}/{edges[each.trace_id]}",
                route="",
                probability=each.likely,
                runner_up=0.0,
                evidence=(),
            )
            for each in stored
            if each.trace_id in edges
        ]

    def _find_near(self, traces: Mapping[str, int]) -> list[GatewayRecord]:
        """Return the records without a trace id that began next to *traces*."""
        found: dict[str, GatewayRecord] = {}
        for starts in _stretches(traces)[:_MAX_NEAR_STRETCHES]:
            near = self._store.find_join_records(
                "",
                "",
                (starts[0] + starts[-1]) // 2,
                reach_ns=(starts[-1] - starts[0]) // 2 + _NEAR_NS,
                limit=_MAX_CLUSTER_RECORDS,
            )
            near.sort(key=_START)
            for start_ns in starts:
                place = bisect_left(near, start_ns, key=_START)
                around = near[max(place - _MAX_NEAR, 0) : place + _MAX_NEAR]
                around.sort(key=lambda record: abs(record.start_ns - start_ns))
                for record in around[:_MAX_NEAR]:
                    if abs(record.start_ns - start_ns) <= _NEAR_NS:
                        found[record.reference] = record
        return list(found.values())

    def find(
        self, records: Iterable[GatewayRecord], *, known_until_ns: int | None = None
    ) -> list[LikelyPair]:
        """
        Return the likeliest partner of each record, joined or a mere candidate.

        Records that called no backend, or that do not say how long it took, have none; nor have
        those whose own spans may still come, at *known_until_ns* or now.
        """
        spans = self._freshness.lags().get(SPAN_SOURCE)
        if spans is None:
            return []
        settled_ns = spans.watermark_ns
        if known_until_ns is not None:
            settled_ns = min(settled_ns, known_until_ns - spans.p99_lag_ns)
        newest = {(r.gateway, r.record_id): r for r in records if r.source != "span"}
        clusters: dict[tuple[str, str, int], list[RecordPoint]] = {}
        for record in newest.values():
            point = record_point(record)
            if point is None or record.start_ns + (record.duration_ns or 0) > settled_ns:
                continue
            learned = self.learn(record.gateway, record.api, record.start_ns)
            if point.route in learned.models and not learned.carried & _keys(record).keys():
                place = (record.gateway, record.api, point.start_ns // _CLUSTER_NS)
                clusters.setdefault(place, []).append(point)
        return [
            pair
            for (gateway, api, _), points in clusters.items()
            for pair in self._weigh(gateway, api, points)
        ]

    def learn(self, gateway: str, api: str, moment_ns: int) -> Learned:
        """Return what the requests of an API around a moment teach, a minute old at most."""
        place = moment_ns // _STRETCH_NS
        with self._lock:
            known = self._learned.get((gateway, api, place))
        if known is not None:
            return known
        middle_ns = min(place * _STRETCH_NS + _STRETCH_NS // 2, self._clock.now_ns())
        stretch = self._read_stretch(gateway, api, middle_ns)
        learned = replace(learn_stretch(*stretch), as_of_ns=self._clock.now_ns())
        with self._lock:
            self._learned[gateway, api, place] = learned
            self._recalled[gateway, api, moment_ns // NS_PER_H] = learned
        return learned

    def learn_aside(self, gateway: str, api: str, moment_ns: int) -> Future[Learned] | None:
        """
        Have a thread that works for nobody learn what `recall` returns then.

        `None` where that was learned minutes ago.
        """
        known = self.recall(gateway, api, moment_ns)
        if known is not None and self._clock.now_ns() - known.as_of_ns < _WORTH_AGAIN_NS:
            return None
        key = (gateway, api, moment_ns // _STRETCH_NS)
        with self._lock:
            self._learning = {k: each for k, each in self._learning.items() if not each.done()}
            if key not in self._learning:
                self._learning[key] = self._learner.submit(self.learn, gateway, api, moment_ns)
            return self._learning[key]

    def recall(self, gateway: str, api: str, moment_ns: int) -> Learned | None:
        """Return what was learned last in the hour of a moment, a while ago at most."""
        with self._lock:
            return self._recalled.get((gateway, api, moment_ns // NS_PER_H))

    def close(self) -> None:
        """Wait for what is being learned; the store may be closed afterwards."""
        self._learner.shutdown(cancel_futures=True)

    def _read_stretch(
        self, gateway: str, api: str, middle_ns: int
    ) -> tuple[list[GatewayRecord], list[Edge], set[str]]:
        records: list[GatewayRecord] = []
        for reach_ns in _REACHES_NS:
            records = self._store.find_join_records(
                gateway, api, middle_ns, reach_ns=reach_ns, limit=_MAX_RECORDS
            )
            if len(records) >= _MAX_RECORDS // 4:
                break
        if not records:
            return [], [], set()
        start_ns = min(record.start_ns for record in records) - _MARGIN_NS
        end_ns = max(record.start_ns for record in records) + _MARGIN_NS
        edges = self._store.find_edges(
            start_ns, end_ns, limit=_MAX_EDGES, with_sizes=_have_sizes(records)
        )
        if len(edges) >= _MAX_EDGES:
            # A record whose edge was not read would seem to have no partner.
            first, last = edges[0].start_ns + _MARGIN_NS // 10, edges[-1].start_ns
            records = [r for r in records if first <= r.start_ns <= last - _MARGIN_NS // 10]
        return records, edges, self._store.find_claimed_near(edges)

    def _weigh(self, gateway: str, api: str, points: Sequence[RecordPoint]) -> list[LikelyPair]:
        """Weigh records of one cluster together with the others near them that no id joins."""
        starts = sorted(point.start_ns for point in points)
        learned = self.learn(gateway, api, starts[0])
        rivals = self._store.find_join_records(
            gateway,
            api,
            (starts[0] + starts[-1]) // 2,
            reach_ns=_CLUSTER_NS + (starts[-1] - starts[0]) // 2,
            limit=_MAX_CLUSTER_RECORDS,
        )
        edges = self._store.find_edges(
            starts[0] + learned.delay_ns - _CLUSTER_NS,
            starts[-1] + learned.delay_ns + _CLUSTER_NS,
            services=learned.services,
            limit=_MAX_CLUSTER_EDGES,
            with_sizes=_have_sizes((*points, *rivals)),
        )
        if not edges:
            return []
        claimed = self._store.find_claimed(edges)
        matched = match_by_ids(rivals, edges, claimed, carried=learned.carried)
        own = {point.key: point for point in points}
        lonely = {each.key: each for each in matched.lonely_records} | own
        pairs = join_without_ids(
            list(lonely.values()),
            [edge_point(edge) for edge in matched.lonely_edges],
            learned.models,
            learned.audits,
            minimum=_LEAST_CANDIDATE,
        )
        return [pair for pair in pairs if pair.record in own]


def _have_sizes(records: Iterable[GatewayRecord | RecordPoint]) -> bool:
    """Tell whether any of them says how large its answer was, so that spans' sizes tell."""
    return any(each.response_bytes is not None for each in records)


def _stretches(traces: Mapping[str, int]) -> list[list[int]]:
    """Return the starts of *traces* that are near each other, the most first."""
    found: dict[int, list[int]] = {}
    for start_ns in sorted(traces.values()):
        found.setdefault(start_ns // (2 * _CLUSTER_NS), []).append(start_ns)
    return sorted(found.values(), key=len, reverse=True)


def is_taken(pair: LikelyPair) -> bool:
    """Tell whether a pair is likely and proven enough to be merged into a timeline."""
    return pair.probability >= TIMELINE_MINIMUM and not pair.is_demoted


def learn_stretch(
    records: Sequence[GatewayRecord], edges: Sequence[Edge], claimed: set[str]
) -> Learned:
    """Learn from the records and edges of a stretch, and measure what was learned."""
    matched = match_by_ids(records, edges, claimed)
    models = learn_routes(matched.pairs)
    others = [edge_point(edge) for edge in matched.lonely_edges if edge.service in matched.services]
    audits = audit_routes(matched.pairs, others, matched.lonely_records) if models else {}
    found = join_without_ids(matched.lonely_records, others, models, audits)
    sure = [p for p in found if p.probability >= STATISTICS_MINIMUM and not p.is_demoted]
    delays = sorted(span.start_ns - record.start_ns for record, span in matched.pairs)
    starts = [record.start_ns for record in records]
    return Learned(
        start_ns=min(starts, default=0),
        end_ns=max(starts, default=0),
        records=len(records),
        pairs=len(matched.pairs),
        unjoined=len(matched.lonely_records),
        joined=len(sure),
        services=matched.services,
        models=models,
        audits=audits,
        delay_ns=delays[len(delays) // 2] if delays else 0,
        carried=matched.carried,
    )


def match_by_ids(
    records: Sequence[GatewayRecord],
    edges: Sequence[Edge],
    claimed: set[str],
    *,
    carried: frozenset[str] | None = None,
) -> _Matched:
    """
    Pair records and edges by trace id or request id, and return what is left over.

    An id that several edges or records carry decides nothing. *claimed* traces belong to some
    record, be it here or not. *carried* are kinds of ids that lead to spans as a rule, when that
    is known from elsewhere.
    """
    by_key: dict[str, list[Edge]] = {}
    for edge in edges:
        for key in {edge.trace_id, edge.request_key} - {""}:
            by_key.setdefault(key, []).append(edge)
    partners: dict[str, list[tuple[RecordPoint, Edge]]] = {}
    alone: list[tuple[RecordPoint, set[str]]] = []
    seen: Counter[str] = Counter()
    led: Counter[str] = Counter()
    for record in records:
        point = record_point(record)
        if point is None:
            continue
        keys = _keys(record)
        near = {
            e.trace_id: e for group in keys.values() for key in group for e in by_key.get(key, ())
        }
        seen.update(list(keys))
        led.update(kind for kind, group in keys.items() if any(key in by_key for key in group))
        if not near:
            alone.append((point, set(keys)))
        elif len(near) == 1:
            edge = next(iter(near.values()))
            partners.setdefault(edge.trace_id, []).append((point, edge))
    if carried is None:
        carried = frozenset(k for k, count in led.items() if count >= _CARRIED_SHARE * seen[k])
    sure = [found[0] for found in partners.values() if len(found) == 1]
    taken = claimed | partners.keys()
    return _Matched(
        pairs=[(point, edge_point(edge)) for point, edge in sure],
        services=tuple(sorted({edge.service for _, edge in sure})),
        lonely_records=[point for point, kinds in alone if not carried & kinds],
        lonely_edges=[edge for edge in edges if edge.trace_id not in taken],
        carried=carried,
    )


def edge_point(edge: Edge) -> SpanPoint:
    """Return what an edge span tells a join by likelihood."""
    return SpanPoint(
        key=f"{edge.trace_id}/{edge.span_id}",
        method=edge.method.upper(),
        status=edge.status,
        start_ns=edge.start_ns,
        duration_ns=edge.duration_ns,
        response_bytes=edge.response_bytes,
    )


def _keys(record: GatewayRecord) -> dict[str, set[str]]:
    """Return the ids of a record by kind, in the forms in which traces and spans carry them."""
    values = [(each.kind, each.value) for each in record.ids] + [("record_id", record.record_id)]
    keys: dict[str, set[str]] = {"trace_id": {record.trace_id}}
    for kind, value in values:
        found = {candidate.key for candidate in ids.trace_id_candidates(value)}
        keys.setdefault(kind, set()).update(found | {ids.request_id_key(value)})
    return {kind: group - {""} for kind, group in keys.items() if group - {""}}
