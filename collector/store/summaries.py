"""
What traces, sources and APIs add up to.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from typing import Any

from clickhouse_connect.driver import Client

from collector.store.population import filter_parameters
from collector.store.reads import (
    TracePlace,
    ask,
    find_span_part,
    in_chunks,
    locate_traces,
    trace_keys,
)
from collector.store.rows import OTHERS, RequestFilter, SourceStat, TraceSummary
from collector.store.sampling import hash_bound
from collector.timestamps import NS_PER_S

# of a stream; what the others sent is told together
_MAX_SOURCES = 1_000
# So many records in all, and of one API, tell its share of joined ones within a few percent.
_SAMPLE = 4_000
_SAMPLE_OF_API = 200
# Traces with as low hashes as the records: a few times as many, where few requests have records.
_MAX_DRAWN = 200_000
_LAG_WINDOW_S = 24 * 3600


def get_trace_summaries(
    client: Client, database: str, trace_ids: Iterable[str]
) -> list[TraceSummary]:
    """Return the summaries of *trace_ids*, by trace id; unknown ones are left out."""
    places = locate_traces(client, database, trace_ids)
    if not places:
        return []
    keys, long_ids = trace_keys(places)
    rows = ask(client, "get_trace_summaries", database=database, keys=keys, long_ids=long_ids)
    return [_summary(row, places[row[0]].sole_buckets) for row in rows]


def get_trace_services(
    client: Client, database: str, places: Mapping[str, TracePlace]
) -> dict[str, Sequence[str]]:
    """Return the services that took part in the traces at *places*, by trace id."""
    if not places:
        return {}
    keys, long_ids = trace_keys(places)
    parts = frozenset({"long_ids"} if long_ids else ())
    found: dict[str, set[str]] = {}
    for trace_id, services in ask(
        client, "get_trace_services", parts, database=database, keys=keys, long_ids=long_ids
    ):
        found.setdefault(trace_id, set()).update(services)
    return {trace_id: tuple(sorted(services)) for trace_id, services in found.items()}


def get_source_stats(client: Client, database: str, now_ns: int) -> list[SourceStat]:
    """Return what each source has delivered, the most recently heard of first, others last."""
    since_s = max(now_ns // NS_PER_S - _LAG_WINDOW_S, 0)
    others = [
        SourceStat(stream, OTHERS, rows, first_ns, last_ns, received_ns, 0, 0, 0, names=names)
        for stream, names, rows, first_ns, last_ns, received_ns in ask(
            client, "get_other_sources", database=database, each=_MAX_SOURCES
        )
    ]
    rows = ask(
        client,
        "get_source_stats",
        frozenset({"cut"} if others else ()),
        database=database,
        lag_since_s=since_s,
        each=_MAX_SOURCES,
    )
    return [SourceStat(*row[:6], *(_whole(lag) for lag in row[6])) for row in rows] + others


def get_join_coverage(
    client: Client, database: str, wanted: RequestFilter, requests: int
) -> Mapping[tuple[str, str], float]:
    """Return the share of joined ones among the records that fit, by (gateway, API)."""
    most = hash_bound(_SAMPLE, requests)
    given = filter_parameters(wanted)
    sample = ask(
        client,
        "sample_records",
        find_span_part(client, database, given["start_ns"], given["end_ns"]),
        database=database,
        most=most,
        each=_SAMPLE_OF_API,
        limit=_SAMPLE,
        **given,
    )
    newest: dict[tuple[str, str], _Sampled] = {}
    for gateway, record_id, *facts in sample:
        newest.setdefault((gateway, record_id), _Sampled(gateway, *facts))
    drawn = ask(
        client,
        "find_traces_drawn",
        database=database,
        start_ns=given["start_ns"],
        end_ns=given["end_ns"],
        most=most,
        limit=_MAX_DRAWN,
    )
    return _joined_shares(client, database, list(newest.values()), {each for (each,) in drawn})


@dataclass(frozen=True, slots=True)
class _Sampled:
    """
    A record whose join is looked up: by ids that may be a trace's, and the forms of request ids.

    `own_trace` is the trace that the record itself was made of.
    """

    gateway: str
    api: str
    own_trace: str
    trace_ids: Sequence[str]
    request_keys: Sequence[str]


def _joined_shares(
    client: Client, database: str, sample: Sequence[_Sampled], drawn: set[str]
) -> Mapping[tuple[str, str], float]:
    joined = _find_joined(client, database, sample, drawn)
    of_spans = {record.own_trace for record in sample} - {""}
    beyond = {
        trace.trace_id
        for trace in get_trace_summaries(client, database, of_spans)
        if has_spans_beyond_gateway(trace.services)
    }
    seen: Counter[tuple[str, str]] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for record, is_joined in zip(sample, joined, strict=True):
        seen[record.gateway, record.api] += 1
        is_alone = bool(record.own_trace) and record.own_trace not in beyond
        found[record.gateway, record.api] += is_joined and not is_alone
    return {key: found[key] / count for key, count in seen.items()}


def _find_joined(
    client: Client, database: str, sample: Sequence[_Sampled], drawn: set[str]
) -> list[bool]:
    """
    Tell of each record whether it has spans, by one of its ids.

    Most have a trace that was *drawn* with them; the others' are looked for wherever they may be.
    """
    traces = set(drawn)
    rest = [each for each in sample if traces.isdisjoint(each.trace_ids)]
    requests: set[str] = set()
    # some chunks of both kinds at once, as many as the longer list has
    wanted = [
        in_chunks(sorted({key for each in rest for key in each.trace_ids})),
        in_chunks(sorted({key for each in rest for key in each.request_keys})),
    ]
    none: list[str] = []
    for some, others in zip_longest(*wanted, fillvalue=none):
        for kind, key in ask(
            client, "find_joined", database=database, trace_ids=some, request_keys=others
        ):
            (traces if kind == "trace" else requests).add(key)
    return [
        not (traces.isdisjoint(each.trace_ids) and requests.isdisjoint(each.request_keys))
        for each in sample
    ]


def has_spans_beyond_gateway(services: Sequence[str]) -> bool:
    """Tell whether a trace of *services* has more than the spans that a record was made of."""
    return len(services) > 1


def _summary(row: tuple[Any, ...], buckets: Sequence[int]) -> TraceSummary:
    trace_id, start_ns, end_ns, spans, errors, services, edge, *times = row
    edge_start_ns, edge_duration_ns, received_ns = times
    return TraceSummary(
        trace_id=trace_id,
        start_ns=start_ns,
        end_ns=end_ns,
        spans=spans,
        errors=errors,
        services=tuple(services),
        edge_span_id=edge["span_id"],
        edge_name=edge["name"],
        edge_start_ns=edge_start_ns,
        edge_duration_ns=edge_duration_ns,
        edge_is_error=bool(edge["is_error"]),
        method=edge["method"],
        host=edge["host"],
        path=edge["path"],
        route=edge["route"],
        status=edge["status"] or None,
        request_key=edge["request_key"],
        received_ns=received_ns,
        buckets=buckets,
    )


def _whole(value: float) -> int:
    return int(value) if isfinite(value) else 0
