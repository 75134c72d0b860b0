"""
The map: what each service does, and who calls whom.

In: a range and filters as text. Out: `Services` and `Edges`, from all stitched requests of the
range, each weighed by how many it stands for. Gateways are nodes like services, their operations as
well if asked for; services that send no spans are known from their callers, and say so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.answers import Answer, Duration, MaybeText
from collector.clock import Clock
from collector.query.reports.logged import LoggedReport, report_logged
from collector.query.reports.wanted import (
    NOT_STITCHED,
    STITCHED_FILTERS,
    Basis,
    join_notes,
    names_of,
    range_of,
    ratio,
    read_filter,
    tell_cut,
)
from collector.query.results import TimeRange
from collector.query.search.filters import Parameter, collect_pairs, read_boolean
from collector.store import (
    MAX_EDGES,
    MAX_GROUPS,
    MAX_SERVICES,
    EdgeStat,
    GroupStat,
    RequestFilter,
    ServiceStat,
    Store,
)
from collector.timestamps import NS_PER_S

EDGES_PARAMETERS = (
    *STITCHED_FILTERS,
    Parameter(
        "operations",
        "`true`: the operations of gateways are nodes between them and the services they call.",
        {"type": "boolean", "default": False},
        True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """
    What one service did. A request may visit it several times: times and errors are of visits.

    `self_*` is a visit's time without the calls below it. `critical_ns` is the time a request in
    which the service alone held up the answer, on average; `proxy_share` the part of its visits
    that its proxies took. `seen` visits are what the numbers rest on. `is_inferred`: it sent no
    span itself. Of pods, nodes, zones and versions 20 at most are named.
    """

    service: str
    role: str
    requests: int
    requests_per_s: float
    visits: int
    errors: int
    error_ratio: float
    p50_ns: Duration | None
    p95_ns: Duration | None
    p99_ns: Duration | None
    self_p50_ns: Duration | None
    self_p95_ns: Duration | None
    critical_ns: Duration
    proxy_share: float | None
    retries: int
    is_inferred: bool
    pods: tuple[str, ...]
    nodes: tuple[str, ...]
    zones: tuple[str, ...]
    versions: tuple[str, ...]
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Answer):
    """
    The services of a range, the busiest first.

    `logged_only` are requests that only access logs tell of, by each service that logged a line.
    """

    services: tuple[ServiceReport, ...]
    logged_only: tuple[LoggedReport, ...]
    range: TimeRange
    basis: Basis
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """
    A node of the map: a gateway, one of its operations, a service, or something that is called.

    `api` and `operation` are those of a node whose role is `operation`.
    """

    name: str
    role: str
    api: MaybeText
    operation: MaybeText
    requests: int
    requests_per_s: float
    errors: int
    error_ratio: float
    p50_ns: Duration | None
    p95_ns: Duration | None
    is_inferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeReport:
    """
    The calls of one node by another, times as the called one took them; tries count each.

    `proxy_ns` is what proxies took of a call on average, `proxy_share` that part of all calls'
    time, `None` where nothing was measured. `seen` calls are what the numbers rest on.
    """

    caller: str
    callee: str
    calls: int
    calls_per_s: float
    errors: int
    error_ratio: float
    p50_ns: Duration | None
    p95_ns: Duration | None
    p99_ns: Duration | None
    proxy_ns: Duration | None
    proxy_share: float | None
    retries: int
    retry_ratio: float
    is_inferred: bool
    is_async: bool
    is_mirrored: bool
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges(Answer):
    """Who calls whom in a range, the busiest first, and the nodes between which they do."""

    nodes: tuple[NodeReport, ...]
    edges: tuple[EdgeReport, ...]
    range: TimeRange
    basis: Basis
    note: str


class ServiceReports:
    """Answers what services do and who calls them. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def services(self, pairs: Iterable[tuple[str, str]]) -> Services:
        """
        Return the services of a range; default: the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood.
        """
        given = collect_pairs(pairs, names_of(*STITCHED_FILTERS))
        wanted = read_filter(given, self._clock.now_ns())
        basis, note = self._basis(wanted)
        seconds = _seconds(wanted)
        found = self._store.get_service_stats(wanted) if basis.stitched else ()
        logged, about_logged = report_logged(self._store, wanted, by_service=True)
        note = join_notes((note, tell_cut(len(found), MAX_SERVICES, "services"), about_logged))
        return Services(
            services=tuple(_service(each, seconds) for each in found[:MAX_SERVICES]),
            logged_only=logged,
            range=range_of(wanted),
            basis=basis,
            note=note,
        )

    def edges(self, pairs: Iterable[tuple[str, str]]) -> Edges:
        """
        Return who calls whom in a range; default: the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood.
        """
        given = collect_pairs(pairs, names_of(*EDGES_PARAMETERS))
        by_operation = read_boolean("operations", given.get("operations", "false"))
        wanted = read_filter(given, self._clock.now_ns())
        basis, note = self._basis(wanted)
        seconds = _seconds(wanted)
        nodes: list[NodeReport] = []
        edges: list[EdgeReport] = []
        if basis.stitched:
            found = self._store.get_edge_stats(wanted, by_operation=by_operation)
            edges += [_edge(each, seconds) for each in found[:MAX_EDGES]]
            services = self._store.get_service_stats(wanted)
            nodes += [_node(each, seconds) for each in services[:MAX_SERVICES]]
            note = join_notes(
                (
                    note,
                    tell_cut(len(found), MAX_EDGES, "edges"),
                    tell_cut(len(services), MAX_SERVICES, "services"),
                )
            )
        if by_operation and not wanted.service:
            stats = self._store.get_group_stats(wanted, ("operation",))
            note = join_notes((note, tell_cut(len(stats), MAX_GROUPS, "operations")))
            for stat in stats[:MAX_GROUPS]:
                nodes.append(_operation_node(stat, seconds))
                edges.append(_operation_edge(stat, seconds))
        edges.sort(key=lambda each: (-each.calls, each.caller, each.callee))
        return Edges(
            nodes=tuple(nodes),
            edges=tuple(edges),
            range=range_of(wanted),
            basis=basis,
            note=note,
        )

    def _basis(self, wanted: RequestFilter) -> tuple[Basis, str]:
        count = self._store.count_stitched(wanted)
        note = "" if count.stitched else NOT_STITCHED
        return Basis(stitched=count.stitched, requests=count.requests), note


