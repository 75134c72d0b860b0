"""
How each API of each gateway is doing, and whether that has changed.

In: a range and filters of gateway records as text. Out: `Apis`. Rates, errors and percentiles are
of every gateway record of the range; which layer failed and where the time went, of the stitched
ones among them, weighed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from collector.answers import Answer, Duration
from collector.clock import Clock
from collector.query.learned.freshness import Freshness
from collector.query.reports.logged import LoggedReport, report_logged
from collector.query.reports.shifts import ApiChange, Pair, compare_pairs
from collector.query.reports.wanted import (
    GROUP_BY,
    RECORD_FILTERS,
    join_notes,
    names_of,
    range_of,
    ratio,
    read_filter,
    read_group_by,
    tell_cut,
    tell_open,
)
from collector.query.results import TimeRange
from collector.query.search.filters import collect_pairs
from collector.store import MAX_GROUPS, GroupStat, RequestFilter, ShareStat, Store
from collector.timestamps import NS_PER_DAY, NS_PER_S, format_duration

APIS_PARAMETERS = (*RECORD_FILTERS, GROUP_BY)
_WEEK_NS = 7 * NS_PER_DAY
# With more of a range than that still to come, its rate is not compared.
_MISSING_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReport:
    """
    One API of one gateway over a range of time, or a part of it with these values in `groups`.

    `errors` are answers of 500 and more, and gRPC failures inside of any answer but CANCELLED, for
    every gateway alike; `refused` are answers of 4xx. Percentiles are `None` where nothing was
    measured, and rest on `measured` durations. `join_coverage` is the share of joined records among
    those that left the gateway, `None` where none did.

    `errors_by_layer` are the errors by the layer that failed first, and `shares` the parts of all
    time by phase, as far as the `stitched` requests tell, weighed; `None` where none tells.
    """

    gateway: str
    api: str
    groups: Mapping[str, str]
    requests: int
    requests_per_s: float
    errors: int
    error_ratio: float
    refused: int
    errors_by_layer: Mapping[str, int] | None
    measured: int
    p50_ns: Duration | None
    p95_ns: Duration | None
    p99_ns: Duration | None
    join_coverage: float | None
    shares: Mapping[str, float] | None
    stitched: int
    changes: tuple[ApiChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Apis(Answer):
    """
    The APIs of all gateways, the busiest first.

    `logged_only` are requests by host that no gateway recorded and only access logs tell of.
    """

    apis: tuple[ApiReport, ...]
    logged_only: tuple[LoggedReport, ...]
    range: TimeRange
    group_by: tuple[str, ...]
    note: str


class ApiReports:
    """Answers how APIs are doing. Thread-safe."""

    def __init__(self, store: Store, clock: Clock, freshness: Freshness) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness

    def report(self, pairs: Iterable[tuple[str, str]]) -> Apis:
        """
        Return the APIs seen in a range, the busiest first; default: the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood.
        """
        given = collect_pairs(pairs, names_of(*APIS_PARAMETERS))
        fields = read_group_by(given.get("group_by", ""))
        wanted = read_filter(given, self._clock.now_ns())
        now = self._store.get_group_stats(wanted, fields)
        known = self._store.get_share_stats(wanted, fields) if now else {}
        more, now = len(now), now[:MAX_GROUPS]
        coverage = {} if fields else self._coverage(wanted, now)
        missing_ns = self._missing_ns(wanted)
        is_whole = missing_ns <= _MISSING_SHARE * (wanted.end_ns - wanted.start_ns)
        changes = self._changes(wanted, fields, now, is_whole=is_whole)
        seconds = (wanted.end_ns - wanted.start_ns) / NS_PER_S
        found = []
        for stat in now:
            shares = known.get(stat.key)
            joined = coverage.get(stat.key[:2], shares.joined if shares else None)
            row = _row(stat, shares, fields, seconds)
            row = replace(row, join_coverage=joined, changes=tuple(changes.get(stat.key, ())))
            found.append(row)
        logged, about_logged = report_logged(self._store, wanted, by_service=False)
        return Apis(
            apis=tuple(found),
            logged_only=logged,
            range=range_of(wanted),
            group_by=fields,
            note=join_notes(
                (
                    _note(missing_ns, is_whole=is_whole) if now else self._why_empty(),
                    tell_open(sum(stat.open for stat in now)),
                    tell_cut(more, MAX_GROUPS, "groups" if fields else "APIs"),
                    about_logged,
                )
            ),
        )

    def _coverage(
        self, wanted: RequestFilter, now: Sequence[GroupStat]
    ) -> Mapping[tuple[str, str], float]:
        total = sum(stat.requests for stat in now)
        return self._store.get_join_coverage(wanted, total) if now else {}

    def _changes(
        self,
        wanted: RequestFilter,
        fields: Sequence[str],
        now: Sequence[GroupStat],
        *,
        is_whole: bool,
    ) -> Mapping[object, list[ApiChange]]:
        current = {stat.key: stat for stat in now}
        pairs = [
            Pair(name, range_of(moved), current[stat.key], stat, is_whole)
            for name, moved in self._earlier(wanted)
            for stat in (self._store.get_group_stats(moved, fields) if now else ())
            if stat.key in current
        ]
        found: dict[object, list[ApiChange]] = {}
        for pair, change in zip(pairs, compare_pairs(pairs), strict=True):
            found.setdefault(pair.now.key, []).append(change)
        return found

    def _earlier(self, wanted: RequestFilter) -> Iterator[tuple[str, RequestFilter]]:
        """Yield the ranges to compare with, of which something may be stored."""
        length_ns = wanted.end_ns - wanted.start_ns
        held = self._freshness.data_range()
        moved = {length_ns: "previous"}
        for back_ns, name in ((NS_PER_DAY, "day"), (_WEEK_NS, "week")):
            if length_ns <= back_ns:
                moved.setdefault(back_ns, name)
        for back_ns, name in moved.items():
            start_ns, end_ns = wanted.start_ns - back_ns, wanted.end_ns - back_ns
            if start_ns > 0 and held is not None and held[0] < end_ns:
                yield name, replace(wanted, start_ns=start_ns, end_ns=end_ns)

    def _missing_ns(self, wanted: RequestFilter) -> int:
        """Return how much of the range's end some source of records has yet to deliver."""
        lags = self._freshness.lags()
        # a source may have begun between the two
        sources = self._freshness.record_sources()
        known = [lags[each].watermark_ns for each in sources if each in lags]
        return max(wanted.end_ns - min(known, default=wanted.end_ns), 0)

    def _why_empty(self) -> str:
        if self._freshness.data_range() is None:
            return "Nothing is stored yet."
        return "No gateway record of this range fits."


