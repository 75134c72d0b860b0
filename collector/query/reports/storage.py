"""
What is kept, for how long, what it takes, and what another time to live would change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.answers import Answer
from collector.clock import Clock
from collector.query.search.filters import collect_pairs
from collector.store import Store
from collector.store.disk import KEPT, LOGS, METRICS, OTHER, RECORDS, REQUESTS, SPANS, DayOfKind
from collector.timestamps import NS_PER_DAY

_CHOICES = (1, 3, 7, 14, 30, 60, 90, 180, 365)
_SETTINGS = {
    SPANS: "HOPLINE_SPAN_TTL_DAYS",
    KEPT: "HOPLINE_TTL_DAYS",
    LOGS: "HOPLINE_SPAN_TTL_DAYS",
    METRICS: "HOPLINE_SPAN_TTL_DAYS",
    RECORDS: "HOPLINE_TTL_DAYS",
    REQUESTS: "HOPLINE_TTL_DAYS",
    OTHER: "HOPLINE_TTL_DAYS",
}
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
class KeptKind:
    """
    Rows of one kind, with the indexes that lead to them.

    `kept_days` is null for rows that are kept for ever, `days` how many days there are rows of.
    `bytes_per_day` is the mean of the last full days, null before there is one.
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
        settings = self._store.settings
        of_spans = settings.ttl_days if settings.span_ttl_days is None else settings.span_ttl_days
        days = {"HOPLINE_SPAN_TTL_DAYS": of_spans, "HOPLINE_TTL_DAYS": settings.ttl_days}
        return build_storage(self._store.get_disk_days(), days, self._clock.now_ns() // NS_PER_DAY)


def build_storage(found: Sequence[DayOfKind], days: dict[str, int], today: int) -> Storage:
    """Return the report of partitions; *days* are the settings, *today* is in Unix days."""
    kinds = [
        _kind(name, [each for each in found if each.kind == name], days[setting], today)
        for name, setting in _SETTINGS.items()
    ]
    kept = sorted((each for each in kinds if each.bytes), key=lambda each: -each.bytes)
    return Storage(bytes=sum(each.bytes for each in kept), kinds=tuple(kept))


def _kind(name: str, parts: Sequence[DayOfKind], kept_days: int, today: int) -> KeptKind:
    rows, size = sum(each.rows for each in parts), sum(each.bytes for each in parts)
    rate = _bytes_per_day(parts, today)
    choices = [each for each in _CHOICES if each != kept_days] if name != OTHER else []
    return KeptKind(
        kind=name,
        setting=_SETTINGS[name],
        kept_days=kept_days or None,
        days=len({each.day for each in parts if each.day is not None}),
        rows=rows,
        bytes=size,
        bytes_per_row=size / rows if rows else None,
        bytes_per_day=rate,
        expected_bytes=rate * kept_days if rate is not None and kept_days else None,
        choices=tuple(
            OtherTime(
                days=each,
                freed_bytes=sum(
                    part.bytes for part in parts if part.day is not None and part.day < today - each
                ),
                expected_bytes=None if rate is None else rate * each,
            )
            for each in choices
        ),
    )


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
