"""
The search: gateway records and traces that have none, as one ordered list of requests.

Each kind is read in its own order, a batch of candidates at a time. A candidate is a stored row; it
is settled when it is known whether it stands for a request of the result (the newest version of its
record; the edge of its trace, which no record claims). The two lists are merged as far as both are
settled, so nothing is read that the page does not need.

Source: algorithms.md 3g rule 6: a search without a total order pages over an unstable set.
"""

import base64
import binascii
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol

from clickhouse_connect.driver import Client

from collector.errors import BadQuestion
from collector.store.reads import ask, find_ids, query, record_places
from collector.store.rows import IdHit, RequestFilter, RequestRow, TraceSummary
from collector.store.summaries import (
    TraceCounts,
    get_trace_counts,
    get_trace_summaries,
    has_spans_beyond_gateway,
)

_LATEST = (1 << 63) - 1
_NS_PER_S = 1_000_000_000
# Keys of a batch are bound parameters; ClickHouse takes form fields of up to 128 KiB.
_MAX_BATCH = 400
# What takes more than a row to decide (who claims a trace, which services took part) is decided
# for so many batches row by row; then the engine does it for the whole range, which takes as long
# as some 20 batches.
_QUICK_READS = 3
# An id that more traces carry than this does not say which of them a record belongs to.
_MAX_TRACES_OF_KEY = 16
# Sources whose rows add to a request that another log tells of; see record_is_counted.sql too.
_ADDING_SOURCES = frozenset({"app-dependencies", "llm-log", "websocket-log"})


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


