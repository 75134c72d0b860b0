"""
What a list shows of a stitched timeline, for a page of requests at a time.

In: rows of a search. Out: a `CachedRow` each; they are remembered for a minute at most.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cachetools import TLRUCache

from collector.clock import Clock
from collector.query.learned.freshness import Freshness
from collector.query.reports.join_count import best_link
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import LISTED
from collector.stitch.completeness import SourceLags, judge_completeness
from collector.stitch.timeline import Expected, Timeline
from collector.store import RequestRow, Store, TraceSummary
from collector.timestamps import NS_PER_S

_MAX_ROWS = 20_000
# A row changes its key when spans arrive, so a joined request is only stitched again for what its
# row does not show: further records and traces under its other ids. A list may be late with those.
_JOINED_FRESH_NS = 60 * NS_PER_S
_LONELY_FRESH_NS = 5 * NS_PER_S
# A row tells the second that spans came in: more may still come in the same one.
_ARRIVING_NS = 2 * NS_PER_S

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedRow:
    """The part of a timeline that a list shows; `gateway` is the outermost one's."""

    id: str
    gateway: str
    trace_id: str
    state: str
    hops: int
    services: tuple[str, ...]
    is_joined: bool | None
    join_tier: int | None = None
    join_confidence: float | None = None
    unexplained_ns: int | None
    slowest_hop: str
    slowest_hop_ns: int | None
    verdict: str
    is_error: bool
    is_verdict_provisional: bool = False
    settled_by: tuple[str, ...] = ()
    duration_ns: int | None
    status: int | None


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A row, for how long it holds, and what its state depends on beside the clock."""

    row: CachedRow
    fresh_ns: int
    end_ns: int
    expected: tuple[Expected, ...]


class RowCache:
    """Stitches pages of rows and remembers them for a while. Thread-safe."""

    def __init__(
        self, store: Store, clock: Clock, rows: RowStitching, freshness: Freshness
    ) -> None:
        self._store = store
        self._rows = rows
        self._freshness = freshness
        self._lock = threading.Lock()
        self._remembered: TLRUCache[_Key, _Remembered] = TLRUCache(
            _MAX_ROWS, ttu=lambda _, found, now_ns: now_ns + found.fresh_ns, timer=clock.now_ns
        )

    def read(
        self, rows: Sequence[RequestRow], now_ns: int
    ) -> Iterator[tuple[RequestRow, CachedRow]]:
        """Yield each row with what a list shows of it, in the order of *rows*."""
        keys = [_key(row) for row in rows]
        known = {key: self._recall(key, now_ns) for key in keys}
        missing = [row for row, key in zip(rows, keys, strict=True) if known[key] is None]
        plain: list[RequestRow] = []
        for row, timeline, _ in self._rows.stitch(missing, now_ns, LISTED):
            if timeline is None:
                plain.append(row)
                continue
            fresh = known[_key(row)] = self._show(timeline)
            if now_ns - row.received_s * NS_PER_S >= _ARRIVING_NS:
                self._remember(_key(row), fresh, timeline)
        summaries = self._store.get_trace_summaries([row.trace_id for row in plain])
        by_trace = {each.trace_id: each for each in summaries}
        for row in plain:
            known[_key(row)] = _plain(row, by_trace.get(row.trace_id))
        for row, key in zip(rows, keys, strict=True):
            shown = known[key]
            if shown is not None:
                yield row, shown

    def _show(self, timeline: Timeline) -> CachedRow:
        verdict = timeline.verdict
        who = f"{verdict.layer}: {verdict.component}" if verdict.component else verdict.layer
        unexplained = [p.duration_ns for p in timeline.phases if p.name == "unexplained"]
        services = {hop.service for hop in timeline.hops if hop.role in ("edge", "service")}
        outermost = timeline.gateway_records[0].record if timeline.gateway_records else None
        link = best_link(timeline, outermost)
        slowest = max(timeline.hops, key=lambda hop: hop.critical_ns, default=None)
        return CachedRow(
            id=timeline.id,
            gateway=outermost.gateway if outermost else "",
            trace_id=timeline.trace_id,
            state=timeline.state,
            hops=len(timeline.hops),
            services=tuple(sorted(services - {""})),
            is_joined=None if timeline.is_answered_at_gateway else is_joined(timeline),
            join_tier=link.tier if link else None,
            join_confidence=link.confidence if link else None,
            unexplained_ns=None if timeline.duration_ns is None else sum(unexplained),
            slowest_hop=slowest.service if slowest and slowest.critical_ns else "",
            slowest_hop_ns=slowest.critical_ns if slowest and slowest.critical_ns else None,
            verdict=who if verdict.layer != "none" else "none",
            is_error=timeline.is_error,
            is_verdict_provisional=verdict.is_provisional,
            settled_by=verdict.settled_by,
            duration_ns=timeline.duration_ns,
            status=timeline.status,
        )

    def _recall(self, key: _Key, now_ns: int) -> CachedRow | None:
        with self._lock:
            found = self._remembered.get(key)
        if found is None:
            return None
        if found.row.state == "final":
            return found.row
        return replace(found.row, state=self._judge_again(found, now_ns))

    def _judge_again(self, found: _Remembered, now_ns: int) -> str:
        """Return the state by the sources' present watermarks: time alone completes a timeline."""
        sources = tuple(each.source for each in found.expected)
        state, _ = judge_completeness(
            {each.source for each in found.expected if each.status == "arrived"},
            SourceLags(by_source=self._freshness.lags(), expected=sources),
            end_ns=found.end_ns,
            now_ns=now_ns,
            is_unsampled=any(each.status == "not_sampled" for each in found.expected),
        )
        return state

    def _remember(self, key: _Key, row: CachedRow, timeline: Timeline) -> None:
        fresh_ns = _JOINED_FRESH_NS if row.is_joined else _LONELY_FRESH_NS
        end_ns = timeline.start_ns + (timeline.duration_ns or 0)
        with self._lock:
            self._remembered[key] = _Remembered(row, fresh_ns, end_ns, timeline.expected)


def _key(row: RequestRow) -> _Key:
    """Identify a row together with how much of it has arrived."""
    return (
        row.gateway,
        row.record_id,
        row.trace_id,
        row.request_id,
        row.received_s,
        max((each.received_ns for each in row.versions), default=0),
        row.duration_ns,
        row.status,
    )


def is_joined(timeline: Timeline) -> bool:
    """Tell whether a timeline has both a gateway record and spans of the mesh."""
    return bool(timeline.gateway_records) and any(
        span.role != "gateway" and not span.is_inferred for span in timeline.spans
    )


def _plain(row: RequestRow, summary: TraceSummary | None) -> CachedRow:
    """Show a request that is too large to be stitched in a list, by its row and summary."""
    services = tuple(summary.services) if summary else ()
    return CachedRow(
        id=row.id,
        gateway=row.gateway,
        trace_id=row.trace_id,
        state="provisional",
        hops=len(services) + bool(row.record_id),
        services=services,
        is_joined=row.is_joined,
        unexplained_ns=None,
        slowest_hop="",
        slowest_hop_ns=None,
        verdict="",
        is_error=row.is_error,
        duration_ns=row.duration_ns,
        status=row.status,
    )