def _seconds(wanted: RequestFilter) -> float:
    return (wanted.end_ns - wanted.start_ns) / NS_PER_S


def _service(stat: ServiceStat, seconds: float) -> ServiceReport:
    return ServiceReport(
        service=stat.service,
        role=stat.role,
        requests=stat.requests,
        requests_per_s=stat.requests / seconds,
        visits=stat.visits,
        errors=stat.errors,
        error_ratio=ratio(stat.errors, stat.visits),
        p50_ns=stat.p50_ns,
        p95_ns=stat.p95_ns,
        p99_ns=stat.p99_ns,
        self_p50_ns=stat.self_p50_ns,
        self_p95_ns=stat.self_p95_ns,
        critical_ns=round(ratio(stat.critical_ns, stat.requests)),
        proxy_share=ratio(stat.proxied_ns, stat.total_ns) if stat.total_ns else None,
        retries=stat.retries,
        is_inferred=stat.is_inferred,
        pods=tuple(stat.pods),
        nodes=tuple(stat.nodes),
        zones=tuple(stat.zones),
        versions=tuple(stat.versions),
        seen=stat.seen,
    )


def _node(stat: ServiceStat, seconds: float) -> NodeReport:
    return NodeReport(
        name=stat.service,
        role=stat.role,
        api="",
        operation="",
        requests=stat.requests,
        requests_per_s=stat.requests / seconds,
        errors=stat.errors,
        error_ratio=ratio(stat.errors, stat.visits),
        p50_ns=stat.p50_ns,
        p95_ns=stat.p95_ns,
        is_inferred=stat.is_inferred,
    )


def _edge(stat: EdgeStat, seconds: float) -> EdgeReport:
    is_of_operation = bool(stat.api or stat.operation)
    return EdgeReport(
        caller=_operation_name(stat.api, stat.operation) if is_of_operation else stat.caller,
        callee=stat.callee,
        calls=stat.calls,
        calls_per_s=stat.calls / seconds,
        errors=stat.errors,
        error_ratio=ratio(stat.errors, stat.calls),
        p50_ns=stat.p50_ns,
        p95_ns=stat.p95_ns,
        p99_ns=stat.p99_ns,
        proxy_ns=round(stat.proxied_ns / stat.calls) if stat.total_ns else None,
        proxy_share=stat.proxied_ns / stat.total_ns if stat.total_ns else None,
        retries=stat.retries,
        retry_ratio=ratio(stat.retries, stat.calls),
        is_inferred=stat.is_inferred,
        is_async=stat.is_async,
        is_mirrored=stat.is_mirrored,
        seen=stat.seen,
    )


def _operation_name(api: str, operation: str) -> str:
    return f"{api} {operation}".strip()


def _operation_node(stat: GroupStat, seconds: float) -> NodeReport:
    return NodeReport(
        name=_operation_name(stat.api, stat.values[0]),
        role="operation",
        api=stat.api,
        operation=stat.values[0],
        requests=round(stat.requests),
        requests_per_s=stat.requests / seconds,
        errors=round(stat.errors),
        error_ratio=ratio(stat.errors, stat.requests),
        p50_ns=stat.quantiles_ns.get(0.5),
        p95_ns=stat.quantiles_ns.get(0.95),
        is_inferred=False,
    )


def _operation_edge(stat: GroupStat, seconds: float) -> EdgeReport:
    return EdgeReport(
        caller=stat.gateway,
        callee=_operation_name(stat.api, stat.values[0]),
        calls=round(stat.requests),
        calls_per_s=stat.requests / seconds,
        errors=round(stat.errors),
        error_ratio=ratio(stat.errors, stat.requests),
        p50_ns=stat.quantiles_ns.get(0.5),
        p95_ns=stat.quantiles_ns.get(0.95),
        p99_ns=stat.quantiles_ns.get(0.99),
        proxy_ns=None,
        proxy_share=None,
        retries=0,
        retry_ratio=0.0,
        is_inferred=False,
        is_async=False,
        is_mirrored=False,
        seen=stat.measured,
    )
