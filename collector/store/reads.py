"""
Spans, log records, gateway records and ids by key.

Tables that are ordered by time first are read in two steps: an index says in which five minutes the
rows lie, then exactly those are read. So no caller has to know a time range.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, fields
from functools import partial
from operator import attrgetter
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.query import QueryResult

from collector.model import GatewayRecord, Id, LogRecord, Span, SpanEvent, SpanLink
from collector.store.bound import bind_lists
from collector.store.rendering import read_query
from collector.store.rows import IdHit, LinkingSpan
from collector.store.values import has_marked, read_attributes, read_resource, read_text
from collector.store.words import words_of
from collector.timestamps import NS_PER_S

BUCKET_S = 300
# Versions of a record that start further apart than this are not looked for.
_VERSION_GAP_S = 60
_MAX_HITS = 10_000
_MAX_OPERATIONS = 5_000
_MAX_LINKING = 32
# A trace in more than a day's worth of buckets is looked for in all of them.
_MAX_BUCKETS = 288
# ClickHouse takes form fields, which parameters are, of up to 128 KiB.
_MAX_PARAMETER_BYTES = 96 * 1024
_BYTES_BETWEEN = 4
# ... a tuple's first second, its brackets and the quotes of its second text
_BYTES_OF_BUCKET = 20

# What reads a range gets every core. What looks up keys reads so little that a second thread only
# makes it dearer by a quarter, and takes a core from the lookup beside it.
_SCANS = frozenset({
    "count_bad", "count_logged", "count_record_hours", "count_rows", "count_stitched",
    "find_edges", "find_hop_of", "find_join_records", "find_linking",
    "find_logged", "find_lost_lines",
    "find_observed", "find_operations", "find_recorded_keys_near", "find_records", "find_span_ids",
    "find_response_sizes", "find_span_records",
    "find_traces", "find_traces_drawn",
    "get_edge_stats", "get_group_stats", "get_heat", "get_logged_stats", "get_series",
    "get_service_stats",
    "get_share_stats", "sample_records", "sample_requests", "sample_traces",
    "find_spellings", "find_values", "find_visits",
})  # fmt: skip

# What macros/record_json.sql lists, in this order. Rows of before end where the list ended then.
_LISTED = tuple(f.name for f in fields(GatewayRecord) if f.name not in ("raw", "received_ns"))

_Key = TypeVar("_Key")
_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")
TraceKey = tuple[int, str]
RecordKey = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class TracePlace:
    """
    Where the spans of a trace lie: in which five minutes, each by its first second.

    None are named where there are too many. `received_s` is the last second that spans came in.
    Of what `is_kept` there is a copy for later, which may be all that is left.
    """

    buckets: Sequence[int]
    received_s: int
    is_kept: bool = False

    @property
    def sole_buckets(self) -> Sequence[int]:
        """Return the five minutes that hold all there is, none where it must be looked up."""
        return () if self.is_kept else self.buckets


def query(
    client: Client, name: str, parts: frozenset[str] = frozenset(), **parameters: Any
) -> QueryResult:
    """Run `queries/<name>.sql`, with the lines that *parts* ask for and bound parameters."""
    threads = {} if name in _SCANS else {"max_threads": 1}
    sql = read_query(name, parts)
    return client.query(sql, parameters=bind_lists(words_of(sql) | parameters), settings=threads)


def ask(
    client: Client, name: str, parts: frozenset[str] = frozenset(), **parameters: Any
) -> list[tuple[Any, ...]]:
    """Run `queries/<name>.sql` and return its rows."""
    return [tuple(row) for row in query(client, name, parts, **parameters).result_rows]


def find_span_part(client: Client, database: str, start_ns: int, end_ns: int) -> frozenset[str]:
    """Return the part of a statement over records for where some of a range were made of spans."""
    given: dict[str, Any] = {"database": database, "start_ns": start_ns, "end_ns": end_ns}
    return frozenset({"spans"} if ask(client, "find_span_records", **given) else ())


@dataclass(frozen=True, slots=True)
class Source:
    """Where a search reads; *aside* runs one read beside another, each with a client of its own."""

    reading: Callable[[], AbstractContextManager[Client]]
    aside: Executor
    database: str

    def read(
        self,
        function: Callable[Concatenate[Client, str, _Given], _Answer],
        *args: _Given.args,
        **kwargs: _Given.kwargs,
    ) -> _Answer:
        """Call *function*, one of the reads, with a client."""
        with self.reading() as client:
            return function(client, self.database, *args, **kwargs)

    def ask(
        self, name: str, parts: frozenset[str] = frozenset(), **parameters: Any
    ) -> list[tuple[Any, ...]]:
        """Run `queries/<name>.sql` and return its rows."""
        with self.reading() as client:
            return ask(client, name, parts, database=self.database, **parameters)


def in_chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield *texts* in as many lists as a server takes them in: none for none."""
    return _chunks(texts, lambda text: len(text.encode()))


