"""
What the requests of a range add up to: by API and other fields, by service, and by call.

Counts and percentiles of APIs come from every gateway record of the range. What only stitching
tells comes from `request`, in which each row stands for so many requests as its weight says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from clickhouse_connect.driver import Client

from collector.store.hours import find_record_hours
from collector.store.reads import ask
from collector.store.rows import RequestFilter
from collector.store.sampling import hash_bound
from collector.store.stitched import draw_again
from collector.timestamps import NS_PER_DAY

GROUP_FIELDS: Mapping[str, str] = {
    "operation": "operation",
    "route": "route",
    "consumer": "consumer",
    "product": "product",
    "revision": "api_revision",
    "region": "region",
    "method": "method",
    "host": "host",
    "status": "status",
    "cache": "cache",
    "instance": "instance",
    "backend_host": "backend_host",
    "error_reason": "error_reason",
}
"""What requests can be grouped by beside gateway and API: its name, and its column."""
MOST_GROUP_FIELDS = 3
# In the order of queries/get_group_stats.sql.
_LEVELS = (
    0.5, 0.95, 0.99, 0.3, 0.4, 0.45, 0.475, 0.525, 0.55, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.91, 0.92,
    0.93, 0.94, 0.96, 0.97, 0.98, 1.0,
)  # fmt: skip
_PHASES = ("client", "gateway", "network", "mesh", "application", "dependency", "unexplained")
MAX_GROUPS = 1_000
MAX_SERVICES = 2_000
MAX_EDGES = 5_000
"""So many are worth listing; one more is returned where there are more."""
# Those with the most requests, which are listed, need not be those with the most stitched ones.
_MAX_SHARES = 10 * MAX_GROUPS
GroupKey = tuple[str, str, tuple[str, ...]]
"""Gateway, API, and the values of what was grouped by."""


@dataclass(frozen=True, slots=True)
class SeriesStat:
    """Requests and errors of one group by columns of equal length of a range."""

    gateway: str
    api: str
    values: tuple[str, ...]
    requests: tuple[float, ...]
    errors: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStat:
    """
    The requests of one API of one gateway in a range, or of a part of them.

    `effective` is how many requests of equal weight tell as much, `measured` how many durations the
    percentiles rest on; `quantiles_ns` has more of them than are shown, none where none was
    measured. `refused` are answers of 4xx, `open` connections whose time is no answer's.
    """

    gateway: str
    api: str
    values: tuple[str, ...]
    requests: float
    effective: float
    errors: float
    refused: float
    measured: int
    quantiles_ns: Mapping[float, int]
    open: float = 0.0

    @property
    def key(self) -> GroupKey:
        return self.gateway, self.api, self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareStat:
    """
    What stitching knows of the same requests.

    `known` of them have a way that is known: joined, or answered by the gateway. `shares` are the
    parts of their time by phase, which sum to 1. `joined` is the share of those with spans among
    those that left the gateway. `failed_first` counts errors by the layer that failed first.
    """

    stitched: int
    known: int
    joined: float | None
    shares: Mapping[str, float]
    failed_first: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStat:
    """
    What a service did in a range. Times are of a visit; `seen` are the visits they rest on.

    `critical_ns`, `proxied_ns` and `total_ns` are sums over all visits.
    """

    service: str
    role: str
    seen: int
    requests: int
    visits: int
    errors: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    self_p50_ns: int | None
    self_p95_ns: int | None
    critical_ns: int
    proxied_ns: int
    total_ns: int
    retries: int
    is_inferred: bool
    pods: Sequence[str]
    nodes: Sequence[str]
    zones: Sequence[str]
    versions: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeStat:
    """
    The calls of one service by another in a range; those of a gateway by API and operation if
    asked for. `seen` are the calls that the numbers rest on; `mirrored` of the calls were copies.
    """

    caller: str
    callee: str
    api: str
    operation: str
    seen: int
    calls: int
    errors: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    proxied_ns: int
    total_ns: int
    retries: int
    is_inferred: bool
    is_async: bool
    is_mirrored: bool
    mirrored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchedCount:
    """
    How many stitched requests fit a filter, and for how many they stand.

    `recorded` of those have gateway records, `open` stay open: they have no time of an answer.
    """

    stitched: int
    requests: int
    errors: int
    measured: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    recorded: int
    open: int = 0


@dataclass(frozen=True, slots=True)
class ObservedHop:
    """A hop of an observed request; empty texts are what nobody says."""

    role: str
    service: str
    operation: str
    pod: str
    node: str
    zone: str
    version: str
    upstream: str
    critical_ns: int
    flags: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRequest:
    """A stitched request with what it has: `fields` by column, its phases in ns, its hops."""

    id: str
    weight: float
    duration_ns: int
    is_error: bool
    is_joined: bool | None
    fields: Mapping[str, Any]
    phases_ns: Mapping[str, int | None]
    hops: Sequence[ObservedHop]


def get_group_stats(
    client: Client, database: str, wanted: RequestFilter, fields: Sequence[str] = ()
) -> list[GroupStat]:
    """Return what the gateway records that fit add up to, the busiest groups first."""
    parts, given = _choose_hours(client, database, wanted, fields)
    rows = ask(
        client,
        "get_group_stats",
        _grouped(fields) | parts | {"each"},
        database=database,
        limit=MAX_GROUPS + 1,
        **_columns(fields),
        **given,
    )
    return [_group(row, len(fields)) for row in rows]


def get_whole_stat(client: Client, database: str, wanted: RequestFilter) -> GroupStat:
    """Return what all gateway records that fit add up to, of whatever API."""
    parts, given = _choose_hours(client, database, wanted)
    return _group(ask(client, "get_group_stats", parts, database=database, limit=1, **given)[0], 0)


def _choose_hours(
    client: Client, database: str, wanted: RequestFilter, fields: Sequence[str] = ()
) -> tuple[frozenset[str], dict[str, Any]]:
    """
    Return the parts and parameters of a statement that reads summed up hours where it can.

    They tell APIs apart and nothing else, and serve for whole hours.
    """
    given = filter_parameters(wanted)
    hours = find_record_hours(client, database, given["start_ns"], given["end_ns"])
    parts = {"spans"} if any(each.is_near_spans for each in hours) else set()
    plain = RequestFilter(
        start_ns=wanted.start_ns, end_ns=wanted.end_ns, gateway=wanted.gateway, api=wanted.api
    )
    summed = [
        each
        for each in hours
        if each.is_summed and given["start_ns"] <= each.start_ns and each.end_ns <= given["end_ns"]
    ]
    if summed and not fields and given == filter_parameters(plain):
        parts.add("hours")
        given["hours"] = [each.number for each in summed]
        given["summed"] = [(each.number, each.revision) for each in summed]
    return frozenset(parts), given


def _group(row: tuple[Any, ...], fields: int) -> GroupStat:
    gateway, api, values, requests, effective, errors, refused, measured, open_, durations = row
    return GroupStat(
        gateway=gateway,
        api=api,
        values=tuple(values[:fields]),
        requests=requests,
        effective=effective if isfinite(effective) else 0.0,
        errors=errors,
        refused=refused,
        measured=measured,
        open=open_,
        quantiles_ns={
            level: int(value)
            for level, value in zip(_LEVELS, durations, strict=True)
            if isfinite(value)
        },
    )


def get_heat(
    client: Client, database: str, wanted: RequestFilter, columns: int
) -> list[tuple[int, int, float, float]]:
    """
    Return how many gateway records that fit took how long when: column, row, requests, errors.

    The range has so many columns of equal length; row *r* begins at 2^(r/2) ns.
    """
    given = filter_parameters(wanted)
    rows = ask(client, "get_heat", database=database, columns=columns, **given)
    return [(int(at), int(row), requests, errors) for at, row, requests, errors in rows]


def get_series(
    client: Client, database: str, wanted: RequestFilter, fields: Sequence[str] = ()
) -> list[SeriesStat]:
    """Return how many gateway records that fit each group had when, the busiest first."""
    rows = ask(
        client,
        "get_series",
        _grouped(fields),
        database=database,
        limit=MAX_GROUPS,
        **_columns(fields),
        **filter_parameters(wanted),
    )
    return [
        SeriesStat(gateway, api, tuple(values[: len(fields)]), tuple(requests), tuple(errors))
        for gateway, api, values, requests, errors in rows
    ]


def get_share_stats(
    client: Client, database: str, wanted: RequestFilter, fields: Sequence[str] = ()
) -> dict[GroupKey, ShareStat]:
    """Return what stitching knows of each group of requests with gateway records."""
    rows = ask(
        client,
        "get_share_stats",
        _grouped(fields),
        database=database,
        limit=_MAX_SHARES,
        **_columns(fields),
        **filter_parameters(wanted),
    )
    found = {}
    for gateway, api, values, stitched, known, joined, departed, total, times, layers in rows:
        shares = {
            name: (time or 0) / total for name, time in zip(_PHASES, times, strict=True) if total
        }
        found[gateway, api, tuple(values[: len(fields)])] = ShareStat(
            stitched=stitched,
            known=known,
            joined=(joined or 0) / departed if departed else None,
            shares=shares,
            failed_first=dict(zip(*layers, strict=True)),
        )
    return found


def get_service_stats(client: Client, database: str, wanted: RequestFilter) -> list[ServiceStat]:
    """Return what each service did in the requests that fit, the busiest first."""
    rows = ask(
        client,
        "get_service_stats",
        database=database,
        limit=MAX_SERVICES + 1,
        **filter_parameters(wanted),
    )
    return [
        ServiceStat(
            service=row[0],
            role=row[1],
            seen=row[2],
            requests=row[3],
            visits=row[4],
            errors=row[5],
            **percentiles(row[6]),
            self_p50_ns=_whole(row[7][0]),
            self_p95_ns=_whole(row[7][1]),
            critical_ns=row[8],
            proxied_ns=row[9],
            total_ns=row[10] or 0,
            retries=row[11],
            is_inferred=bool(row[12]),
            pods=row[13],
            nodes=row[14],
            zones=row[15],
            versions=row[16],
        )
        for row in rows
    ]


def get_edge_stats(
    client: Client, database: str, wanted: RequestFilter, *, by_operation: bool = False
) -> list[EdgeStat]:
    """Return who called whom in the requests that fit, the busiest first."""
    rows = ask(
        client,
        "get_edge_stats",
        database=database,
        limit=MAX_EDGES + 1,
        by_operation=by_operation,
        **filter_parameters(wanted),
    )
    return [
        EdgeStat(
            caller=row[0],
            callee=row[1],
            api=row[2],
            operation=row[3],
            seen=row[4],
            calls=row[5],
            errors=row[6],
            **percentiles(row[7]),
            proxied_ns=row[8],
            total_ns=row[9] or 0,
            retries=row[10],
            is_inferred=bool(row[11]),
            is_async=bool(row[12]),
            is_mirrored=bool(row[13]),
            mirrored=row[14],
        )
        for row in rows
    ]


def count_stitched(client: Client, database: str, wanted: RequestFilter) -> StitchedCount:
    """Return how many stitched requests fit, and what they stand for."""
    row = ask(client, "count_stitched", database=database, **filter_parameters(wanted))[0]
    stitched, requests, errors, measured, durations, recorded, open_ = row
    return StitchedCount(
        stitched=stitched,
        requests=requests,
        errors=errors,
        measured=measured,
        **percentiles(durations),
        recorded=recorded,
        open=open_,
    )


def count_bad(
    client: Client,
    database: str,
    wanted: RequestFilter,
    since_ns: Sequence[int],
    good_within_ns: int | None,
) -> list[tuple[float, float]]:
    """
    Return how many requests fit since each of some moments, and how many of those were bad.

    Bad ones failed or took longer than *good_within_ns*. Gateway records are counted, or, if a
    service is asked for, what the stitched requests that it served in stand for.
    """
    parts = frozenset({"stitched"} if wanted.service else ())
    counts = ask(
        client,
        "count_bad",
        parts,
        database=database,
        since_ns=list(since_ns),
        good_within_ns=_number(good_within_ns),
        **filter_parameters(wanted),
    )[0]
    # nothing sums up to no sums
    requests, bad = ([*sums, *([0.0] * len(since_ns))] for sums in counts)
    return [(requests[at], bad[at]) for at in range(len(since_ns))]


def find_observed(
    client: Client, database: str, wanted: RequestFilter, limit: int, *, among: int
) -> list[ObservedRequest]:
    """
    Return at most *limit* of the stitched requests that fit, drawn by hash; *among* so many.

    A longer answer holds the shorter one. Each stands for as many as were not drawn in its place.
    """
    most = hash_bound(limit * 2, among)
    given = filter_parameters(wanted)
    rows = ask(client, "find_observed", database=database, most=most, limit=limit + 1, **given)
    return [_observed(row[2:], weight) for row, weight in draw_again(rows, limit, most + 1)]


_OBSERVED_FIELDS = (
    "gateway", "instance", "api", "api_revision", "operation", "product", "consumer", "client",
    "region", "method", "host", "status", "cache", "policies", "backend_host", "error_reason",
    "request_bytes", "response_bytes", "flags", "retries",
)  # fmt: skip
_OBSERVED_PHASES = (
    "client", "gateway", "cache", "network", "edge_proxy", "mesh_proxy", "app", "dependency",
    "unexplained",
)  # fmt: skip


def _observed(row: tuple[Any, ...], weight: float) -> ObservedRequest:
    fields_end = 5 + len(_OBSERVED_FIELDS)
    phases_end = fields_end + len(_OBSERVED_PHASES)
    return ObservedRequest(
        id=row[0],
        weight=weight,
        duration_ns=row[2],
        is_error=row[3],
        is_joined=row[4],
        fields=dict(zip(_OBSERVED_FIELDS, row[5:fields_end], strict=True)),
        phases_ns=dict(zip(_OBSERVED_PHASES, row[fields_end:phases_end], strict=True)),
        hops=[ObservedHop(*hop) for hop in zip(*row[phases_end:], strict=True)],
    )


def _grouped(fields: Sequence[str]) -> frozenset[str]:
    return frozenset({"grouped"} if fields else ())


def _columns(fields: Sequence[str]) -> dict[str, str]:
    if not fields:
        return {}
    columns = [GROUP_FIELDS[field] for field in fields]
    columns += columns[:1] * (MOST_GROUP_FIELDS - len(columns))
    return dict(zip(("first", "second", "third"), columns, strict=True))


def filter_parameters(wanted: RequestFilter) -> dict[str, Any]:
    """Return the filter as queries read it. Those without a service do not ask for one."""
    return {
        # five-minute buckets are counted from 1970
        "start_ns": max(wanted.start_ns, NS_PER_DAY),
        "end_ns": max(min(wanted.end_ns, 4_000_000_000_000_000_000), NS_PER_DAY),
        "gateway": wanted.gateway,
        "api": wanted.api,
        "operation": wanted.operation,
        "route": wanted.route,
        "method": wanted.method,
        "host": wanted.host,
        "consumer": wanted.consumer,
        "revision": wanted.revision,
        "service": wanted.service,
        "status": _number(wanted.status),
        "status_class": _number(wanted.status_class),
        "is_error": _number(wanted.is_error),
        "min_duration_ns": _number(wanted.min_duration_ns),
        "max_duration_ns": _number(wanted.max_duration_ns),
    }


def _number(value: int | None) -> int:
    return -1 if value is None else int(value)


def percentiles(values: Sequence[float]) -> dict[str, int | None]:
    """Return the median and the 95th and 99th percentile, `None` for those of no values."""
    names = ("p50_ns", "p95_ns", "p99_ns")
    return {name: _whole(value) for name, value in zip(names, values, strict=True)}


def _whole(value: float) -> int | None:
    # of no values a quantile is NaN
    return int(value) if isfinite(value) else None
