"""
A page of rows, stitched: all records and spans of the page come from a handful of batched reads.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from cachetools import TTLCache

from collector.model import GatewayRecord, LogRecord, Span, record_reference
from collector.query.learned.likely_partners import LikelyPartners
from collector.query.timelines.resolve import halves, ids_in, ids_in_logs, is_telling
from collector.query.timelines.stitching import Profile, Stitching
from collector.stitch.join.likely import LikelyPair
from collector.stitch.timeline import Timeline
from collector.store import BUCKET_S, IdHit, RequestRow, Store
from collector.timestamps import NS_PER_S

# A page of 50 ordinary requests is 500 to 1,500 spans; traces of load tests can have 100,000.
MAX_PAGE_SPANS = 30_000
# Fewer traces than this are read as fast in one go.
_MIN_CHUNK = 8
# The share of a page that is read first: its rows are stitched while the rest is being read.
_FIRST_CHUNK = 0.4
_HUGE_KNOWN = 10_000
_HUGE_KNOWN_S = 600.0


class _HugeTraces:
    """
    How many spans traces have that filled a page by themselves, for ten minutes. Thread-safe.

    To find that out takes a second of CPU for 300,000 spans, at each list that has the trace.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._spans: TTLCache[str, int] = TTLCache(_HUGE_KNOWN, _HUGE_KNOWN_S)

    def is_known(self, trace_id: str) -> bool:
        """Tell whether a trace was found to have more spans than a page has room for."""
        with self._lock:
            return self._spans.get(trace_id, 0) > MAX_PAGE_SPANS

    def is_huge(self, trace_id: str) -> bool:
        """Look whether a trace has more spans than a page has room for."""
        for summary in self._store.get_trace_summaries([trace_id]):
            with self._lock:
                self._spans[trace_id] = summary.spans
        return self.is_known(trace_id)


class RowStitching:
    """Turns rows of a search into timelines. Thread-safe."""

    def __init__(
        self, store: Store, stitching: Stitching, aside: Executor, likely_partners: LikelyPartners
    ) -> None:
        self._store = store
        self._huge = _HugeTraces(store)
        self._likely_partners = likely_partners
        self._stitching = stitching
        self._aside = aside

    def stitch(
        self, rows: Sequence[RequestRow], now_ns: int, profile: Profile
    ) -> Iterator[tuple[RequestRow, Timeline | None, list[Span]]]:
        """
        Yield each row with its timeline and the spans it was made of, in the order of *rows*.

        `None` stands for a request that has no room beside the others, alone or not, or that has
        just gone by its time to live.
        """
        if not rows:
            return
        batch = _Batch(self._store, self._aside, rows, profile, self._huge)
        if profile.has_likely:
            batch.join_likely(self._likely_partners)
        room = MAX_PAGE_SPANS
        for parts in batch.parts:
            spans = batch.spans_of(parts)
            records = batch.records_of(parts)
            logs = [] if spans else batch.logs_of(parts)
            if len(spans) > room or batch.is_cut(parts) or not (spans or records or logs):
                yield parts.row, None, []
                continue
            room -= len(spans)
            timeline = self._stitching.make(
                records,
                spans,
                logs,
                now_ns=now_ns,
                subject=parts.row.id,
                profile=profile,
                likely=parts.likely,
            )
            yield parts.row, timeline, spans


@dataclass(slots=True)
class _Parts:
    """What may belong to one row."""

    row: RequestRow
    traces: set[str] = field(default_factory=set)
    records: set[tuple[str, str]] = field(default_factory=set)
    log_keys: set[str] = field(default_factory=set)
    likely: list[LikelyPair] = field(default_factory=list)


