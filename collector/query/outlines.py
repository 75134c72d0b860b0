"""
What a list shows of a stitched timeline, for a page of requests at a time.

In: rows of a search. Out: an `Outline` each. All records and spans of the page come from a handful
of batched reads, whatever the number of rows.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.model import GatewayRecord, Span
from collector.query.expectations import Expectations
from collector.query.moments import NS_PER_S
from collector.query.resolve import ids_in, is_telling
from collector.stitch.assemble import stitch
from collector.stitch.timeline import Timeline
from collector.store import IdHit, RequestRow, Store

# A page of 50 ordinary requests is 500 to 1,500 spans; traces of load tests can have 100,000.
MAX_PAGE_SPANS = 30_000
_MAX_REMEMBERED = 20_000
# What is not final may change with any arrival; a list does not have to notice at once.
_FRESH_NS = 5 * NS_PER_S

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The part of a timeline that a list shows."""

    id: str
    trace_id: str
    state: str
    hops: int
    services: tuple[str, ...]
    is_joined: bool
    unexplained_ns: int | None
    verdict: str
    duration_ns: int


@dataclass(slots=True)
class _Parts:
    """What may belong to one row."""

    row: RequestRow
    traces: set[str] = field(default_factory=set)
    records: set[tuple[str, str]] = field(default_factory=set)


class Outlines:
    """Stitches pages of rows and remembers what is final. Thread-safe."""

    def __init__(self, store: Store, expectations: Expectations) -> None:
        self._store = store
        self._expectations = expectations
        self._lock = threading.Lock()
        self._remembered: OrderedDict[_Key, tuple[int, Outline]] = OrderedDict()

    def read(self, rows: Sequence[RequestRow], now_ns: int) -> Iterator[tuple[RequestRow, Outline]]:
        """Yield each row with its outline, in the order of *rows*."""
        keys = [_key(row) for row in rows]
        known = {key: self._recall(key, now_ns) for key in keys}
        missing = [row for row, key in zip(rows, keys, strict=True) if known[key] is None]
        for row, fresh in self._stitch(missing, now_ns):
            known[_key(row)] = fresh
            self._remember(_key(row), fresh, now_ns)
        for row, key in zip(rows, keys, strict=True):
            outline = known[key]
            if outline is not None:
                yield row, outline

    def _stitch(
        self, rows: Sequence[RequestRow], now_ns: int
    ) -> Iterator[tuple[RequestRow, Outline]]:
        if not rows:
            return
        batch = _Batch(self._store, rows)
        room = MAX_PAGE_SPANS
        for parts in batch.parts:
            spans = batch.spans_of(parts)
            room -= len(spans)
            if room < 0:
                yield parts.row, _plain(parts.row)
                continue
            records = batch.records_of(parts)
            if not spans and not records:
                yield parts.row, _plain(parts.row)
                continue
            lags = self._expectations.lags_for(records, spans)
            subject = parts.row.record_id or parts.row.trace_id
            timeline = stitch(records, spans, now_ns=now_ns, lags=lags, subject=subject)
            self._expectations.learn(timeline)
            yield parts.row, _outline(timeline)

    def _recall(self, key: _Key, now_ns: int) -> Outline | None:
        with self._lock:
            until_ns, outline = self._remembered.get(key, (0, None))
            if outline is None or until_ns < now_ns:
                return None
            self._remembered.move_to_end(key)
            return outline

    def _remember(self, key: _Key, outline: Outline, now_ns: int) -> None:
        until_ns = 1 << 63 if outline.state == "final" else now_ns + _FRESH_NS
        with self._lock:
            self._remembered[key] = (until_ns, outline)
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)