def _chunks(keys: Iterable[_Key], size_of: Callable[[_Key], int]) -> Iterator[list[_Key]]:
    chunk: list[_Key] = []
    size = 0
    for key in keys:
        cost = size_of(key) + _BYTES_BETWEEN
        if chunk and size + cost > _MAX_PARAMETER_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(key)
        size += cost
    if chunk:
        yield chunk


def find_ids(client: Client, database: str, keys: Iterable[str]) -> list[IdHit]:
    """Return where *keys* were seen, newest first."""
    starts: dict[tuple[str, str, str, str, str], int] = {}
    for wanted in in_chunks(sorted(set(keys))):
        given: dict[str, Any] = {"database": database, "keys": wanted, "limit": _MAX_HITS}
        for key, kind, trace_id, gateway, record_id, start_ns in ask(client, "find_ids", **given):
            _keep_least(starts, (key, kind, trace_id, gateway, record_id), start_ns)
        if not any(len(key) in (16, 32) for key in wanted):
            continue
        half_keys = [key for key in wanted if len(key) == 16]
        parts = _parts(half_keys=half_keys)
        rows = ask(client, "find_trace_ids", parts, **given, half_keys=half_keys)
        for key, trace_id, start_s in rows:
            _keep_least(starts, (key, "trace_id", trace_id, "", ""), start_s * NS_PER_S)
    hits = [IdHit(*place, start_ns) for place, start_ns in starts.items()]
    return sorted(hits, key=lambda hit: (-hit.start_ns, astuple(hit)))[:_MAX_HITS]


def find_span_ids(client: Client, database: str, span_ids: Sequence[str]) -> list[IdHit]:
    """Return the traces of the spans with one of *span_ids*, newest first."""
    rows = ask(client, "find_span_ids", database=database, span_ids=list(span_ids), limit=_MAX_HITS)
    return [IdHit(span_id, "span_id", trace_id, "", "", start) for span_id, trace_id, start in rows]


def find_operations(
    client: Client, database: str, service: str, start_ns: int, end_ns: int
) -> list[tuple[str, str]]:
    """Return the names and kinds of a service's spans in a range, by name."""
    rows = ask(
        client,
        "find_operations",
        database=database,
        service=service,
        start_ns=start_ns,
        end_ns=end_ns,
        limit=_MAX_OPERATIONS,
    )
    return [(name, kind) for name, kind in rows]


def find_linking(
    client: Client,
    database: str,
    trace_ids: Sequence[str],
    start_ns: int,
    end_ns: int,
    received_until_ns: int | None,
) -> list[LinkingSpan]:
    """Return the first spans of other traces in a range that link to one of *trace_ids*."""
    rows = ask(
        client,
        "find_linking",
        _parts(as_of=received_until_ns is not None),
        database=database,
        trace_ids=list(trace_ids),
        start_ns=start_ns,
        end_ns=end_ns,
        received_until_ns=received_until_ns,
        limit=_MAX_LINKING,
    )
    return [LinkingSpan(*row) for row in rows]