class _Candidates(Protocol):
    """One kind of row, in the order of the search."""

    def read(self, after: _Position, limit: int) -> "tuple[list[_Placed], _Position | None]":
        """Return the settled rows behind *after*, and where they ended; `None` at the end."""
        ...


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row of the result at its place."""

    position: _Position
    row: RequestRow


def find_requests(
    client: Client, database: str, wanted: RequestFilter, limit: int, cursor: str
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
    lists = [_List(_Records(client, database, wanted, claimed), after, size)]
    if not _needs_record(wanted):
        lists.append(_List(_Traces(client, database, wanted, claimed), after, size))
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


class _Records:
    """Gateway records that fit. The traces they are joined with are added to *claimed*."""

    def __init__(
        self, client: Client, database: str, wanted: RequestFilter, claimed: set[str]
    ) -> None:
        self._client = client
        self._database = database
        self._wanted = wanted
        self._claimed = claimed
        self._quick_reads = _QUICK_READS

    def read(self, after: _Position, limit: int) -> tuple[list[_Placed], _Position | None]:
        thorough = []
        if self._quick_reads <= 0:
            thorough += ["thorough_service"] if self._wanted.service else []
            thorough += ["thorough_joined"] if self._wanted.is_joined is not None else []
        self._quick_reads -= 1
        found = ask(
            self._client,
            "find_records",
            _parts(self._wanted, after, thorough),
            **_parameters(self._database, self._wanted, after, limit),
        )
        stored = sorted((p for row in found if (p := _Position(*row)) < after), reverse=True)
        newest = self._read_newest(stored)
        candidates: dict[_Position, Mapping[str, Any]] = {}
        for position in stored:
            row = newest.get((position.gateway, position.id))
            version = (position.received_ns, position.start_ns)
            if row and (row["received_ns"], row["start_ns"]) == version:
                candidates[position] = row
        traces = self._resolve_traces(list(candidates.values()))
        placed = []
        for position, row in candidates.items():
            trace = traces.get((position.gateway, position.id))
            if self._fits(row, trace):
                placed.append(_Placed(position, _record_row(row, trace)))
        return placed, _end(found, limit)

    def _read_newest(self, stored: Iterable[_Position]) -> dict[tuple[str, str], Any]:
        keys = set(record_places((at.start_ns, (at.gateway, at.id)) for at in stored))
        if not keys:
            return {}
        result = query(self._client, "get_request_rows", database=self._database, keys=sorted(keys))
        newest: dict[tuple[str, str], Any] = {}
        for row in result.named_results():
            held = newest.setdefault(_key(row), row)
            if _oldness(row) < _oldness(held):
                newest[_key(row)] = row
        return newest

    def _resolve_traces(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> dict[tuple[str, str], TraceCounts]:
        """Find the spans of records: by the trace id, and where that has none, by another id."""
        known = self._count({row["trace_id"] for row in rows})
        lonely = [row for row in rows if row["trace_id"] not in known]
        closest = self._find_closest(lonely) if lonely else {}
        known |= self._count(set(closest.values()))
        traces = {_key(row): known.get(closest.get(_key(row)) or row["trace_id"]) for row in rows}
        self._claimed.update(known)
        return {key: trace for key, trace in traces.items() if trace}

    def _find_closest(self, lonely: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
        """Return the traces nearest in time that carry an id of records without spans."""
        places = set(record_places((row["start_ns"], _key(row)) for row in lonely))
        rows = ask(self._client, "get_record_keys", database=self._database, keys=sorted(places))
        keys = {(gateway, record_id): each for gateway, record_id, each in rows}
        hits: dict[str, list[IdHit]] = {}
        wanted = (key for each in keys.values() for key in each)
        for hit in find_ids(self._client, self._database, wanted):
            if hit.trace_id and not hit.record_id:
                hits.setdefault(hit.key, []).append(hit)
        return {
            _key(row): _closest_trace(row["start_ns"], keys.get(_key(row), ()), hits)
            for row in lonely
        }

    def _count(self, trace_ids: set[str]) -> dict[str, TraceCounts]:
        return get_trace_counts(self._client, self._database, trace_ids - {""})

    def _fits(self, row: Mapping[str, Any], trace: TraceCounts | None) -> bool:
        wanted = self._wanted
        if wanted.is_joined is not None and wanted.is_joined != _is_joined(row, trace):
            return False
        return not wanted.service or (trace is not None and wanted.service in trace.services)


class _Traces:
    """Traces that fit and that no gateway record claims; those in *claimed* are known to be."""

    def __init__(
        self, client: Client, database: str, wanted: RequestFilter, claimed: set[str]
    ) -> None:
        self._client = client
        self._database = database
        self._wanted = wanted
        self._claimed = claimed
        self._quick_reads = _QUICK_READS

    def read(self, after: _Position, limit: int) -> tuple[list[_Placed], _Position | None]:
        thorough = []
        if self._quick_reads <= 0:
            thorough = ["thorough_unclaimed"]
            thorough += ["thorough_service"] if self._wanted.service else []
        self._quick_reads -= 1
        found = ask(
            self._client,
            "find_traces",
            _parts(self._wanted, after, thorough),
            **_parameters(self._database, self._wanted, after, limit),
        )
        stored = {
            position: (span_id, request_key)
            for value, start_ns, trace_id, span_id, request_key in found
            if (position := _Position(value, start_ns, "", trace_id, 0)) < after
        }
        free = self._find_free({(at.id, key) for at, (_, key) in stored.items()})
        known = {
            each.trace_id: each for each in get_trace_summaries(self._client, self._database, free)
        }
        placed: dict[str, _Placed] = {}
        for position in sorted(stored, reverse=True):
            trace = known.get(position.id)
            edge = (stored[position][0], position.start_ns)
            if trace and (trace.edge_span_id, trace.edge_start_ns) == edge and self._fits(trace):
                placed.setdefault(position.id, _Placed(position, _trace_row(trace)))
        return list(placed.values()), _end(found, limit)

    def _fits(self, trace: TraceSummary) -> bool:
        return not self._wanted.service or self._wanted.service in trace.services

    def _find_free(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        """Return the traces that no record names; a trace comes with its parts' request ids."""
        asked = [pair for pair in pairs if pair[0] not in self._claimed]
        keys = {key for pair in asked for key in pair if key}
        if not keys:
            return set()
        rows = ask(self._client, "find_recorded_keys", database=self._database, keys=sorted(keys))
        recorded = {row[0] for row in rows}
        named = {trace for trace, key in asked if trace in recorded or key in recorded}
        return {trace for trace, _ in asked} - named


