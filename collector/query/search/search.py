"""
Lists of requests: rows from the store, completed by stitching.

In: query parameters. Out: a page of `Summary`. State, verdict, hops and unexplained time exist only
in a stitched timeline, so the page's requests are stitched, from one batched read, and remembered
for a while.
"""

from collections.abc import Iterable, Iterator, Sequence

from collector.clock import Clock
from collector.query.learned.freshness import Freshness
from collector.query.results import ApiReport, Apis, Found, Summary, TimeRange
from collector.query.search.cursors import Cursor, decode_cursor, encode_cursor
from collector.query.search.filters import Search, collect_pairs, parse_range, parse_search
from collector.query.search.row_cache import CachedRow, RowCache
from collector.query.timelines.rows import RowStitching
from collector.store import RequestFilter, RequestRow, Store
from collector.timestamps import NS_PER_S, format_timestamp

# State is known only after stitching: so many pages of the store make up one page at most.
_MOST_ROUNDS = 4


class Searching:
    """Answers searches. Thread-safe."""

    def __init__(
        self, store: Store, clock: Clock, freshness: Freshness, rows: RowStitching
    ) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._outlines = RowCache(store, rows, freshness)

    def search(self, pairs: Iterable[tuple[str, str]]) -> Found:
        """
        Return one page.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        now_ns = self._clock.now_ns()
        search = parse_search(pairs, now_ns=now_ns)
        start_ns, end_ns, row_cursor = search.start_ns, search.end_ns, ""
        if search.cursor:
            cursor = decode_cursor(search)
            start_ns, end_ns, row_cursor = cursor.start_ns, cursor.end_ns, cursor.row
        wanted = _build_filter(search, start_ns, end_ns)
        summaries, next_row = self._collect(search, wanted, row_cursor, now_ns)
        next_cursor = ""
        if next_row:
            next_cursor = encode_cursor(Cursor(start_ns, end_ns, next_row), search)
        return Found(
            requests=tuple(summaries),
            next_cursor=next_cursor,
            range=TimeRange(start_ns=start_ns, end_ns=end_ns),
            watermarks_ns={n: lag.watermark_ns for n, lag in self._freshness.lags().items()},
            note=" ".join(self._notes(search, summaries, next_cursor, end_ns)),
        )

    def apis(self, pairs: Iterable[tuple[str, str]]) -> Apis:
        """
        Return the APIs seen in a range, the busiest first; default: the last hour.

        Raises:
            BadQuestion: a moment cannot be understood.
        """
        start_ns, end_ns = parse_range(collect_pairs(pairs, ("start", "end")), self._clock.now_ns())
        seconds = (end_ns - start_ns) / NS_PER_S
        found = (
            ApiReport(
                gateway=stat.gateway,
                api=stat.api,
                requests=stat.requests,
                requests_per_s=stat.requests / seconds,
                errors=stat.errors,
                error_ratio=stat.errors / stat.requests if stat.requests else 0.0,
                p50_ns=stat.p50_ns,
                p95_ns=stat.p95_ns,
                p99_ns=stat.p99_ns,
                join_coverage=stat.joined / stat.requests if stat.requests else 0.0,
            )
            for stat in self._store.get_api_stats(start_ns, end_ns)
        )
        return Apis(apis=tuple(found))

    def _collect(
        self, search: Search, wanted: RequestFilter, row_cursor: str, now_ns: int
    ) -> tuple[list[Summary], str]:
        """Return at most `limit` summaries, and the store's cursor behind the last one."""
        summaries: list[Summary] = []
        seen: set[str] = set()
        for _ in range(_MOST_ROUNDS):
            # One row more than wanted tells whether there is another page.
            rows = self._store.find_requests(wanted, search.limit + 1, row_cursor)
            has_more = len(rows) > search.limit
            for row, outline in self._outlines.read(rows[: search.limit], now_ns):
                row_cursor = row.cursor
                # A record and a trace that only a request id joins are two rows of one request.
                if outline.id in seen or (search.state and outline.state != search.state):
                    continue
                seen.add(outline.id)
                summaries.append(_summary(row, outline))
                if len(summaries) == search.limit:
                    return summaries, row_cursor if has_more or row is not rows[-1] else ""
            if not has_more:
                return summaries, ""
        return summaries, row_cursor

    def _notes(
        self, search: Search, summaries: Sequence[Summary], next_cursor: str, end_ns: int
    ) -> Iterator[str]:
        if search.is_default_range and not search.cursor:
            yield "No start was given: one hour was searched."
        if search.state and next_cursor and len(summaries) < search.limit:
            yield "More requests have to be looked through for this state: follow next_cursor."
        if summaries or search.cursor:
            return
        held = self._freshness.data_range()
        if held is None:
            yield "Nothing is stored yet."
            return
        first_ns, last_ns = held
        if last_ns < search.start_ns or first_ns >= search.end_ns:
            yield (
                "Nothing is stored of this range; there is data from "
                f"{format_timestamp(first_ns)} to {format_timestamp(last_ns)}."
            )
        else:
            yield "There is data in this range, but none that fits the filters."
        for name, lag in sorted(self._freshness.lags().items()):
            if lag.watermark_ns < end_ns:
                yield f"{name} is known up to {format_timestamp(lag.watermark_ns)} only."


def _build_filter(search: Search, start_ns: int, end_ns: int) -> RequestFilter:
    return RequestFilter(
        start_ns=start_ns,
        end_ns=end_ns,
        gateway=search.gateway,
        api=search.api,
        operation=search.operation,
        route=search.route,
        method=search.method,
        host=search.host,
        status=search.status,
        status_class=search.status_class,
        is_error=search.is_error,
        service=search.service,
        consumer=search.consumer,
        revision=search.revision,
        min_duration_ns=search.min_duration_ns,
        max_duration_ns=search.max_duration_ns,
        is_joined=search.is_joined,
        text=search.q,
        order="-start" if search.order == "-start" else "-duration",
    )


def _summary(row: RequestRow, outline: CachedRow) -> Summary:
    return Summary(
        id=outline.id,
        trace_id=outline.trace_id or row.trace_id,
        start_ns=row.start_ns,
        duration_ns=outline.duration_ns if row.duration_ns is None else row.duration_ns,
        gateway=row.gateway,
        api=row.api,
        operation=row.operation,
        route=row.route or row.path,
        method=row.method,
        status=row.status,
        is_error=row.is_error,
        consumer=row.consumer,
        backend_ns=row.backend_ns,
        unexplained_ns=outline.unexplained_ns,
        hops=outline.hops,
        services=outline.services,
        is_joined=outline.is_joined,
        state=outline.state,
        verdict=outline.verdict,
    )
