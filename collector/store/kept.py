"""
Spans and logs that are kept when the others are gone: a copy in tables of their own.

They are found by trace id like all others (`reads`), which says where only the copy is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clickhouse_connect.driver import Client

from collector.retention import MAX_DAYS
from collector.settings import Retention, outlives
from collector.store.reads import ask, locate_traces, trace_keys
from collector.store.rendering import read_query
from collector.timestamps import NS_PER_S

# The tables that are filled by copying in the engine.
COPIES = frozenset(("otel_traces_kept", "otel_logs_kept"))
# Of requests that are neither slow nor failed one in so many is kept, drawn by hash.
KEPT_ONE_OF = 100
_MAX_TRACES = 20_000
# On a cluster a copy is on its shard when the statement returns.
_SYNC = {"distributed_foreground_insert": 1}


@dataclass(frozen=True, slots=True)
class WorthKeeping:
    """The traces of requests in five minutes from `start_ns` on to keep, each with its API."""

    start_ns: int
    apis: Mapping[str, str]


def find_worth_keeping(
    client: Client, database: str, kept: Retention, start_ns: int, end_ns: int
) -> WorthKeeping | None:
    """
    Return those of the first five minutes in [start_ns, end_ns) that have any.

    A trace of several requests has the API for which it is kept the longest.
    """
    days = dict(kept.api_kept_days)
    is_usual = outlives(kept.kept_days, kept.span_days)
    rows = ask(
        client,
        "find_worth_keeping",
        database=database,
        from_s=start_ns // NS_PER_S,
        to_s=end_ns // NS_PER_S,
        rest_below=(1 << 64) // KEPT_ONE_OF,
        apis=[api for api, each in days.items() if outlives(each, kept.span_days) != is_usual],
        is_listed=not is_usual,
        limit=_MAX_TRACES,
    )
    if not rows:
        return None
    rows.sort(key=lambda row: days.get(row[2], kept.kept_days) or MAX_DAYS)
    return WorthKeeping(rows[0][0] * NS_PER_S, {trace_id: api for _, trace_id, api in rows})


def keep_traces(
    client: Client, database: str, apis: Mapping[str, str], late_ns: int | None = None
) -> int:
    """
    Copy the spans and logs of traces to where they are kept; return of how many.

    Those with a copy are left out: called again after a failure it copies what is missing. With
    *late_ns* what came after that moment is copied of them too, if spans did. The logs go first,
    for it is by its spans that a trace is known to be kept.
    """
    places = locate_traces(client, database, list(apis))
    since = {trace_id: 0 for trace_id, at in places.items() if not at.is_kept}
    if late_ns is not None:
        since |= {
            trace_id: late_ns
            for trace_id, at in places.items()
            if at.is_kept and at.received_s > late_ns // NS_PER_S
        }
    if since:
        keys, long_ids = trace_keys({trace_id: places[trace_id] for trace_id in since})
        given = {
            "database": database,
            "trace_ids": list(since),
            "since_ns": list(since.values()),
            "apis": [apis[trace_id] for trace_id in since],
            "keys": keys,
            "long_ids": long_ids,
        }
        for name in ("keep_logs", "keep_spans"):
            client.command(read_query(name), parameters=given, settings=_SYNC)
    return len(since)
