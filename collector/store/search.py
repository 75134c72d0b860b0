"""
The search: gateway records, traces that have none, and requests that only access logs tell of, as
one ordered list.

Each kind is read in its own order, a batch of candidates at a time. A candidate is a stored row; it
is settled when it is known whether it stands for a request of the result (the newest version of its
record; the edge of its trace, which no record claims; the edge of its lines, which neither record
nor spans claim). The lists are merged as far as all are settled, so nothing is read that the page
does not need.

A search without a total order pages over an unstable set.
"""

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from collector.errors import BadQuestion
from collector.model import GatewayRecord
from collector.store.reads import (
    BUCKET_S,
    Source,
    TracePlace,
    find_ids,
    locate_traces,
    read_records,
    record_places,
)
from collector.store.rows import IdHit, RequestFilter, RequestRow, TraceSummary
from collector.store.summaries import (
    get_trace_services,
    get_trace_summaries,
    has_spans_beyond_gateway,
)
from collector.store.words import LINE_SOURCES, MAX_TRACES_OF_ID, SIDE_SOURCES, SPAN_SOURCE
from collector.timestamps import NS_PER_S

_LESS_TELLING = LINE_SOURCES | {SPAN_SOURCE}

_LATEST = (1 << 63) - 1
# Keys of a batch are bound parameters; ClickHouse takes form fields of up to 128 KiB.
_MAX_BATCH = 400
# What takes more than a row to decide (who claims a trace, which services took part) is decided
# for so many batches row by row; then the engine does it for the whole range, which takes as long
# as some 20 batches.
_QUICK_READS = 3

# Where Envoy overwrites a request id with its sampling decision; see identity.
_VERSION_DIGIT = 12

# Fields of a filter, and the lines and parameters of the statements that they stand for.
_FILTERS = {
    "gateway": "gateway",
    "api": "api",
    "operation": "operation",
    "route": "route",
    "method": "method",
    "host": "host",
    "service": "service",
    "consumer": "consumer",
    "revision": "revision",
    "status": "status",
    "status_class": "status_class",
    "is_error": "error",
    "is_joined": "joined",
    "min_duration_ns": "min_duration_ns",
    "max_duration_ns": "max_duration_ns",
    "text": "text",
    "id_prefix": "id_prefix",
    "received_since_ns": "received_since_ns",
}


@dataclass(frozen=True, slots=True, order=True)
class _Position:
    """
    A place in the total order of a search; greater comes first.

    Versions of a record may differ in nothing but when they were received: without that a page
    could end between two of them and the newer one never be looked at.
    """

    value: int
    start_ns: int
    gateway: str
    id: str
    received_ns: int

    @classmethod
    def before_all(cls, value: int = _LATEST, start_ns: int = _LATEST) -> "_Position":
        """Return the place before every row of this value and start, and of later ones."""
        return cls(value, start_ns, "\U0010ffff", "\U0010ffff", _LATEST)


