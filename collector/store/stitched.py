"""
Stitched requests as rows: written by background stitching, read by the questions about many.

In: `StitchedRequest`, one a request. Out: rows of the table `request`, which is what the views
`requests` and `hops` show. A request that is written again replaces what was written before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from operator import attrgetter
from typing import Any

from clickhouse_connect.driver import Client

from collector.store.reads import BUCKET_S, ask, in_chunks
from collector.timestamps import NS_PER_S

_MAX_ARRIVALS = 20_000
_MAX_BOUNDS = 5_000


# not frozen: to fill their fields took a quarter of the time in which these are made
@dataclass(slots=True, kw_only=True)
class StitchedHop:
    """
    One hop, as `timeline.Hop` has it, with where it ran.

    `parent` is the index of the calling hop (-1: none), `caller` its service. `upstream` is the
    host that was called, as the caller's proxy or client saw it; `flags` are response flags.
    """

    role: str
    service: str
    operation: str
    caller: str
    parent: int
    pod: str
    node: str
    zone: str
    version: str
    upstream: str
    start_offset_ns: int
    duration_ns: int | None
    self_ns: int | None
    critical_ns: int
    proxy_ns: int
    attempt: int
    attempts: int
    status: str
    is_error: bool
    flags: Sequence[str]
    is_inferred: bool
    is_mirrored: bool
    is_async: bool


@dataclass(slots=True, kw_only=True)
class StitchedRequest:
    """
    One request. Field by field a column of `request`; "" and `None` are what nobody says.

    `weight` is how many requests like it this one stands for, of which `record_weight` is what its
    gateway's log accounts for. `stratum` is why it was taken: `failed`, `slow` or `rest`. `place`
    is the hash by which the rest is drawn. `origin` is what it is known from: `record`, `trace` or
    `log`. The times from `client_ns` to `unexplained_ns` are the phases of its timeline, and add up
    to `duration_ns`. A connection that stays open has `open_ns` instead of all these: how long it
    did. `received_ns`: what had arrived until then is in.
    """

    request_id: str
    place: int
    weight: int
    record_weight: float
    stratum: str
    origin: str
    is_probe: bool
    start_ns: int
    duration_ns: int | None
    open_ns: int | None = None
    trace_id: str
    gateway: str
    instance: str
    api: str
    api_revision: str
    operation: str
    product: str
    consumer: str
    client: str
    region: str
    method: str
    host: str
    route: str
    path: str
    status: int | None
    is_error: bool
    error_reason: str
    cache: str
    policies: Sequence[str]
    backend_host: str
    backend_status: int | None
    backend_ns: int | None
    request_bytes: int | None
    response_bytes: int | None
    quality: Sequence[str]
    client_ns: int | None
    gateway_ns: int | None
    cache_ns: int | None
    network_ns: int | None
    edge_proxy_ns: int | None
    mesh_proxy_ns: int | None
    app_ns: int | None
    dependency_ns: int | None
    unexplained_ns: int | None
    verdict_layer: str
    verdict_component: str
    verdict_class: str
    verdict_confidence: float
    outcome: str
    state: str
    is_joined: bool | None
    join_tier: int | None
    join_confidence: float | None
    services: Sequence[str]
    retries: int
    flags: Sequence[str]
    received_ns: int
    tenant: str
    hops: Sequence[StitchedHop]

    @property
    def key(self) -> tuple[str, str]:
        return self.gateway, self.request_id


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    A gateway record (`record_id`), or a trace (`record_id` is ""), of which something arrived.

    `api` is the edge service of a trace. `place` is a hash of 64 bits: a record's is that of the
    trace that it names.
    """

    gateway: str
    record_id: str
    trace_id: str
    api: str
    start_ns: int
    duration_ns: int | None
    is_failed: bool
    place: int
    received_ns: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrived up to `until_ns`, records and traces."""

    records: Sequence[Arrival]
    traces: Sequence[Arrival]
    until_ns: int


@dataclass(frozen=True, slots=True)
class StitchedKey:
    """
    A request that was written before.

    `likely` is the confidence of a join that likelihood alone made, 0 of any other.
    """

    bucket_s: int
    request_id: str
    gateway: str
    trace_id: str
    weight: int
    record_weight: float
    stratum: str
    place: int
    start_ns: int
    likely: float = 0.0

    @property
    def one_of(self) -> int:
        """Return of how many records like its own this one was drawn."""
        return max(round(self.weight / self.record_weight), 1)


_HASHES = 1 << 64
# On a cluster a row is on its shard when the insert returns; one node passes over the setting.
_SYNC = {"distributed_foreground_insert": 1}
_PLAIN = tuple(field.name for field in fields(StitchedRequest) if field.name != "hops")
_OF_HOP = tuple(field.name for field in fields(StitchedHop))
_plain_values = attrgetter(*_PLAIN)
_hop_values = attrgetter(*_OF_HOP)
_NO_HOPS: tuple[Sequence[Any], ...] = ((),) * len(_OF_HOP)
_COLUMNS = ("bucket", "revision", "is_gone", *_PLAIN, *(f"hop.{name}" for name in _OF_HOP))
_KEY_COLUMNS = ("bucket", "place", "request_id", "revision", "is_gone")


def bucket_of(moment_ns: int) -> int:
    """Return the first second of the five minutes that a request is kept in."""
    return moment_ns // NS_PER_S // BUCKET_S * BUCKET_S


def write_requests(
    client: Client, database: str, requests: Sequence[StitchedRequest], revision: int
) -> None:
    """Write requests; of two revisions of one the greater counts."""
    if not requests:
        return
    hops = [tuple(zip(*map(_hop_values, each.hops), strict=True)) or _NO_HOPS for each in requests]
    columns: list[Sequence[Any]] = [
        [bucket_of(each.start_ns) for each in requests],
        [revision] * len(requests),
        [0] * len(requests),
        *zip(*map(_plain_values, requests), strict=True),
        *zip(*hops, strict=True),
    ]
    client.insert(
        f"{database}.request",
        columns,
        column_names=_COLUMNS,
        column_oriented=True,
        settings=_SYNC,
    )


def forget_requests(
    client: Client, database: str, keys: Iterable[StitchedKey], revision: int
) -> None:
    """Take requests back that are known under another id now."""
    rows = [[each.bucket_s, each.place, each.request_id, revision, 1] for each in keys]
    if rows:
        client.insert(f"{database}.request", rows, column_names=_KEY_COLUMNS, settings=_SYNC)


def find_arrivals(client: Client, database: str, after_ns: int, until_ns: int) -> Arrivals:
    """
    Return what arrived after *after_ns* and until *until_ns*, or until a moment before it.

    Of many arrivals the earliest are returned, and `until_ns` says how far they reach.
    """
    given: dict[str, Any] = {"database": database, "after_ns": after_ns}
    found = ask(client, "find_arrived_records", until_ns=until_ns, limit=_MAX_ARRIVALS, **given)
    if len(found) >= _MAX_ARRIVALS:
        until_ns = found[-1][-1]
    # traces are cut before they are put together: those of ten minutes may have no room in memory
    end = ask(client, "find_arrivals_end", until_ns=until_ns, skipped=_MAX_ARRIVALS - 1, **given)
    if end:
        ((until_ns,),) = end
    records = [
        Arrival(
            gateway=gateway,
            record_id=record_id,
            trace_id=trace_id,
            api=api,
            start_ns=start_ns,
            duration_ns=duration_ns,
            is_failed=bool(is_failed),
            place=place,
            received_ns=received_ns,
            source=source,
        )
        for gateway, record_id, trace_id, source, api, start_ns, duration_ns, is_failed, place,
            received_ns in found
        if received_ns <= until_ns
    ]  # fmt: skip
    traces = [
        Arrival("", "", trace_id, service, start_ns, duration_ns, bool(is_failed), place, at_ns)
        for trace_id, service, start_ns, duration_ns, is_failed, place, at_ns
        in ask(client, "find_arrived_traces", until_ns=until_ns, **given)
    ]  # fmt: skip
    return Arrivals(records, traces, until_ns)


def find_stitched(
    client: Client,
    database: str,
    trace_ids: Iterable[str],
    request_ids: Iterable[str],
    buckets: Iterable[int],
) -> list[StitchedKey]:
    """Return the requests of some traces or ids that were written before, in some five minutes."""
    traces, requests = sorted(set(trace_ids) - {""}), sorted(set(request_ids) - {""})
    wanted = sorted(set(buckets))
    found: dict[StitchedKey, None] = {}
    none: list[str] = []
    for some, others in zip_longest(in_chunks(traces), in_chunks(requests), fillvalue=none):
        rows = ask(
            client,
            "find_stitched",
            database=database,
            buckets=wanted,
            trace_ids=some,
            request_ids=others,
        )
        found |= dict.fromkeys(StitchedKey(*row) for row in rows)
    return list(found)


def find_slow_bounds(
    client: Client, database: str, start_ns: int, end_ns: int
) -> dict[tuple[str, str], int]:
    """Return the 95th percentile of each (gateway, API), and of each ("", edge service)."""
    rows = ask(
        client,
        "find_slow_bounds",
        database=database,
        start_ns=start_ns,
        end_ns=end_ns,
        limit=_MAX_BOUNDS,
    )
    return {(gateway, api): int(p95) for gateway, api, p95, measured in rows if measured >= 20}


def draw_again(
    rows: Sequence[tuple[Any, ...]], limit: int, below: int = _HASHES
) -> list[tuple[tuple[Any, ...], float]]:
    """
    Return about *limit* of some rows with what each stands for, drawn by hash.

    *rows* begin with place, `record_weight`; `weight` is the fourth. They are all those with a
    place below *below*, by place, or the first of them if there are more than *limit*.

    A row that was drawn by its hash before was there with the chance of the smaller bound: one that
    stands for a hundred is not drawn a second time where one that stands for itself is.
    """
    taken = rows
    if len(rows) > limit:
        below = rows[limit][0]
        taken = [row for row in rows if row[0] < below]
        if not taken:
            # more of one trace than there is room for
            taken, below = rows[:limit], below + 1
    one_of = _HASHES / below
    return [(row, row[1] * max(row[3] / row[1], one_of)) for row in taken]


def get_progress(client: Client, database: str, name: str) -> int:
    """Return how far the work *name* has come, 0 when it never began."""
    rows = ask(client, "get_progress", database=database, work=name)
    return int(rows[0][0]) if rows else 0


def set_progress(client: Client, database: str, name: str, moment_ns: int) -> None:
    """Say how far the work *name* has come: further than before."""
    client.insert(
        f"{database}.progress",
        [[name, moment_ns, 0, moment_ns]],
        column_names=("name", "revision", "is_gone", "moment_ns"),
        settings=_SYNC,
    )
