"""
Requests drawn at random but always the same, and what a join without ids chooses from.

A sample is made of the lowest hashes of a range: asked again it is the same, and a longer one holds
the shorter one. For a join by likelihood the rows are those nearest to a moment, so that a limit
leaves a stretch without gaps: in a thinned-out one a wrong partner would seem to be the only one.

Samples are stable: by a hash of the trace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver import Client

from collector.model import GatewayRecord, Id
from collector.store.reads import ask, find_span_part
from collector.store.rows import RequestRow
from collector.timestamps import NS_PER_DAY, NS_PER_S

_HASHES = 1 << 64
# So many times the sample are looked at, and more where that is not enough: versions, probes and
# traces in parts drop out.
_SPARES = (2, 16, 256)
_MAX_KEYS = 1_000
_MAX_SIZES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The edge span of a trace. `response_bytes` is `None` where no span states it."""

    trace_id: str
    span_id: str
    service: str
    host: str
    method: str
    status: int | None
    start_ns: int
    duration_ns: int
    request_key: str
    response_bytes: int | None = None


def sample_requests(
    client: Client, database: str, start_ns: int, end_ns: int, api: str, limit: int
) -> list[RequestRow]:
    """
    Return at most *limit* requests that began in [start_ns, end_ns), in the order of their hashes.

    A trace whose record is among them is left out; one joined by another id than its own may
    appear beside its record. With *api*, only gateway records.
    """
    span: dict[str, Any] = {
        "database": database,
        # five-minute buckets are counted from 1970
        "start_ns": max(start_ns, NS_PER_DAY),
        "end_ns": min(end_ns, 4_000_000_000_000_000_000),
    }
    records, traces = ask(client, "count_rows", **span, api=api)[0]
    found: list[tuple[int, RequestRow]] = []
    spans = find_span_part(client, database, span["start_ns"], span["end_ns"])
    for place, gateway, record_id, trace_id, name, begin_ns, duration_ns, received_ns in _draw(
        client, "sample_requests", spans, records, limit, **span, api=api
    ):
        row = RequestRow(
            start_ns=begin_ns,
            duration_ns=duration_ns,
            gateway=gateway,
            record_id=record_id,
            trace_id=trace_id,
            api=name,
            received_s=received_ns // NS_PER_S,
            place_ratio=place / _HASHES,
        )
        found.append((place, row))
    if not api:
        known = {row.trace_id for _, row in found}
        for place, trace_id, begin_ns, received_ns in _draw(
            client, "sample_traces", frozenset(), traces, limit, **span
        ):
            if trace_id not in known:
                row = RequestRow(
                    start_ns=begin_ns,
                    duration_ns=None,
                    trace_id=trace_id,
                    received_s=received_ns // NS_PER_S,
                    place_ratio=place / _HASHES,
                )
                found.append((place, row))
    found.sort(key=lambda pair: (pair[0], pair[1].gateway, pair[1].record_id))
    return [row for _, row in found[:limit]]


def find_join_records(
    client: Client,
    database: str,
    gateway: str,
    api: str,
    moment_ns: int,
    reach_ns: int,
    limit: int,
) -> list[GatewayRecord]:
    """
    Return the records of an API nearest to a moment, with what a join by likelihood reads.

    Without a *gateway*, those of every API that have no trace id.
    """
    rows = ask(
        client,
        "find_join_records",
        frozenset(("of_api",) if gateway else ()),
        database=database,
        gateway=gateway,
        api=api,
        moment_ns=moment_ns,
        start_ns=max(moment_ns - reach_ns, NS_PER_DAY),
        end_ns=moment_ns + reach_ns,
        limit=limit,
    )
    return [_record(row) for row in rows]