_RecordKey = tuple[str, str]
# What RFC 3986 leaves as it is in a path, and what is encoded already.
_OPEN_IN_PATHS = "/:@!$&'()*+,;=%"


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row of the result at its place."""

    position: _Position
    row: RequestRow


class _Candidates(ABC):
    """
    One kind of row, in the order of the search.

    *claimed* are the traces that gateway records are joined with, of all kinds together. Where so
    many *quick_reads* did not bring enough, the statement looks at more than the row itself.
    """

    def __init__(
        self,
        source: Source,
        wanted: RequestFilter,
        claimed: set[str],
        quick_reads: int = _QUICK_READS,
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._claimed = claimed
        self._quick_reads = quick_reads

    @abstractmethod
    def read(self, after: _Position, limit: int) -> tuple[list[_Placed], _Position | None]:
        """Return the settled rows behind *after*, and where they ended; `None` at the end."""

    def _find(
        self, name: str, after: _Position, limit: int, thorough: str = ""
    ) -> tuple[list[tuple[Any, ...]], _Position | None]:
        """Ask for the next rows; with *thorough*, and by service, when the quick reads are over."""
        parts = [thorough, "thorough_service" if self._wanted.service else ""]
        is_quick = self._quick_reads > 0
        self._quick_reads -= 1
        parts = [] if is_quick else [part for part in parts if part]
        return _find(self._source, name, self._wanted, after, limit, parts)

    def _has_service(self, services: Sequence[str]) -> bool:
        return not self._wanted.service or self._wanted.service in services


def find_requests(
    source: Source, wanted: RequestFilter, limit: int, cursor: str
) -> list[RequestRow]:
    """
    Return at most *limit* requests behind *cursor*.

    Raises:
        BadQuestion: the cursor is not one of this search. Never retried.
    """
    after = _read_cursor(cursor, wanted) if cursor else _Position.before_all()
    claimed: set[str] = set()
    # More than asked for where many will not fit: a batch costs more than its rows.
    is_picky = bool(wanted.service or wanted.is_joined is not None)
    size = min(limit + 8 if not is_picky else 3 * limit, _MAX_BATCH)
    lists = [_List(_Records(source, wanted, claimed), after, size)]
    if not needs_record(wanted):
        lists.append(_List(_Traces(source, wanted, claimed), after, size))
        if wanted.with_logged:
            # Where spans and logs are of the same requests, all that is read is dropped again.
            lists.append(_List(_Logged(source, wanted, claimed, quick_reads=1), after, size))
    return [
        replace(placed.row, cursor=_write_cursor(placed.position, wanted))
        for placed in _merge(lists, limit)
    ]


class _List:
    """The settled rows of one kind, read as they are needed in batches of growing size."""

    def __init__(self, candidates: _Candidates, after: _Position, size: int) -> None:
        self._candidates = candidates
        self._after = after
        self._size = size
        self._rows: deque[_Placed] = deque()
        self._is_exhausted = False

    @property
    def reach(self) -> _Position | None:
        """The best place that the next row can have; `None` when there is no next row."""
        if self._rows:
            return self._rows[0].position
        return None if self._is_exhausted else self._after

    @property
    def is_settled(self) -> bool:
        """Tell whether `reach` is the place of a row that is here."""
        return bool(self._rows)

    def read(self) -> None:
        rows, end = self._candidates.read(self._after, self._size)
        self._rows.extend(rows)
        self._is_exhausted = end is None
        self._after = end or self._after
        self._size = min(self._size * 2, _MAX_BATCH)

    def pop(self) -> _Placed:
        return self._rows.popleft()


def _merge(lists: Sequence[_List], limit: int) -> list[_Placed]:
    merged: list[_Placed] = []
    while len(merged) < limit:
        reaches = [(each.reach, each) for each in lists]
        best = max(
            ((reach, each) for reach, each in reaches if reach is not None),
            key=lambda pair: pair[0],
            default=None,
        )
        if best is None:
            break
        if best[1].is_settled:
            merged.append(best[1].pop())
        else:
            best[1].read()
    return merged


class _Records(_Candidates):
    """Gateway records that fit. The traces they are joined with are added to *claimed*."""

    def read(self, after: _Position, limit: int) -> tuple[list[_Placed], _Position | None]:
        thorough = "thorough_joined" if self._wanted.is_joined is not None else ""
        found, end = self._find("find_records", after, limit, thorough)
        trace_ids = {p: row[5] for row in found if (p := _Position(*row[:5])) < after}
        stored = sorted(trace_ids, reverse=True)
        keys = set(record_places((at.start_ns, (at.gateway, at.id)) for at in stored))
        reading = self._source.aside.submit(self._source.read, read_records, keys, is_brief=True)
        places = self._source.read(locate_traces, set(trace_ids.values()))
        versions: dict[_RecordKey, list[GatewayRecord]] = {}
        for record in reading.result():
            versions.setdefault(_key(record), []).append(record)
        newest = {key: min(each, key=_newest_first) for key, each in versions.items()}
        candidates: dict[_Position, GatewayRecord] = {}
        for position in stored:
            held = newest.get((position.gateway, position.id))
            version = (position.received_ns, position.start_ns)
            if held and (held.received_ns, held.start_ns) == version:
                candidates[position] = held
        traces = self._resolve_traces(list(candidates.values()), places)
        placed = []
        for position, record in candidates.items():
            trace = traces.get(_key(record))
            if self._fits(record, trace):
                row = _record_row(record, versions[_key(record)], trace)
                placed.append(_Placed(position, row))
        return placed, end

    def _resolve_traces(
        self, records: Sequence[GatewayRecord], known: Mapping[str, TracePlace]
    ) -> dict[_RecordKey, "_Trace"]:
        """Find the spans of records: by the trace id, and where that has none, by another id."""
        lonely = [record for record in records if record.trace_id not in known]
        closest = self._find_closest(lonely) if lonely else {}
        places = {**known, **self._source.read(locate_traces, set(closest.values()))}
        ids = {_key(one): closest.get(_key(one)) or one.trace_id for one in records}
        # To tell services takes as long as to locate: only where rows are decided by them.
        telling = {
            id_: places[id_]
            for record in records
            if (id_ := ids[_key(record)]) in places
            and (self._wanted.service or record.source == SPAN_SOURCE)
        }
        services = self._source.read(get_trace_services, telling)
        self._claimed.update(id_ for id_ in ids.values() if id_ in places)
        return {
            key: _Trace(id_, places[id_], services.get(id_, ()))
            for key, id_ in ids.items()
            if id_ in places
        }

    def _find_closest(self, lonely: Sequence[GatewayRecord]) -> dict[_RecordKey, str]:
        """Return the traces nearest in time that carry an id of records without spans."""
        places = set(record_places((record.start_ns, _key(record)) for record in lonely))
        rows = self._source.ask("get_record_keys", keys=sorted(places))
        keys = {(gateway, record_id): each for gateway, record_id, each in rows}
        hits: dict[str, list[IdHit]] = {}
        wanted = [key for each in keys.values() for key in each]
        for hit in self._source.read(find_ids, wanted):
            if hit.trace_id and not hit.record_id:
                hits.setdefault(hit.key, []).append(hit)
        return {
            _key(record): _closest_trace(record.start_ns, keys.get(_key(record), ()), hits)
            for record in lonely
        }

    def _fits(self, record: GatewayRecord, trace: "_Trace | None") -> bool:
        wanted = self._wanted
        if wanted.is_joined is not None:
            is_able = trace is not None or not record.has_stayed_at_gateway
            if not is_able or wanted.is_joined != _is_joined(record, trace):
                return False
        return self._has_service(trace.services if trace else ())


@dataclass(frozen=True, slots=True)
class _Trace:
    """The trace of a record; `services` only where they decide on the row."""

    id: str
    place: TracePlace
    services: Sequence[str]


class _Traces(_Candidates):
    """Traces that fit and that no gateway record claims; those in *claimed* are known to be."""

    def read(self, after: _Position, limit: int) -> tuple[list[_Placed], _Position | None]:
        found, end = self._find("find_traces", after, limit, "thorough_unclaimed")
        stored = {
            position: (span_id, request_key)
            for value, start_ns, trace_id, span_id, request_key in found
            if (position := _Position(value, start_ns, "", trace_id, 0)) < after
        }
        free = self._find_free({(at.id, key) for at, (_, key) in stored.items()})
        known = {each.trace_id: each for each in self._source.read(get_trace_summaries, free)}
        placed: dict[str, _Placed] = {}
        for position in sorted(stored, reverse=True):
            trace = known.get(position.id)
            edge = (stored[position][0], position.start_ns)
            if (
                trace
                and (trace.edge_span_id, trace.edge_start_ns) == edge
                and self._has_service(trace.services)
            ):
                placed.setdefault(position.id, _Placed(position, _trace_row(trace)))
        return list(placed.values()), end

    def _find_free(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        """Return the traces that no record names; a trace comes with its parts' request ids."""
        asked = [pair for pair in pairs if pair[0] not in self._claimed]
        keys = {key for pair in asked for key in pair if key}
        if not keys:
            return set()
        rows = self._source.ask("find_recorded_keys", keys=sorted(keys))
        recorded = {row[0] for row in rows}
        named = {trace for trace, key in asked if trace in recorded or key in recorded}
        return {trace for trace, _ in asked} - named


