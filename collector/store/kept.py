"""
Spans and logs that are kept for as long as records: a copy in tables of their own.

They are found by trace id like all others (`reads`), which says where only the copy is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clickhouse_connect.driver import Client

from collector.store.reads import ask, locate_traces, trace_keys
from collector.store.rendering import read_query
from collector.timestamps import NS_PER_S

# Of requests that are neither slow nor failed one in so many is kept, drawn by hash.
KEPT_ONE_OF = 100
_MAX_TRACES = 20_000
# On a cluster a copy is on its shard when the statement returns.
_SYNC = {"distributed_foreground_insert": 1}


@dataclass(frozen=True, slots=True)
class WorthKeeping:
    """The traces of requests in five minutes from `start_ns` on that are worth keeping."""

    start_ns: int
    trace_ids: Sequence[str]


def find_worth_keeping(
    client: Client, database: str, start_ns: int, end_ns: int
) -> WorthKeeping | None:
    """Return those of the first five minutes in [start_ns, end_ns) that have any."""
    rows = ask(
        client,
        "find_worth_keeping",
        database=database,
        from_s=start_ns // NS_PER_S,
        to_s=end_ns // NS_PER_S,
        rest_below=(1 << 64) // KEPT_ONE_OF,
        limit=_MAX_TRACES,
    )
    if not rows:
        return None
    return WorthKeeping(rows[0][0] * NS_PER_S, [trace_id for _, trace_id in rows])


def keep_traces(client: Client, database: str, trace_ids: Sequence[str]) -> int:
    """
    Copy the spans and logs of traces to where they are kept; return of how many.

    Those with a copy are left out: called again after a failure it copies what is missing. The
    logs go first, for it is by its spans that a trace is known to be kept.
    """
    places = locate_traces(client, database, trace_ids)
    new = {trace_id: at for trace_id, at in places.items() if not at.is_kept}
    if new:
        keys, long_ids = trace_keys(new)
        given = {"database": database, "trace_ids": list(new), "keys": keys, "long_ids": long_ids}
        for name in ("keep_logs", "keep_spans"):
            client.command(read_query(name), parameters=given, settings=_SYNC)
    return len(new)
