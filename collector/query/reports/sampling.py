"""
A stable sample of the requests of a range, stitched: what questions about many requests rest on.

In: `start`, `end`, `api`, `limit` as text. Out: a `Sample`, which says how it came about. Bounded
in three ways: by the number of requests, by the spans that are held, and by time.

The same requests are drawn whenever it is asked, so their timelines are kept for a minute: of those
that nothing came of since, as far as their rows tell. The sample says how old they are.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic

from cachetools import TTLCache

from collector.clock import Clock
from collector.errors import BadQuestion
from collector.query.learned.freshness import Freshness
from collector.query.results import TimeRange
from collector.query.search.filters import PARAMETERS, Parameter, collect_pairs, parse_range
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import SAMPLED, Profile
from collector.stitch.timeline import Timeline
from collector.store import RequestRow, Store
from collector.timestamps import NS_PER_S, format_duration, format_timestamp

# So many that what one in twenty of them shows is seen as often as the doctor's rules ask for.
DEFAULT_LIMIT = 400
MAX_LIMIT = 5_000
SAMPLE_PARAMETERS: tuple[Parameter, ...] = (
    *(each for each in PARAMETERS if each.name in ("start", "end", "api")),
    Parameter(
        "limit",
        f"Requests that are looked at, at most {MAX_LIMIT}: the same ones whenever it is asked.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        DEFAULT_LIMIT,
    ),
)
# So many together cost less; long traces leave no room for them, and are read in smaller pages.
_PAGE = 200
_LEAST_PAGE = 50
_MAX_SPANS = 100_000
_MAX_SECONDS = 12.0
_MAX_TEXT = 512
_FRESH_NS = 60 * NS_PER_S
# Timelines are kept with so many spans in all, as 400 requests have.
_MAX_KEPT_SPANS = 12_000
# A row tells the second in which the last of it came; more may come in the same one.
_ARRIVING_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleWish:
    """Which requests a sample is drawn from: those that began in [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    api: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Timelines of a sample. `note` says what was left out, or why there is nothing."""

    range: TimeRange
    api: str
    timelines: tuple[Timeline, ...]
    note: str = ""


def parse_sample(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> SampleWish:
    """
    Read the parameters of a sample.

    Raises:
        BadQuestion: a parameter is unknown, given twice, or not what it should be.
    """
    given = collect_pairs(pairs, (parameter.name for parameter in SAMPLE_PARAMETERS))
    start_ns, end_ns = parse_range(given, now_ns)
    return SampleWish(
        start_ns=start_ns,
        end_ns=end_ns,
        api=_read_api(given.get("api", "")),
        limit=_read_limit(given.get("limit", str(DEFAULT_LIMIT))),
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A timeline as it was at a moment."""

    timeline: Timeline
    made_ns: int


class Sampling:
    """Draws samples and stitches them. Thread-safe."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        freshness: Freshness,
        rows: RowStitching,
        *,
        max_spans: int = _MAX_SPANS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._rows = rows
        self._max_spans = max_spans
        self._lock = threading.Lock()
        self._kept: TTLCache[tuple[Profile, RequestRow], _Kept] = TTLCache(
            _MAX_KEPT_SPANS,
            ttl=_FRESH_NS,
            timer=clock.now_ns,
            getsizeof=lambda kept: 1 + len(kept.timeline.spans),
        )

    def draw(self, pairs: Iterable[tuple[str, str]], profile: Profile = SAMPLED) -> Sample:
        """
        Return the timelines of a sample, each request once, made as *profile* says.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        now_ns = self._clock.now_ns()
        wish = parse_sample(pairs, now_ns=now_ns)
        rows = self._store.sample_requests(wish.start_ns, wish.end_ns, wish.limit, api=wish.api)
        if not rows:
            return self._sample(wish, (), self._why_empty(wish))
        with self._lock:
            kept = {row: each for row in rows if (each := self._kept.get((profile, row)))}
        missing = [row for row in rows if row not in kept]
        notes: list[str] = []
        age_ns = now_ns - min((each.made_ns for each in kept.values()), default=now_ns)
        if age_ns >= NS_PER_S:
            notes.append(f"Requests are told as they were up to {format_duration(age_ns)} ago.")
        found = {row: each.timeline for row, each in kept.items()}
        found |= self._stitch(missing, now_ns, profile, notes, looked=len(kept))
        timelines: dict[str, Timeline] = {}
        for row in rows:
            if row in found:
                timelines.setdefault(found[row].id, found[row])
        return self._sample(wish, timelines.values(), " ".join(notes))

    def _sample(self, wish: SampleWish, timelines: Iterable[Timeline], note: str) -> Sample:
        searched = TimeRange(start_ns=wish.start_ns, end_ns=wish.end_ns)
        return Sample(range=searched, api=wish.api, timelines=tuple(timelines), note=note)

    def _stitch(
        self,
        rows: list[RequestRow],
        now_ns: int,
        profile: Profile,
        notes: list[str],
        *,
        looked: int,
    ) -> Iterator[tuple[RequestRow, Timeline]]:
        """Yield rows with their timelines; *looked* at are others of the sample."""
        deadline = monotonic() + _MAX_SECONDS
        spans = too_large = first = 0
        size = _PAGE
        while first < len(rows):
            if monotonic() > deadline or spans > self._max_spans:
                why = "time" if spans <= self._max_spans else "spans"
                notes.append(
                    f"The limit of {why} was reached: {looked + first} of {looked + len(rows)} "
                    "were looked at."
                )
                break
            for row, timeline, _ in self._rows.stitch(rows[first : first + size], now_ns, profile):
                if timeline is None and size > _LEAST_PAGE:
                    size = _LEAST_PAGE
                    break
                first += 1
                if timeline is None:
                    too_large += 1
                else:
                    spans += len(timeline.spans)
                    self._keep(row, profile, timeline, now_ns)
                    yield row, timeline
                if monotonic() > deadline:
                    break
        if too_large:
            notes.append(
                f"{too_large} requests are too large, or have just gone, and are left out."
            )

    def _keep(self, row: RequestRow, profile: Profile, timeline: Timeline, now_ns: int) -> None:
        size = 1 + len(timeline.spans)
        if size < _MAX_KEPT_SPANS and row.received_s + _ARRIVING_S < now_ns // NS_PER_S:
            with self._lock:
                self._kept[profile, row] = _Kept(timeline, now_ns)

    def _why_empty(self, wish: SampleWish) -> str:
        held = self._freshness.data_range()
        if held is None:
            return "Nothing is stored yet."
        if held[1] < wish.start_ns or held[0] >= wish.end_ns:
            first, last = (format_timestamp(moment) for moment in held)
            return f"Nothing is stored of this range; there is data from {first} to {last}."
        if wish.api:
            return f"No gateway record of API {wish.api!r} is stored of this range."
        return "No request of this range is stored."


def _read_api(text: str) -> str:
    if len(text) > _MAX_TEXT or "\x00" in text:
        msg = f"api: longer than {_MAX_TEXT} characters, or contains a NUL character"
        raise BadQuestion(msg)
    return text


def _read_limit(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    msg = f"limit: {text[:80]!r} is not a whole number from 1 to {MAX_LIMIT}"
    raise BadQuestion(msg, hint="a sample is the same each time it is drawn, so it has no pages")