class _Batch:
    """The records and spans of many rows, read together."""

    def __init__(self, store: Store, rows: Sequence[RequestRow]) -> None:
        self._store = store
        self._spans: dict[str, list[Span]] = {}
        self._records: dict[tuple[str, str], list[GatewayRecord]] = {}
        self._records_of_trace: dict[str, set[tuple[str, str]]] = {}
        self.parts = [_Parts(row) for row in rows]
        for parts in self.parts:
            if parts.row.trace_id:
                parts.traces.add(parts.row.trace_id)
            if parts.row.record_id:
                parts.records.add((parts.row.gateway, parts.row.record_id))
        self._read()
        self._follow_ids([parts for parts in self.parts if not parts.row.is_joined])

    def spans_of(self, parts: _Parts) -> list[Span]:
        return [span for trace in sorted(parts.traces) for span in self._spans.get(trace, ())]

    def records_of(self, parts: _Parts) -> list[GatewayRecord]:
        keys = set(parts.records)
        for trace in parts.traces:
            keys |= self._records_of_trace.get(trace, set())
        return [record for key in sorted(keys) for record in self._records.get(key, ())]

    def _read(self) -> None:
        """Read what the parts name and is not here yet."""
        traces = sorted({t for parts in self.parts for t in parts.traces} - self._spans.keys())
        keys = sorted({k for parts in self.parts for k in parts.records} - self._records.keys())
        for trace in traces:
            self._spans[trace] = []
        for span in self._store.get_spans(traces, limit=MAX_PAGE_SPANS + 1):
            self._spans[span.trace_id].append(span)
        for record in self._store.get_records(trace_ids=traces, record_keys=keys):
            key = (record.gateway, record.record_id)
            versions = self._records.setdefault(key, [])
            if record not in versions:
                versions.append(record)
            if record.trace_id:
                self._records_of_trace.setdefault(record.trace_id, set()).add(key)

    def _follow_ids(self, lonely: Sequence[_Parts]) -> None:
        """Look for the other half of rows that are a record or a trace alone."""
        keys = [ids_in(self.records_of(parts), self.spans_of(parts)) for parts in lonely]
        wanted = sorted(set().union(*keys)) if keys else []
        hits: dict[str, list[IdHit]] = {}
        for hit in self._store.find_ids(wanted) if wanted else ():
            hits.setdefault(hit.key, []).append(hit)
        for parts, own in zip(lonely, keys, strict=True):
            for key in own:
                group = hits.get(key, ())
                if not is_telling(group):
                    continue
                parts.traces |= {hit.trace_id for hit in group if hit.trace_id}
                parts.records |= {(h.gateway, h.record_id) for h in group if h.record_id}
        self._read()


def _key(row: RequestRow) -> _Key:
    """Identify a row together with how much of it has arrived."""
    return (
        row.gateway,
        row.record_id,
        row.trace_id,
        row.spans,
        row.errors,
        row.duration_ns,
        row.status,
    )


def _outline(timeline: Timeline) -> Outline:
    verdict = timeline.verdict
    who = f"{verdict.layer}: {verdict.component}" if verdict.component else verdict.layer
    unexplained = [p.duration_ns for p in timeline.phases if p.name == "unexplained"]
    services = {hop.service for hop in timeline.hops if hop.role in ("edge", "service")}
    return Outline(
        id=timeline.id,
        trace_id=timeline.trace_id,
        state=timeline.state,
        hops=len(timeline.hops),
        services=tuple(sorted(services - {""})),
        is_joined=is_joined(timeline),
        unexplained_ns=sum(unexplained),
        verdict=who if verdict.layer != "none" else "none",
        duration_ns=timeline.duration_ns,
    )


def is_joined(timeline: Timeline) -> bool:
    """Tell whether a timeline has both a gateway record and spans of the mesh."""
    return bool(timeline.gateway_records) and any(
        span.role != "gateway" and not span.is_inferred for span in timeline.spans
    )


def _plain(row: RequestRow) -> Outline:
    """Outline a request that is too large to be stitched in a list, from its row."""
    return Outline(
        id=row.record_id or row.trace_id,
        trace_id=row.trace_id,
        state="provisional",
        hops=len(row.services) + bool(row.record_id),
        services=tuple(row.services),
        is_joined=row.is_joined,
        unexplained_ns=None,
        verdict="",
        duration_ns=row.duration_ns or 0,
    )
