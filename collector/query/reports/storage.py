"""
What is kept, for how long, what it takes, and what another time to live would change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.answers import Answer
from collector.clock import Clock
from collector.query.search.filters import collect_pairs
from collector.settings import Retention
from collector.store import Store
from collector.store.disk import (
    KEPT,
    LOGS,
    METRICS,
    OTHER,
    RECORDS,
    REQUESTS,
    SPANS,
    ApiShare,
    DayOfKind,
)
from collector.timestamps import NS_PER_DAY

_CHOICES = (1, 3, 7, 14, 30, 60, 90, 180, 365)
# What says how long rows of a kind are kept: a field of Retention, and its setting.
_TIMES = {
    SPANS: ("span_days", "HOPLINE_SPAN_TTL_DAYS"),
    KEPT: ("kept_days", "HOPLINE_TTL_DAYS"),
    LOGS: ("span_days", "HOPLINE_SPAN_TTL_DAYS"),
    METRICS: ("span_days", "HOPLINE_SPAN_TTL_DAYS"),
    RECORDS: ("record_days", "HOPLINE_TTL_DAYS"),
    REQUESTS: ("record_days", "HOPLINE_TTL_DAYS"),
    OTHER: ("record_days", "HOPLINE_TTL_DAYS"),
}
_FILE = "HOPLINE_RETENTION"
# The rate is taken from so many full days at most.
_RATE_DAYS = 7


@dataclass(frozen=True, slots=True)
class OtherTime:
    """
    What another time to live would change.

    `freed_bytes` are older than that and would go at once; `expected_bytes` is what rows would
    take in the long run at the present rate, null where no full day is known.
    """

    days: int
    freed_bytes: int
    expected_bytes: int | None


@dataclass(frozen=True, slots=True)
class KeptApi:
    """
    An API whose rows of a kind have a time of their own; `kept_days` is null for ever.

    `bytes` is its share of the kind's by rows: rows of one API are taken to be as large as others.
    """

    api: str
    kept_days: int | None
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptKind:
    """
    Rows of one kind, with the indexes that lead to them.

    `kept_days` is null for rows that are kept for ever, `days` how many days there are rows of.
    `bytes_per_day` is the mean of the last full days, null before there is one. `choices` are other
    times for what is not of `apis`, and say what all rows of the kind would take with them.
    """

    kind: str
    setting: str
    kept_days: int | None
    days: int
    rows: int
    bytes: int
    bytes_per_row: float | None
    bytes_per_day: int | None
    expected_bytes: int | None
    apis: tuple[KeptApi, ...]
    choices: tuple[OtherTime, ...]


@dataclass(frozen=True, slots=True)
class Storage(Answer):
    """What the tables of the node that is asked take on its disk, the largest kind first."""

    bytes: int
    kinds: tuple[KeptKind, ...]


class StorageReports:
    """Answers from the engine's list of parts. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def report(self, pairs: Iterable[tuple[str, str]] = ()) -> Storage:
        """Return what is kept of each kind that has rows."""
        collect_pairs(pairs, ())
        return build_storage(
            self._store.get_disk_days(),
            self._store.get_api_shares(),
            self._store.settings.retention,
            self._clock.now_ns() // NS_PER_DAY,
        )


def build_storage(
    found: Sequence[DayOfKind], shares: Sequence[ApiShare], kept: Retention, today: int
) -> Storage:
    """Return the report of partitions; *today* is in Unix days."""
    kinds = [
        _kind(
            name,
            [each for each in found if each.kind == name],
            [each for each in shares if each.kind == name],
            kept,
            today,
        )
        for name in _TIMES
    ]
    stored = sorted((each for each in kinds if each.bytes), key=lambda each: -each.bytes)
    return Storage(bytes=sum(each.bytes for each in stored), kinds=tuple(stored))


def _kind(
    name: str,
    parts: Sequence[DayOfKind],
    shares: Sequence[ApiShare],
    kept: Retention,
    today: int,
) -> KeptKind:
    time, setting = _TIMES[name]
    kept_days: int = getattr(kept, time)
    days_of = dict(kept.api_kept_days if name == KEPT else kept.api_record_days)
    rows, size = sum(each.rows for each in parts), sum(each.bytes for each in parts)
    rate = _bytes_per_day(parts, today)
    rest = 1 - sum(each.ratio for each in shares)

    def expect(days: int) -> int | None:
        """Return what the kind takes in the long run when what is of no API here has *days*."""
        times = [(1 - sum(each.growth_ratio for each in shares), days)]
        times += [(each.growth_ratio, days_of[each.api]) for each in shares]
        if rate is None or any(ratio > 0 and not each for ratio, each in times):
            return None
        return round(rate * sum(ratio * each for ratio, each in times))

    choices = [each for each in _CHOICES if each != kept_days] if name != OTHER else []
    return KeptKind(
        kind=name,
        setting=_FILE if time in kept.from_file else setting,
        kept_days=kept_days or None,
        days=len({each.day for each in parts if each.day is not None}),
        rows=rows,
        bytes=size,
        bytes_per_row=size / rows if rows else None,
        bytes_per_day=rate,
        expected_bytes=expect(kept_days),
        apis=tuple(
            KeptApi(each.api, days_of[each.api] or None, each.rows, round(size * each.ratio))
            for each in shares
        ),
        choices=tuple(
            OtherTime(
                days=days,
                freed_bytes=round(
                    rest * sum(each.bytes for each in parts if _is_before(each, today - days))
                ),
                expected_bytes=expect(days),
            )
            for days in choices
        ),
    )


def _is_before(part: DayOfKind, day: int) -> bool:
    return part.day is not None and part.day < day


def _bytes_per_day(parts: Sequence[DayOfKind], today: int) -> int | None:
    """
    Return the mean of the last full days: from the first one with rows, at most a week.

    Only partitions with rows of their own tell the days; the indexes beside them are of weeks, and
    are taken to grow as the rows do.
    """
    rows = [(each.day, each.bytes) for each in parts if each.rows and each.day is not None]
    full = [(day, size) for day, size in rows if day < today]
    if not full:
        return None
    first = max(min(day for day, _ in full), today - _RATE_DAYS)
    per_day = sum(size for day, size in full if day >= first) / (today - first)
    whole = sum(each.bytes for each in parts)
    return round(per_day * whole / sum(size for _, size in rows))