def find_spellings(
    client: Client, database: str, field: str, asked: str, start_ns: int, end_ns: int
) -> list[str]:
    """Return how records of a range write a name; *asked* alone where one has it so."""
    for parts in (frozenset({field, "exact"}), frozenset({field})):
        rows = ask(
            client,
            "find_spellings",
            parts,
            database=database,
            asked=asked,
            start_ns=start_ns,
            end_ns=end_ns,
        )
        if rows:
            break
    return [name for (name,) in rows]


def has_hop_of(client: Client, database: str, service: str, start_ns: int, end_ns: int) -> bool:
    """Tell whether a stitched request of a range has a hop of a service by this very name."""
    given: dict[str, Any] = {"service": service, "start_ns": start_ns, "end_ns": end_ns}
    return bool(ask(client, "find_hop_of", database=database, **given))


def locate_traces(client: Client, database: str, trace_ids: Iterable[str]) -> dict[str, TracePlace]:
    """Return where the spans of traces lie, by trace id; unknown ones are left out."""
    wanted = sorted(set(trace_ids) - {""})
    if not wanted:
        return {}
    times: dict[str, tuple[int, int, int]] = {}
    kept: set[str] = set()
    for chunk in in_chunks(wanted):
        rows = ask(client, "locate_traces", database=database, trace_ids=chunk)
        for trace_id, *row, is_kept in rows:
            first_s, last_s, received_s = times.get(trace_id, row)
            times[trace_id] = (min(first_s, row[0]), max(last_s, row[1]), max(received_s, row[2]))
            if is_kept:
                kept.add(trace_id)
    places: dict[str, TracePlace] = {}
    for trace_id, (first_s, last_s, received_s) in sorted(times.items()):
        buckets = range(first_s // BUCKET_S * BUCKET_S, last_s + 1, BUCKET_S)
        known = buckets if len(buckets) <= _MAX_BUCKETS else ()
        places[trace_id] = TracePlace(known, received_s, trace_id in kept)
    return places


def trace_keys(places: Mapping[str, TracePlace]) -> tuple[list[TraceKey], list[str]]:
    """Return the (bucket, trace id) keys of traces, and the ids of those with too many buckets."""
    keys = [(bucket, trace_id) for trace_id, at in places.items() for bucket in at.buckets]
    return keys, [id_ for id_, at in places.items() if not at.buckets and not at.is_kept]


def get_spans(
    client: Client,
    database: str,
    trace_ids: Sequence[str],
    received_until_ns: int | None,
    limit: int,
    *,
    services: Sequence[str] = (),
    buckets: Mapping[str, Sequence[int]] | None = None,
    is_brief: bool = False,
) -> list[Span]:
    """Return the spans of *trace_ids*, of all or some services, in order of trace and start."""
    known = buckets or {}
    unknown = [trace_id for trace_id in trace_ids if not known.get(trace_id)]
    places = locate_traces(client, database, unknown)
    keys, long_ids = trace_keys(places)
    keys += [(bucket, trace_id) for trace_id in trace_ids for bucket in known.get(trace_id, ())]
    kept = [trace_id for trace_id, at in places.items() if at.is_kept]
    if not keys and not long_ids:
        return []
    parts = _parts(services=services, as_of=received_until_ns is not None, whole=not is_brief)
    ask_spans = partial(
        ask,
        client,
        "get_spans",
        database=database,
        keys=keys,
        long_ids=long_ids,
        services=list(services),
        received_until_ns=received_until_ns,
        limit=limit,
    )
    rows = ask_spans(parts | _parts(long_ids=long_ids), trace_ids=list(trace_ids))
    if kept:
        rows = _add_kept(rows, ask_spans(parts | {"kept"}, trace_ids=kept))[:limit]
    return _brief_spans(rows) if is_brief else [_span(row) for row in rows]


def _add_kept(rows: list[tuple[Any, ...]], kept: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the spans of both, in order; a span that is in both is the same one."""
    own = {row[:8] for row in kept}
    both = [*(row for row in rows if row[:8] not in own), *kept]
    return sorted(both, key=lambda row: (row[0], row[5], row[1]))


def get_logs(
    client: Client,
    database: str,
    trace_ids: Sequence[str],
    received_until_ns: int | None,
    limit: int,
) -> list[LogRecord]:
    """Return the log records of *trace_ids* in order of time."""
    rows = ask(
        client,
        "get_logs",
        _parts(as_of=received_until_ns is not None),
        database=database,
        trace_ids=list(trace_ids),
        received_until_ns=received_until_ns,
        limit=limit,
    )
    return [_log_record(row) for row in rows]


def find_logs(
    client: Client, database: str, keys: Sequence[str], received_until_ns: int | None, limit: int
) -> list[LogRecord]:
    """Return the log records without a trace id that carry one of *keys*, in order of time."""
    wanted = sorted(set(keys))
    buckets = ask(client, "locate_logs", database=database, keys=wanted, limit=_MAX_BUCKETS)
    if not buckets:
        return []
    rows = ask(
        client,
        "find_logs",
        _parts(as_of=received_until_ns is not None),
        database=database,
        keys=wanted,
        buckets=[bucket for (bucket,) in buckets],
        received_until_ns=received_until_ns,
        limit=limit,
    )
    return [_log_record(row) for row in rows]


def read_lines(
    client: Client, database: str, keys: Iterable[str], buckets: Iterable[int], limit: int
) -> list[LogRecord]:
    """Return the log records of some five minutes that carry one of *keys*, in order of time."""
    wanted = sorted(set(keys))
    rows = ask(
        client,
        "find_logs",
        frozenset({"traced"}),
        database=database,
        keys=wanted,
        buckets=sorted(set(buckets)),
        limit=limit,
    )
    return [_log_record(row) for row in rows]


def record_places(
    records: Iterable[tuple[int, tuple[str, str]]],
) -> Iterator[tuple[int, str, str]]:
    """Yield where versions of records lie, given starts and (gateway, record id) keys."""
    for start_ns, (gateway, record_id) in records:
        for gap_s in (-_VERSION_GAP_S, 0, _VERSION_GAP_S):
            moment_s = start_ns // NS_PER_S + gap_s
            yield moment_s // BUCKET_S * BUCKET_S, record_id, gateway


def locate_records(
    client: Client,
    database: str,
    trace_ids: Iterable[str],
    record_keys: Sequence[tuple[str, str]] = (),
) -> set[RecordKey]:
    """Return where the records of traces lie, and those with the (gateway, record id) keys."""
    traces = set(trace_ids) - {""}
    if not traces and not record_keys:
        return set()
    own = set(record_keys)
    rows = ask(
        client,
        "locate_records",
        _parts(record_ids=record_keys),
        database=database,
        trace_ids=sorted(traces),
        record_ids=[record_id for _, record_id in record_keys],
    )
    return {
        (bucket_s, record_id, gateway)
        for trace_id, bucket_s, record_id, gateway in rows
        if record_id and (trace_id in traces or (gateway, record_id) in own)
    }


def get_records(
    client: Client,
    database: str,
    trace_ids: Sequence[str],
    record_keys: Sequence[tuple[str, str]],
    received_until_ns: int | None,
    *,
    starts: Mapping[tuple[str, str], int] | None = None,
    held: Iterable[tuple[str, str]] = (),
    is_brief: bool = False,
) -> list[GatewayRecord]:
    """
    Return every stored version of the records, in order of start and reception.

    Those with a start in *starts* are not looked up; those in *held* are not read around it again.
    """
    known = starts or {}
    unknown = [key for key in record_keys if key not in known]
    keys = set(record_places((known[key], key) for key in record_keys if key in known))
    read = set(record_places((known[key], key) for key in held))
    keys |= locate_records(client, database, trace_ids, unknown) - read
    return read_records(client, database, keys, received_until_ns, is_brief=is_brief)


def read_records(
    client: Client,
    database: str,
    keys: Iterable[RecordKey],
    received_until_ns: int | None = None,
    *,
    is_brief: bool = False,
) -> list[GatewayRecord]:
    """Return every stored version of the records at *keys*, in order of start and reception."""
    parts = _parts(as_of=received_until_ns is not None, whole=not is_brief)
    given: dict[str, Any] = {"database": database, "received_until_ns": received_until_ns}
    records = [
        _record(*row)
        for wanted in _chunks(sorted(set(keys)), _written_bytes)
        for row in ask(client, "get_records", parts, keys=wanted, **given)
    ]
    return sorted(records, key=attrgetter("start_ns", "gateway", "record_id", "received_ns"))


def _written_bytes(key: RecordKey) -> int:
    _, record_id, gateway = key
    return len(record_id.encode()) + len(gateway.encode()) + _BYTES_OF_BUCKET


def _keep_least(found: dict[_Key, int], key: _Key, value: int) -> None:
    found[key] = min(value, found.get(key, value))


def _parts(**wanted: object) -> frozenset[str]:
    return frozenset(name for name, value in wanted.items() if value)


def _brief_spans(rows: Sequence[tuple[Any, ...]]) -> list[Span]:
    read = read_attributes if has_marked(row[10] for row in rows) else _as_stored
    return [
        Span(
            trace_id=trace_id, span_id=span_id, parent_span_id=parent_id, name=name,
            service=service, start_ns=start_ns, end_ns=start_ns + duration_ns, kind=kind,
            status=status, status_message=message, attributes=read(attributes),
            resource=read_resource(resource), scope=scope, events=[], links=[],
        )
        for trace_id, span_id, parent_id, name, service, start_ns, duration_ns, kind, status,
            message, attributes, resource, scope in rows
    ]  # fmt: skip


def _as_stored(attributes: Mapping[str, str]) -> Mapping[str, str]:
    return attributes


def _span(row: tuple[Any, ...]) -> Span:
    start_ns = row[5]
    trace_state, received_ns, *rest = row[13:]
    events = zip(*rest[:3], strict=True)
    links = zip(*rest[3:], strict=True)
    return Span(
        trace_id=row[0],
        span_id=row[1],
        parent_span_id=row[2],
        name=row[3],
        service=row[4],
        start_ns=start_ns,
        end_ns=start_ns + row[6],
        kind=row[7],
        status=row[8],
        status_message=row[9],
        trace_state=trace_state,
        attributes=read_attributes(row[10]),
        resource=read_resource(row[11]),
        scope=row[12],
        events=[SpanEvent(at, name, read_attributes(each)) for at, name, each in events],
        links=[SpanLink(trace, span, read_attributes(each)) for trace, span, each in links],
        received_ns=received_ns,
    )


def _log_record(row: tuple[Any, ...]) -> LogRecord:
    return LogRecord(
        time_ns=row[0],
        trace_id=row[1],
        span_id=row[2],
        service=row[3],
        severity=row[4],
        body=read_text(row[5]),
        attributes=read_attributes(row[6]),
        resource=read_resource(row[7]),
        scope=row[8],
        event_name=row[9],
        received_ns=row[10],
    )


def _record(listed: str, received_ns: int, raw: str = "") -> GatewayRecord:
    values: dict[str, Any] = dict(zip(_LISTED, orjson.loads(listed), strict=False))
    values["ids"] = tuple(Id(each["key"], each["value"]) for each in values["ids"])
    values["quality"] = tuple(values["quality"])
    values["weight"] = float(values["weight"])
    return GatewayRecord(**values, raw=raw, received_ns=received_ns)