class _Logged(_Candidates):
    """Requests that fit and that neither a gateway record nor spans tell of."""

    def read(self, after: _Position, limit: int) -> tuple[list[_Placed], _Position | None]:
        found, end = self._find("find_logged", after, limit, "thorough_unclaimed")
        stored = {
            position: bucket_s
            for value, start_ns, key, bucket_s in found
            if (position := _Position(value, start_ns, "", key, 0)) < after
        }
        places = {
            (bucket_s + gap_s, at.id)
            for at, bucket_s in stored.items()
            for gap_s in (-BUCKET_S, 0, BUCKET_S)
        }
        rows = self._source.ask("get_logged", keys=sorted(places)) if places else []
        free = self._find_free({row[0]: row[2] for row in rows})
        known = {row[0]: row for row in rows if row[0] in free and self._has_service(row[3])}
        placed: dict[str, _Placed] = {}
        for position in sorted(stored, reverse=True):
            row = known.get(position.id)
            if row and _logged_place(row[1], self._wanted.order) == (
                position.value,
                position.start_ns,
            ):
                placed.setdefault(position.id, _Placed(position, _logged_row(row)))
        return list(placed.values()), end

    def _find_free(self, keys: Mapping[str, Sequence[str]]) -> set[str]:
        """Return those of *keys*, each with what its lines carry, that nothing else tells of."""
        carried = sorted({each for group in keys.values() for each in group})
        if not carried:
            return set()
        rows = self._source.ask("find_recorded_keys", keys=carried)
        claimed = {row[0] for row in rows}
        hits = self._source.read(find_ids, carried)
        traces = {hit.trace_id for hit in hits} | set(carried)
        located = self._source.read(locate_traces, traces)
        claimed |= {hit.key for hit in hits if hit.trace_id in located} | located.keys()
        return {key for key, group in keys.items() if claimed.isdisjoint(group)}


