"""
How many requests each API had when, and how many of them failed: what small lines are drawn from.

In: filters of gateway records as text. Out: `Series`, from every gateway record of the range.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collector.answers import Answer
from collector.clock import Clock
from collector.query.reports.wanted import (
    GROUP_BY,
    RECORD_FILTERS,
    names_of,
    range_of,
    read_filter,
    read_group_by,
)
from collector.query.results import TimeRange
from collector.query.search.filters import collect_pairs
from collector.store import Store

SERIES_PARAMETERS = names_of(*RECORD_FILTERS, GROUP_BY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One API of one gateway, or a part of it with these values in `groups`, column by column.

    `requests` and `errors` count what lies in each of the columns of equal length of the range.
    """

    gateway: str
    api: str
    groups: Mapping[str, str]
    requests: tuple[int, ...]
    errors: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series(Answer):
    """The lines of all APIs, the busiest first."""

    lines: tuple[Line, ...]
    range: TimeRange


class SeriesReports:
    """Answers how many requests there were when. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def report(self, pairs: Iterable[tuple[str, str]]) -> Series:
        """
        Return the counts of a range; default: the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood.
        """
        given = collect_pairs(pairs, SERIES_PARAMETERS)
        fields = read_group_by(given.get("group_by", ""))
        wanted = read_filter(given, self._clock.now_ns())
        return Series(
            lines=tuple(
                Line(
                    gateway=stat.gateway,
                    api=stat.api,
                    groups=dict(zip(fields, stat.values, strict=True)),
                    requests=tuple(round(count) for count in stat.requests),
                    errors=tuple(round(count) for count in stat.errors),
                )
                for stat in self._store.get_series(wanted, fields)
            ),
            range=range_of(wanted),
        )
