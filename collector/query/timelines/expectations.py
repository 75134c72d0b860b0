"""
Which sources should know a request: learned from requests that were stitched before.

A timeline can only say that something is missing if it is known what there should be. The rules:
a gateway record expects spans wherever spans arrive at all; a trace expects the sources of records
that requests through the same edge had before, or, as long as none was seen, the only source of
records when the trace's first span names a parent that is not among the spans (somebody upstream
sent a trace context).
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cachetools import LRUCache

from collector.model import GatewayRecord, Span
from collector.query.learned.freshness import Freshness
from collector.stitch.completeness import SPAN_SOURCE, SourceLag, SourceLags
from collector.stitch.timeline import Timeline

_MAX_EDGES = 2_000


class Expectations:
    """Learns from timelines; thread-safe, bounded."""

    def __init__(self, freshness: Freshness) -> None:
        self._freshness = freshness
        self._lock = threading.Lock()
        self._sources_of_edge: LRUCache[str, frozenset[str]] = LRUCache(_MAX_EDGES)
        self._last_lags: tuple[Mapping[str, SourceLag], int, Mapping[str, SourceLag]] = ({}, 0, {})

    def lags_for(
        self, records: Sequence[GatewayRecord], spans: Sequence[Span], now_ns: int
    ) -> SourceLags:
        """
        Return the sources' lags at *now_ns*, with those that should know the request of these rows.

        A moment in the past had watermarks of its own: no source was known beyond its lag then.
        """
        lags = self._lags_at(now_ns)
        expected: set[str] = set()
        if records:
            expected.update({SPAN_SOURCE} & lags.keys())
        elif spans:
            expected.update(self._expect_records(spans))
        return SourceLags(by_source=lags, expected=tuple(sorted(expected)))

    def _lags_at(self, now_ns: int) -> Mapping[str, SourceLag]:
        """Return the lags at *now_ns*: the same for all requests of a page, so made once for it."""
        known = self._freshness.lags()
        made_of, moment_ns, lags = self._last_lags
        if made_of is known and moment_ns == now_ns:
            return lags
        lags = {
            name: replace(lag, watermark_ns=min(lag.watermark_ns, now_ns - lag.p99_lag_ns))
            for name, lag in known.items()
        }
        self._last_lags = (known, now_ns, lags)
        return lags

    def learn(self, timeline: Timeline) -> None:
        """Note from which sources the records in front of an edge came."""
        sources = {s for merged in timeline.gateway_records for s in merged.sources}
        if not sources:
            return
        for hop in timeline.hops:
            if hop.role != "gateway":
                self._note(hop.service, sources)
                return

    def _note(self, edge: str, sources: set[str]) -> None:
        with self._lock:
            known = self._sources_of_edge.get(edge, frozenset())
            self._sources_of_edge[edge] = known | sources

    def _expect_records(self, spans: Sequence[Span]) -> frozenset[str]:
        first = min(spans, key=lambda span: (span.start_ns, span.span_id))
        with self._lock:
            learned = self._sources_of_edge.get(first.service)
        if learned:
            return learned
        ids = {span.span_id for span in spans}
        is_called_from_outside = bool(first.parent_span_id) and first.parent_span_id not in ids
        sending = self._freshness.record_sources()
        return frozenset(sending) if is_called_from_outside and len(sending) == 1 else frozenset()