def _find(
    source: Source,
    name: str,
    wanted: RequestFilter,
    after: _Position,
    limit: int,
    thorough: Sequence[str],
) -> tuple[list[tuple[Any, ...]], _Position | None]:
    """
    Return the next rows and where those behind them begin; `None` when there are no more.

    Rows that are equal in value and start come together: those at the end may go on behind the
    limit and are left for the next batch, unless there is nothing else.
    """
    parts = _parts(wanted, after, thorough)
    parameters = _parameters(wanted, after, limit)
    rows = source.ask(name, parts, **parameters)
    if len(rows) < limit:
        return rows, None
    value, start_ns = rows[-1][:2]
    before = [row for row in rows if tuple(row[:2]) != (value, start_ns)]
    if before:
        return before, _Position.before_all(value, start_ns)
    rows = source.ask(name, parts | {"with_ties"}, **parameters)
    return rows, _Position.before_all(value, start_ns - 1)


def needs_record(wanted: RequestFilter) -> bool:
    """Tell whether only what a gateway recorded can fit."""
    only_in_records = (
        wanted.gateway, wanted.api, wanted.operation, wanted.consumer, wanted.revision,
    )  # fmt: skip
    return wanted.is_joined is True or any(only_in_records)


def _parts(wanted: RequestFilter, after: _Position, thorough: Sequence[str]) -> frozenset[str]:
    """Return which lines of a search's statement are needed: those of filters that are given."""
    given = {part for name, part in _FILTERS.items() if getattr(wanted, name) not in ("", None)}
    return frozenset({
        *(("by_start",) if wanted.order == "-start" else ()),
        *(given - {"service", "joined"}),
        *thorough,
        *(() if after == _Position.before_all() else ("after",)),
    })  # fmt: skip


def _parameters(wanted: RequestFilter, after: _Position, limit: int) -> dict[str, Any]:
    filters = {part: getattr(wanted, name) for name, part in _FILTERS.items()}
    return {
        **{part: value for part, value in filters.items() if value not in ("", None)},
        **({"request_prefix": _mask(wanted.id_prefix)} if wanted.id_prefix else {}),
        **({"spellings": _spellings(wanted.text)} if wanted.text else {}),
        # five-minute buckets are counted from 1970
        "start_ns": max(wanted.start_ns, 86_400 * NS_PER_S),
        "end_ns": min(max(wanted.end_ns, 0), 4_000_000_000 * NS_PER_S),
        "after_value": after.value,
        "after_start_ns": after.start_ns,
        "limit": limit,
    }


def _spellings(text: str) -> list[str]:
    """Return *text* as paths may have it: some gateways log what the client sent, some decode."""
    encoded = (quote(each, safe=_OPEN_IN_PATHS) for each in (text, text.lower()))
    return list(dict.fromkeys((text, *encoded, unquote(text))))