def _note(missing_ns: int, *, is_whole: bool) -> str:
    if is_whole:
        return ""
    return (
        f"Records of the last {format_duration(missing_ns)} are still coming in: rates are not "
        "compared."
    )


def _row(
    stat: GroupStat, shares: ShareStat | None, fields: Sequence[str], seconds: float
) -> ApiReport:
    return ApiReport(
        gateway=stat.gateway,
        api=stat.api,
        groups=dict(zip(fields, stat.values, strict=True)),
        requests=round(stat.requests),
        requests_per_s=stat.requests / seconds,
        errors=round(stat.errors),
        error_ratio=ratio(stat.errors, stat.requests),
        refused=round(stat.refused),
        errors_by_layer=_by_layer(stat, shares) if shares else None,
        measured=stat.measured,
        p50_ns=stat.quantiles_ns.get(0.5),
        p95_ns=stat.quantiles_ns.get(0.95),
        p99_ns=stat.quantiles_ns.get(0.99),
        join_coverage=None,
        shares=(shares.shares or None) if shares else None,
        stitched=shares.stitched if shares else 0,
        changes=(),
    )


def _by_layer(stat: GroupStat, shares: ShareStat) -> Mapping[str, int] | None:
    """Return the errors by layer: as many as the records have, told apart as stitching does."""
    total = sum(shares.failed_first.values())
    if not total and stat.errors:
        return None
    scale = stat.errors / total if total else 0.0
    layers = sorted(shares.failed_first.items(), key=lambda pair: (-pair[1], pair[0]))
    return {layer: round(count * scale) for layer, count in layers}
