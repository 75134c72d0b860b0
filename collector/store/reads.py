"""
Spans, log records, gateway records and ids by key.

Tables that are ordered by time first are read in two steps: an index says in which five minutes the
rows lie, then exactly those are read. So no caller has to know a time range.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from operator import attrgetter
from typing import Any, TypeVar

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.query import QueryResult

from collector.model import GatewayRecord, Id, LogRecord, Span, SpanEvent, SpanLink
from collector.store.rendering import read_query
from collector.store.rows import IdHit
from collector.store.values import read_attributes, read_resource, read_text

BUCKET_S = 300
_NS_PER_S = 1_000_000_000
# Versions of a record that start further apart than this are not looked for.
_VERSION_GAP_S = 60
_MAX_HITS = 10_000
_MAX_OPERATIONS = 5_000
# A trace in more than a day's worth of buckets is looked for in all of them.
_MAX_BUCKETS = 288

_Key = TypeVar("_Key")
TraceKey = tuple[int, str]
RecordKey = tuple[int, str, str]


def query(
    client: Client, name: str, parts: frozenset[str] = frozenset(), **parameters: Any
) -> QueryResult:
    """Run `queries/<name>.sql`, with the lines that *parts* ask for and bound parameters."""
    return client.query(read_query(name, parts), parameters=parameters)


def ask(
    client: Client, name: str, parts: frozenset[str] = frozenset(), **parameters: Any
) -> list[tuple[Any, ...]]:
    """Run `queries/<name>.sql` and return its rows."""
    return [tuple(row) for row in query(client, name, parts, **parameters).result_rows]


def find_ids(client: Client, database: str, keys: Iterable[str]) -> list[IdHit]:
    """Return where *keys* were seen, newest first."""
    wanted = sorted(set(keys))
    if not wanted:
        return []
    half_keys = [key for key in wanted if len(key) == 16]
    can_be_traces = any(len(key) in (16, 32) for key in wanted)
    given: dict[str, Any] = {"database": database, "keys": wanted, "limit": _MAX_HITS}
    starts: dict[tuple[str, str, str, str, str], int] = {}
    for key, kind, trace_id, gateway, record_id, start_ns in ask(client, "find_ids", **given):
        _keep_least(starts, (key, kind, trace_id, gateway, record_id), start_ns)
    parts = _parts(half_keys=half_keys)
    traces = (
        ask(client, "find_trace_ids", parts, **given, half_keys=half_keys) if can_be_traces else ()
    )
    for key, trace_id, start_s in traces:
        _keep_least(starts, (key, "trace_id", trace_id, "", ""), start_s * _NS_PER_S)
    hits = [IdHit(*place, start_ns) for place, start_ns in starts.items()]
    return sorted(hits, key=lambda hit: (-hit.start_ns, astuple(hit)))[:_MAX_HITS]


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


def locate_traces(
    client: Client, database: str, trace_ids: Iterable[str]
) -> tuple[list[TraceKey], list[str]]:
    """Return the (bucket, trace id) keys of traces, and the ids of those with too many buckets."""
    keys: list[TraceKey] = []
    long_ids: list[str] = []
    wanted = sorted(set(trace_ids))
    if not wanted:
        return keys, long_ids
    firsts: dict[str, int] = {}
    lasts: dict[str, int] = {}
    for trace_id, first_s, last_s in ask(
        client, "locate_traces", database=database, trace_ids=wanted
    ):
        _keep_least(firsts, trace_id, first_s)
        lasts[trace_id] = max(last_s, lasts.get(trace_id, 0))
    for trace_id in sorted(firsts):
        first, last = firsts[trace_id] // BUCKET_S, lasts[trace_id] // BUCKET_S
        if last - first >= _MAX_BUCKETS:
            long_ids.append(trace_id)
        else:
            keys += [(bucket * BUCKET_S, trace_id) for bucket in range(first, last + 1)]
    return keys, long_ids


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
    keys, long_ids = locate_traces(client, database, unknown)
    keys += [(bucket, trace_id) for trace_id in trace_ids for bucket in known.get(trace_id, ())]
    if not keys and not long_ids:
        return []
    rows = ask(
        client,
        "get_spans",
        _parts(
            long_ids=long_ids,
            services=services,
            as_of=received_until_ns is not None,
            whole=not is_brief,
        ),
        database=database,
        trace_ids=list(trace_ids),
        keys=keys,
        long_ids=long_ids,
        services=list(services),
        received_until_ns=received_until_ns,
        limit=limit,
    )
    return [_span(row) for row in rows]


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


def record_places(
    records: Iterable[tuple[int, tuple[str, str]]],
) -> Iterator[tuple[int, str, str]]:
    """Yield where versions of records lie, given starts and (gateway, record id) keys."""
    for start_ns, (gateway, record_id) in records:
        for gap_s in (-_VERSION_GAP_S, 0, _VERSION_GAP_S):
            moment_s = start_ns // _NS_PER_S + gap_s
            yield moment_s // BUCKET_S * BUCKET_S, record_id, gateway


def get_records(
    client: Client,
    database: str,
    trace_ids: Sequence[str],
    record_keys: Sequence[tuple[str, str]],
    received_until_ns: int | None,
    *,
    starts: Mapping[tuple[str, str], int] | None = None,
    is_brief: bool = False,
) -> list[GatewayRecord]:
    """
    Return every stored version of the records, in order of start and reception.

    Those with a start in *starts* are not looked up.
    """
    known = starts or {}
    unknown = [tuple(key) for key in record_keys if tuple(key) not in known]
    keys = set(record_places((known[key], key) for key in record_keys if key in known))
    if trace_ids or unknown:
        keys |= set(
            ask(
                client,
                "locate_records",
                _parts(record_ids=unknown),
                database=database,
                trace_ids=[trace_id for trace_id in trace_ids if trace_id],
                record_ids=[record_id for _, record_id in unknown],
                record_keys=unknown,
            )
        )
    if not keys:
        return []
    result = query(
        client,
        "get_records",
        _parts(as_of=received_until_ns is not None, whole=not is_brief),
        database=database,
        keys=sorted(keys),
        received_until_ns=received_until_ns,
    )
    rows = [_record(values) for values in result.named_results()]
    return sorted(rows, key=attrgetter("start_ns", "gateway", "record_id", "received_ns"))


def _keep_least(found: dict[_Key, int], key: _Key, value: int) -> None:
    found[key] = min(value, found.get(key, value))


def _parts(**wanted: object) -> frozenset[str]:
    return frozenset(name for name, value in wanted.items() if value)


def _span(row: tuple[Any, ...]) -> Span:
    start_ns = row[5]
    events = zip(*row[15:18], strict=True)
    links = zip(*row[18:21], strict=True)
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
        trace_state=row[10],
        attributes=read_attributes(row[11]),
        resource=read_resource(row[12]),
        scope=row[13],
        events=[SpanEvent(at, name, read_attributes(each)) for at, name, each in events],
        links=[SpanLink(trace, span, read_attributes(each)) for trace, span, each in links],
        received_ns=row[14],
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


def _record(values: dict[str, Any]) -> GatewayRecord:
    # the columns are called as the fields, so the query alone says which there are
    values["ids"] = tuple(Id(each["key"], each["value"]) for each in values["ids"])
    values["quality"] = tuple(values["quality"])
    return GatewayRecord(**values)