def _mask(prefix: str) -> str:
    """Return the beginning of a request id as the index writes it, without its version digit."""
    masked = len(prefix) > _VERSION_DIGIT
    return f"{prefix[:_VERSION_DIGIT]}*{prefix[_VERSION_DIGIT + 1 :]}" if masked else prefix


def _key(record: GatewayRecord) -> _RecordKey:
    return record.gateway, record.record_id


def _newest_first(record: GatewayRecord) -> tuple[int, int, str, int]:
    """Order versions: what only adds to a request, or knows no API, is shown where alone."""
    rank = 2 if record.source in SIDE_SOURCES else int(record.source in _LESS_TELLING)
    return rank, -record.received_ns, record.source, record.start_ns


def _closest_trace(start_ns: int, keys: Sequence[str], hits: Mapping[str, Sequence[IdHit]]) -> str:
    groups = (hits.get(key, ()) for key in keys)
    telling = [hit for group in groups if len(group) <= MAX_TRACES_OF_ID for hit in group]
    if not telling:
        return ""
    return min(telling, key=lambda hit: (abs(hit.start_ns - start_ns), hit.trace_id)).trace_id


def _is_joined(record: GatewayRecord, trace: _Trace | None) -> bool:
    if trace is None:
        return False
    return record.source != SPAN_SOURCE or has_spans_beyond_gateway(trace.services)


def _record_row(
    record: GatewayRecord, versions: Sequence[GatewayRecord], trace: _Trace | None
) -> RequestRow:
    return RequestRow(
        start_ns=record.start_ns,
        duration_ns=record.duration_ns,
        gateway=record.gateway,
        record_id=record.record_id,
        trace_id=trace.id if trace else record.trace_id,
        is_joined=_is_joined(record, trace),
        api=record.api,
        operation=record.operation,
        route=record.route,
        method=record.method,
        host=record.host,
        path=record.path,
        status=record.status,
        is_error=record.is_error,
        consumer=record.consumer,
        revision=record.api_revision,
        backend_ns=record.backend_ns,
        buckets=trace.place.sole_buckets if trace else (),
        received_s=trace.place.received_s if trace else 0,
        versions=versions,
    )


def _trace_row(trace: TraceSummary) -> RequestRow:
    return RequestRow(
        start_ns=trace.edge_start_ns,
        duration_ns=trace.edge_duration_ns,
        trace_id=trace.trace_id,
        route=trace.route or trace.edge_name,
        method=trace.method,
        host=trace.host,
        path=trace.path,
        status=trace.status,
        is_error=trace.edge_is_error,
        buckets=trace.buckets,
        received_s=trace.received_ns // NS_PER_S,
    )


def _logged_place(edge: Mapping[str, Any], order: str) -> tuple[int, int]:
    start_ns = edge["start_ns"]
    return start_ns if order == "-start" else -edge["longest"], start_ns


def _logged_row(row: tuple[Any, ...]) -> RequestRow:
    _, edge, keys, _, received_ns, buckets = row
    return RequestRow(
        start_ns=edge["start_ns"],
        duration_ns=-edge["longest"] if edge["longest"] <= 0 else None,
        request_id=edge["id"],
        route=edge["path"],
        method=edge["method"],
        host=edge["host"],
        path=edge["path"],
        status=edge["status"] or None,
        is_error=bool(edge["is_error"]),
        log_keys=tuple(sorted(keys)),
        buckets=tuple(sorted(buckets)),
        received_s=received_ns // NS_PER_S,
    )


def _write_cursor(position: _Position, wanted: RequestFilter) -> str:
    at = position
    text = json.dumps([wanted.order, at.value, at.start_ns, at.gateway, at.id, at.received_ns])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, wanted: RequestFilter) -> _Position:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        order, value, start_ns, gateway, id_, received_ns = json.loads(
            base64.urlsafe_b64decode(padded)
        )
        position = _Position(int(value), int(start_ns), str(gateway), str(id_), int(received_ns))
    except (binascii.Error, ValueError, TypeError) as exc:
        raise BadQuestion("cursor: not a cursor of this service") from exc
    if not all(-1 <= number <= _LATEST for number in (position.value, position.start_ns)):
        raise BadQuestion("cursor: not a cursor of this service")
    if order != wanted.order:
        msg = "cursor: it belongs to a search with another order"
        raise BadQuestion(msg, hint="start again without a cursor")
    return position