class _Batch:
    """
    The records and spans of many rows, read together.

    Spans come in two chunks, so that the rows of the first are stitched while the second is read.
    """

    def __init__(
        self,
        store: Store,
        aside: Executor,
        rows: Sequence[RequestRow],
        profile: Profile,
        huge: _HugeTraces,
    ) -> None:
        self._store = store
        self._huge = huge
        self._is_brief = profile.is_brief
        self._has_texts = profile.has_texts or not profile.is_brief
        self._buckets = {row.trace_id: row.buckets for row in rows}
        self._versions = {
            (row.gateway, row.record_id): row.versions
            for row in rows
            if row.versions and not self._has_texts
        }
        self._starts = {(row.gateway, row.record_id): row.start_ns for row in rows}
        self._aside = aside
        self._spans: dict[str, list[Span]] = {}
        self._cut: set[str] = set()
        self._reading: dict[str, Future[list[Span]]] = {}
        self._records: dict[tuple[str, str], list[GatewayRecord]] = {}
        self._records_of_trace: dict[str, set[tuple[str, str]]] = {}
        self._logs: dict[str, list[LogRecord]] = {}
        self.parts = [_Parts(row, log_keys=set(row.log_keys)) for row in rows]
        for parts in self.parts:
            if parts.row.trace_id:
                parts.traces.add(parts.row.trace_id)
            if parts.row.record_id:
                parts.records.add((parts.row.gateway, parts.row.record_id))
        self._read()
        self._follow_ids()

    def spans_of(self, parts: _Parts) -> list[Span]:
        """Return what belongs to *parts*, waiting for the chunk that it is in."""
        for trace in parts.traces:
            reading = self._reading.get(trace)
            if reading is not None:
                self._take(reading)
        return [span for trace in sorted(parts.traces) for span in self._spans.get(trace, ())]

    def is_cut(self, parts: _Parts) -> bool:
        """Tell whether some spans of *parts* were beyond what is read at once."""
        return not self._cut.isdisjoint(parts.traces)

    def records_of(self, parts: _Parts) -> list[GatewayRecord]:
        """Return every version of the records that belong to *parts*."""
        keys = set(parts.records)
        for trace in parts.traces:
            keys |= self._records_of_trace.get(trace, set())
        return [record for key in sorted(keys) for record in self._records.get(key, ())]

    def logs_of(self, parts: _Parts) -> list[LogRecord]:
        """Return the lines of access logs that carry an id of *parts*."""
        found = {id(log): log for key in parts.log_keys for log in self._logs.get(key, ())}
        return sorted(found.values(), key=lambda log: log.time_ns)

    def join_likely(self, partners: LikelyPartners) -> None:
        """Bring together the records and traces that no id joins and likelihood does."""
        lonely = {
            record_reference(row.gateway, row.record_id): parts
            for parts in self.parts
            if (row := parts.row).record_id and not (parts.traces or parts.log_keys)
        }
        traces = {
            row.trace_id: parts
            for parts in self.parts
            if (row := parts.row).trace_id and not row.record_id and not self.records_of(parts)
        }
        if not lonely and not traces:
            return
        records = [record for parts in lonely.values() for record in self.records_of(parts)]
        starts_ns = {trace_id: parts.row.start_ns for trace_id, parts in traces.items()}
        for pair in partners.find_listed(records, starts_ns):
            trace_id = pair.span.partition("/")[0]
            gateway, _, record_id = pair.record.partition("/")
            if parts := lonely.get(pair.record):
                parts.traces.add(trace_id)
                parts.likely.append(pair)
            if parts := traces.get(trace_id):
                parts.records.add((gateway, record_id))
                parts.likely.append(pair)
        self._read()

    def _read(self) -> None:
        """Read what the parts name and is not here yet."""
        known = self._spans.keys() | self._reading.keys() | self._cut
        wanted = dict.fromkeys(t for p in self.parts for t in sorted(p.traces - known))
        self._cut |= {trace for trace in wanted if self._huge.is_known(trace)}
        traces = [trace for trace in wanted if trace not in self._cut]
        keys = sorted({k for parts in self.parts for k in parts.records} - self._records.keys())
        if not wanted and not keys:
            return
        reading = self._aside.submit(
            self._store.get_records,
            trace_ids=list(wanted),
            record_keys=[key for key in keys if key not in self._versions],
            starts=self._starts,
            held=self._versions.keys(),
            is_brief=not self._has_texts,
        )
        first = int(len(traces) * _FIRST_CHUNK) if len(traces) > _MIN_CHUNK else len(traces)
        for chunk in (traces[:first], traces[first:]):
            future = self._aside.submit(self._read_spans, chunk)
            self._reading.update(dict.fromkeys(chunk, future))
        for key in keys:
            self._records[key] = []
            for record in self._versions.get(key, ()):
                self._add_record(record)
        for record in reading.result():
            self._add_record(record)

    def _read_spans(self, traces: Sequence[str]) -> list[Span]:
        return self._store.get_spans(
            traces, limit=MAX_PAGE_SPANS + 1, buckets=self._buckets, is_brief=self._is_brief
        )

    def _take(self, reading: "Future[list[Span]]") -> None:
        chunk = [trace for trace, each in self._reading.items() if each is reading]
        spans = reading.result()
        # they come in order of their traces: the last one may have more, those behind it have
        while len(spans) > MAX_PAGE_SPANS and self._huge.is_huge(last := spans[-1].trace_id):
            self._cut.add(last)
            spans = [span for span in spans if span.trace_id < last]
            spans += self._read_spans([trace for trace in chunk if trace > last])
        for trace in chunk:
            del self._reading[trace]
            self._spans[trace] = []
        for span in spans:
            self._spans.setdefault(span.trace_id, []).append(span)
        if len(spans) > MAX_PAGE_SPANS:
            self._cut |= {trace for trace in chunk if trace >= spans[-1].trace_id}

    def _add_record(self, record: GatewayRecord) -> None:
        key = (record.gateway, record.record_id)
        versions = self._records.setdefault(key, [])
        if record not in versions:
            versions.append(record)
        if record.trace_id:
            self._records_of_trace.setdefault(record.trace_id, set()).add(key)

    def _follow_ids(self) -> None:
        """
        Look for the other half of rows that are a record or a trace alone.

        What is joined may still go on under the half of its trace id.
        """
        keys = [
            halves(parts.traces)
            if parts.row.is_joined
            else ids_in(self.records_of(parts), self.spans_of(parts))
            for parts in self.parts
        ]
        wanted = sorted(set().union(*keys)) if keys else []
        hits: dict[str, list[IdHit]] = {}
        buckets = {bucket for parts in self.parts if parts.log_keys for bucket in parts.row.buckets}
        for hit in self._store.find_ids(wanted) if wanted else ():
            hits.setdefault(hit.key, []).append(hit)
        for parts, own in zip(self.parts, keys, strict=True):
            for key in own:
                group = hits.get(key, ())
                if not is_telling(group):
                    continue
                parts.traces |= {hit.trace_id for hit in group if hit.trace_id}
                parts.records |= {(h.gateway, h.record_id) for h in group if h.record_id}
                for hit in group:
                    if not hit.trace_id and not hit.record_id:
                        parts.log_keys.add(key)
                        buckets.add(hit.start_ns // NS_PER_S // BUCKET_S * BUCKET_S)
        self._read()
        self._read_logs(buckets)

    def _read_logs(self, buckets: set[int]) -> None:
        keys = {key for parts in self.parts for key in parts.log_keys}
        for log in self._store.read_lines(keys, buckets) if keys else ():
            for key in ids_in_logs([log]):
                self._logs.setdefault(key, []).append(log)
