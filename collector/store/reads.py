"""
Rows of the tables as values of `model`.
"""

from collections.abc import Sequence
from typing import Any

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.query import QueryResult

from collector.model import GatewayRecord, Id, LogRecord, Span, SpanEvent, SpanLink
from collector.store.rendering import read_query
from collector.store.rows import IdHit

LATEST_NS = (1 << 63) - 1
_MAX_HITS = 10_000


def query(client: Client, name: str, **parameters: Any) -> QueryResult:
    """Run `queries/<name>.sql` with bound parameters."""
    return client.query(read_query(name), parameters=parameters)


def ask(client: Client, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Run `queries/<name>.sql` and return its rows."""
    return [tuple(row) for row in query(client, name, **parameters).result_rows]


def find_ids(client: Client, database: str, keys: Sequence[str]) -> list[IdHit]:
    """Return where *keys* were seen, newest first."""
    rows = ask(client, "find_ids", database=database, keys=list(keys), limit=_MAX_HITS)
    return [IdHit(*row) for row in rows]


def get_spans(
    client: Client, database: str, trace_ids: Sequence[str], received_until_ns: int, limit: int
) -> list[Span]:
    """Return the spans of *trace_ids* in order of trace and start."""
    rows = ask(
        client,
        "get_spans",
        database=database,
        trace_ids=list(trace_ids),
        received_until_ns=received_until_ns,
        limit=limit,
    )
    return [_span(row) for row in rows]


def get_logs(
    client: Client, database: str, trace_ids: Sequence[str], received_until_ns: int, limit: int
) -> list[LogRecord]:
    """Return the log records of *trace_ids* in order of time."""
    rows = ask(
        client,
        "get_logs",
        database=database,
        trace_ids=list(trace_ids),
        received_until_ns=received_until_ns,
        limit=limit,
    )
    return [_log_record(row) for row in rows]


def get_records(
    client: Client,
    database: str,
    trace_ids: Sequence[str],
    record_keys: Sequence[tuple[str, str]],
    received_until_ns: int,
) -> list[GatewayRecord]:
    """Return every stored version of the records, in order of start and reception."""
    result = query(
        client,
        "get_records",
        database=database,
        trace_ids=list(trace_ids),
        record_ids=[record_id for _, record_id in record_keys],
        record_keys=[tuple(key) for key in record_keys],
        received_until_ns=received_until_ns,
    )
    return [_record(values) for values in result.named_results()]


def _span(row: tuple[Any, ...]) -> Span:
    start_ns = row[5]
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
        attributes=row[11],
        resource=row[12],
        scope=row[13],
        events=[SpanEvent(*each) for each in zip(*row[14:17], strict=True)],
        links=[SpanLink(*each) for each in zip(*row[17:20], strict=True)],
        received_ns=row[20],
    )


def _log_record(row: tuple[Any, ...]) -> LogRecord:
    return LogRecord(
        time_ns=row[0],
        trace_id=row[1],
        span_id=row[2],
        service=row[3],
        severity=row[4],
        body=row[5],
        attributes=row[6],
        resource=row[7],
        scope=row[8],
        event_name=row[9],
        received_ns=row[10],
    )


def _record(values: dict[str, Any]) -> GatewayRecord:
    # the columns are called as the fields, so the query alone says which there are
    values["ids"] = tuple(Id(each["key"], each["value"]) for each in values["ids"])
    values["quality"] = tuple(values["quality"])
    return GatewayRecord(**values)