def _end(found: Sequence[tuple[Any, ...]], limit: int) -> _Position | None:
    """
    Return where the next batch begins; `None` when this was the last one.

    A batch holds all rows of the value and start that it ends with, so the next is behind them.
    """
    if len(found) < limit:
        return None
    value, start_ns = found[-1][:2]
    return _Position.before_all(value, start_ns - 1)


def _needs_record(wanted: RequestFilter) -> bool:
    only_in_records = (
        wanted.gateway, wanted.api, wanted.operation, wanted.consumer, wanted.revision,
    )  # fmt: skip
    return wanted.is_joined is True or any(only_in_records)


def _parts(wanted: RequestFilter, after: _Position, thorough: Sequence[str]) -> frozenset[str]:
    """Return which lines of a search's statement are needed: those of filters that are given."""
    given = {part for name, part in _FILTERS.items() if getattr(wanted, name) not in ("", None)}
    is_costly = bool(thorough or wanted.text)
    return frozenset({
        "by_start" if wanted.order == "-start" else "by_duration",
        "one_pass" if is_costly else "two_passes",
        *(given - {"service", "joined"}),
        *thorough,
        *(() if after == _Position.before_all() else ("after",)),
    })  # fmt: skip


def _parameters(
    database: str, wanted: RequestFilter, after: _Position, limit: int
) -> dict[str, Any]:
    filters = {part: getattr(wanted, name) for name, part in _FILTERS.items()}
    return {
        **{part: value for part, value in filters.items() if value not in ("", None)},
        "database": database,
        # five-minute buckets are counted from 1970
        "start_ns": max(wanted.start_ns, 86_400 * _NS_PER_S),
        "end_ns": min(max(wanted.end_ns, 0), 4_000_000_000 * _NS_PER_S),
        "after_value": after.value,
        "after_start_ns": after.start_ns,
        "limit": limit,
    }


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["gateway"], row["record_id"]


def _oldness(row: Mapping[str, Any]) -> tuple[int, int, str, int]:
    """Order versions: what only adds to a request, or knows no API, is shown where alone."""
    source = row["source"]
    rank = 2 if source in _ADDING_SOURCES else int(source == "span")
    return rank, -row["received_ns"], source, row["start_ns"]


def _closest_trace(start_ns: int, keys: Sequence[str], hits: Mapping[str, Sequence[IdHit]]) -> str:
    groups = (hits.get(key, ()) for key in keys)
    telling = [hit for group in groups if len(group) <= _MAX_TRACES_OF_KEY for hit in group]
    if not telling:
        return ""
    return min(telling, key=lambda hit: (abs(hit.start_ns - start_ns), hit.trace_id)).trace_id


def _is_joined(row: Mapping[str, Any], trace: TraceCounts | None) -> bool:
    if trace is None:
        return False
    return row["source"] != "span" or has_spans_beyond_gateway(trace)


def _record_row(row: Mapping[str, Any], trace: TraceCounts | None) -> RequestRow:
    return RequestRow(
        start_ns=row["start_ns"],
        duration_ns=row["duration_ns"],
        gateway=row["gateway"],
        record_id=row["record_id"],
        trace_id=trace.trace_id if trace else row["trace_id"],
        is_joined=_is_joined(row, trace),
        api=row["api"],
        operation=row["operation"],
        route=row["route"],
        method=row["method"],
        host=row["host"],
        path=row["path"],
        status=row["status"],
        is_error=row["is_error"],
        consumer=row["consumer"],
        revision=row["api_revision"],
        backend_ns=row["backend_ns"],
        services=trace.services if trace else (),
        spans=trace.spans if trace else 0,
        errors=trace.errors if trace else 0,
        buckets=trace.buckets if trace else (),
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
        services=trace.services,
        spans=trace.spans,
        errors=trace.errors,
        buckets=trace.buckets,
    )


def _write_cursor(position: _Position, wanted: RequestFilter) -> str:
    text = json.dumps([wanted.order, *astuple(position)])
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
