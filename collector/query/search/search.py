"""
Lists of requests: rows from the store, completed by stitching.

In: query parameters. Out: a page of `Summary`. State, verdict, hops and unexplained time exist only
in a stitched timeline, so the page's requests are stitched, from one batched read, and remembered
for a while.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from collector.clock import Clock
from collector.query.learned.freshness import Freshness, known_up_to
from collector.query.results import Found, Summary, TimeRange
from collector.query.search.cursors import Cursor, decode_cursor, encode_cursor
from collector.query.search.described import find_described
from collector.query.search.filters import Search, parse_search
from collector.query.search.row_cache import CachedRow, RowCache
from collector.query.search.spelling import Spelling
from collector.query.search.tail import TAIL_AHEAD_NS, TAIL_RANGE_NS, Tail, parse_tail
from collector.query.timelines.rows import RowStitching
from collector.store import RequestFilter, RequestRow, Store
from collector.timestamps import format_timestamp

# State is known only after stitching: so many pages of the store make up one page at most.
_MOST_ROUNDS = 4


class Searches:
    """Answers searches. Thread-safe."""

    def __init__(
        self, store: Store, clock: Clock, freshness: Freshness, rows: RowStitching
    ) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._spelling = Spelling(store, clock, freshness)
        self._row_cache = RowCache(store, clock, rows, freshness)

    def find(self, pairs: Iterable[tuple[str, str]]) -> Found:
        """
        Return one page of the requests that the parameters in *pairs* describe.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        return self._spelling.answer(pairs, self._find)

    def _find(self, pairs: Iterable[tuple[str, str]]) -> Found:
        now_ns = self._clock.now_ns()
        search = parse_search(pairs, now_ns=now_ns)
        wanted, row_cursor = search.wanted, ""
        if search.cursor:
            cursor = decode_cursor(search)
            wanted = replace(wanted, start_ns=cursor.start_ns, end_ns=cursor.end_ns)
            row_cursor = cursor.row
        summaries, next_row = self._collect(search, wanted, row_cursor, now_ns)
        next_cursor = ""
        if next_row:
            next_cursor = encode_cursor(Cursor(wanted.start_ns, wanted.end_ns, next_row), search)
        return Found(
            requests=tuple(summaries),
            next_cursor=next_cursor,
            range=TimeRange(start_ns=wanted.start_ns, end_ns=wanted.end_ns),
            watermarks_ns={n: lag.watermark_ns for n, lag in self._freshness.lags().items()},
            note=" ".join(self._notes(search, summaries, next_cursor, wanted.end_ns)),
        )

    def check(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Raise `BadQuestion` when a parameter of a search cannot be understood; reads nothing."""
        parse_search(pairs, now_ns=self._clock.now_ns())

    def find_described(self, pairs: Iterable[tuple[str, str]]) -> str:
        """
        Return the id of the slowest request that fits a rough description.

        Raises:
            NotFound: nothing fits within five minutes of the moment given.
        """
        return find_described(pairs, self.find, self._clock.now_ns())

    def open_tail(self, pairs: Iterable[tuple[str, str]]) -> Tail:
        """
        Return a reader of the requests that become known from now on.

        Raises:
            BadQuestion: a parameter cannot be understood, or is one of a list's.
        """
        opened_ns = self._clock.now_ns()
        given = list(pairs)
        parse_tail(given, now_ns=opened_ns)
        start = format_timestamp(opened_ns - TAIL_RANGE_NS)
        read, _ = self._spelling.read([*given, ("start", start)])
        search = parse_tail(read[: len(given)], now_ns=opened_ns)
        return Tail(lambda since_ns: self._find_arrived(search, since_ns, opened_ns), self._clock)

    def _find_arrived(
        self, search: Search, since_ns: int, opened_ns: int
    ) -> tuple[list[Summary], bool]:
        """
        Return what came in after a moment, the newest first, and whether there is more of it.

        What was loaded since then, and waited for that in the journal, came in before: it is found
        by its load, as far as it came after the reader.
        """
        now_ns = self._clock.now_ns()
        late = self._store.find_late_loads(since_ns)
        since_ns = max(min([since_ns, *(each.from_ns - 1 for each in late)]), opened_ns)
        wanted = replace(
            search.wanted,
            start_ns=now_ns - TAIL_RANGE_NS,
            end_ns=now_ns + TAIL_AHEAD_NS,
            received_since_ns=since_ns,
            order="-start",
        )
        found, next_row = self._collect(search, wanted, "", now_ns)
        return found, bool(next_row)

    def _collect(
        self, search: Search, wanted: RequestFilter, row_cursor: str, now_ns: int
    ) -> tuple[list[Summary], str]:
        """Return at most `limit` summaries, and the store's cursor behind the last one."""
        summaries: list[Summary] = []
        seen: set[str] = set()
        is_whole = _is_whole(wanted)
        for _ in range(_MOST_ROUNDS):
            # One row more than wanted tells whether there is another page.
            rows = self._store.find_requests(wanted, search.limit + 1, row_cursor)
            has_more = len(rows) > search.limit
            page = list(self._row_cache.read(rows[: search.limit], now_ns))
            # Gateways in a row wrote a record each, and a record and a trace may be joined by a
            # request id alone: the request's own row is that of the outermost.
            own = {shown.id for row, shown in page if _is_own(row, shown)}
            for row, shown in page:
                row_cursor = row.cursor
                is_another = not _is_own(row, shown) and (is_whole or shown.id in own)
                if is_another or shown.id in seen or not _fits(search, shown):
                    continue
                seen.add(shown.id)
                summaries.append(_summary(row, shown))
                if len(summaries) == search.limit:
                    return summaries, row_cursor if has_more or row is not rows[-1] else ""
            if not has_more:
                return summaries, ""
        return summaries, row_cursor

    def _notes(
        self, search: Search, summaries: Sequence[Summary], next_cursor: str, end_ns: int
    ) -> Iterator[str]:
        if not search.range_texts[0] and not search.cursor:
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
        if last_ns < search.wanted.start_ns or first_ns >= search.wanted.end_ns:
            yield (
                "Nothing is stored of this range; there is data from "
                f"{format_timestamp(first_ns)} to {format_timestamp(last_ns)}."
            )
        else:
            yield "There is data in this range, but none that fits the filters."
        for name, lag in sorted(self._freshness.lags().items()):
            if lag.watermark_ns < end_ns:
                yield f"{known_up_to(name, lag)} only."


def _is_own(row: RequestRow, shown: CachedRow) -> bool:
    """Tell whether a row is the one that its request is shown by."""
    return bool(row.log_keys) or (row.gateway, row.id) == (shown.gateway, shown.id)


def _is_whole(wanted: RequestFilter) -> bool:
    """Tell whether every row of the range is found: the outermost one of each request too."""
    return wanted == RequestFilter(
        start_ns=wanted.start_ns, end_ns=wanted.end_ns, order=wanted.order, with_logged=True
    )


def _fits(search: Search, shown: CachedRow) -> bool:
    """Tell whether what only stitching knows of a request is what was asked for."""
    if search.wanted.is_joined is not None and shown.is_joined is None:
        return False
    return not search.state or shown.state == search.state


def _summary(row: RequestRow, shown: CachedRow) -> Summary:
    is_record = bool(row.record_id)
    duration_ns = row.duration_ns if is_record else shown.duration_ns
    return Summary(
        id=shown.id,
        trace_id=shown.trace_id or row.trace_id,
        start_ns=row.start_ns,
        duration_ns=shown.duration_ns if duration_ns is None else duration_ns,
        gateway=row.gateway,
        api=row.api,
        operation=row.operation,
        route=row.route or row.path,
        method=row.method,
        status=row.status if is_record else shown.status,
        is_error=shown.is_error,
        consumer=row.consumer,
        backend_ns=row.backend_ns,
        unexplained_ns=shown.unexplained_ns,
        slowest_hop=shown.slowest_hop,
        slowest_hop_ns=shown.slowest_hop_ns,
        hops=shown.hops,
        services=shown.services,
        is_joined=shown.is_joined,
        join_tier=shown.join_tier,
        join_confidence=shown.join_confidence,
        state=shown.state,
        verdict=shown.verdict,
        is_verdict_provisional=shown.is_verdict_provisional,
        settled_by=shown.settled_by,
    )