def find_edges(
    client: Client,
    database: str,
    services: Sequence[str],
    start_ns: int,
    end_ns: int,
    limit: int,
    *,
    with_sizes: bool,
) -> list[Edge]:
    """Return the edge spans that began nearest to the middle of a range, by start."""
    rows = ask(
        client,
        "find_edges",
        frozenset(("services",) if services else ()),
        database=database,
        services=list(services),
        moment_ns=(start_ns + end_ns) // 2,
        start_ns=max(start_ns, NS_PER_DAY),
        end_ns=end_ns,
        limit=limit,
    )
    sizes = _find_sizes(client, database, rows) if rows and with_sizes else {}
    edges = [
        Edge(
            trace_id=trace_id,
            span_id=span_id,
            service=service,
            host=host,
            method=method,
            status=status or None,
            start_ns=edge_start_ns,
            duration_ns=duration_ns,
            request_key=request_key,
            response_bytes=sizes.get((trace_id, span_id)),
        )
        for (
            trace_id, span_id, service, host, method, status, request_key, edge_start_ns,
            duration_ns,
        ) in rows
    ]  # fmt: skip
    return sorted(edges, key=lambda each: (each.start_ns, each.trace_id))


def find_claimed(client: Client, database: str, edges: Iterable[Edge]) -> set[str]:
    """Return the ids of the traces that a gateway record names, by trace id or request id."""
    wanted = list(edges)
    claimed: set[str] = set()
    for first in range(0, len(wanted), _MAX_KEYS):
        part = wanted[first : first + _MAX_KEYS]
        keys = sorted({key for edge in part for key in (edge.trace_id, edge.request_key) if key})
        rows = ask(client, "find_recorded_keys", database=database, keys=keys)
        claimed |= _with_key(part, {row[0] for row in rows})
    return claimed


def find_claimed_near(client: Client, database: str, edges: Sequence[Edge]) -> set[str]:
    """Return the ids of those traces that a gateway record of about their time names."""
    if not edges:
        return set()
    starts = [edge.start_ns for edge in edges]
    rows = ask(
        client,
        "find_recorded_keys_near",
        database=database,
        start_ns=max(min(starts), NS_PER_DAY),
        end_ns=max(starts),
    )
    return _with_key(edges, {row[0] for row in rows})


def _with_key(edges: Iterable[Edge], keys: set[str]) -> set[str]:
    return {edge.trace_id for edge in edges if edge.trace_id in keys or edge.request_key in keys}


def hash_bound(wanted: int, among: int) -> int:
    """Return the hash up to which *wanted* of so many rows lie, as hashes are even; or the last."""
    return min(_HASHES * wanted // max(among, 1), _HASHES - 1)


def _draw(
    client: Client, name: str, parts: frozenset[str], rows: int, limit: int, **given: Any
) -> list[tuple[Any, ...]]:
    """
    Return the *limit* rows of a statement with the lowest hashes; of so many *rows* in its range.

    It looks below a bound: the lower that is, the more of the tables its indexes leave out.
    """
    found: list[tuple[Any, ...]] = []
    for spare in (*_SPARES, rows):
        most = hash_bound(limit * spare, rows)
        found = ask(client, name, parts, **given, most=most, limit=limit)
        if len(found) >= limit or most == _HASHES - 1:
            break
    return found


def _find_sizes(
    client: Client, database: str, rows: Sequence[tuple[Any, ...]]
) -> dict[tuple[str, str], int]:
    starts = [row[-2] for row in rows]
    found = ask(
        client,
        "find_response_sizes",
        database=database,
        services=sorted({row[2] for row in rows}),
        start_ns=min(starts),
        end_ns=max(starts) + 1,
        limit=_MAX_SIZES,
    )
    return {(trace_id, span_id): size for trace_id, span_id, size in found}


def _record(row: tuple[Any, ...]) -> GatewayRecord:
    names = (
        "gateway", "record_id", "start_ns", "instance", "source", "ids", "trace_id", "duration_ns",
        "backend_ns", "resolution_ns", "method", "path", "route", "api", "operation",
        "backend_method", "backend_path", "backend_status", "response_bytes",
    )  # fmt: skip
    values = dict(zip(names, row, strict=True))
    values["ids"] = tuple(Id(each["key"], each["value"]) for each in values["ids"])
    return GatewayRecord(**values)
