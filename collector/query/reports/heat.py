"""
How many requests took how long when: what a picture of durations over time is drawn from.

In: filters of gateway records as text. Out: `Heat`, from every gateway record of the range.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.answers import Answer, Moment
from collector.clock import Clock
from collector.query.reports.wanted import RECORD_FILTERS, names_of, read_filter
from collector.query.search.filters import collect_pairs
from collector.store import Store

HEAT_PARAMETERS = (*names_of(*RECORD_FILTERS), "min_duration_ms", "max_duration_ms")
_COLUMNS = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat(Answer):
    """
    Counts by time and duration.

    Each cell is its column of `columns` of equal length from `start` to `end`, its row (which
    begins at 2^(row/2) ns), the requests in it, and how many of them failed.
    """

    start_ns: Moment
    end_ns: Moment
    columns: int
    cells: tuple[tuple[int, int, int, int], ...]


class HeatReports:
    """Answers how long requests took when. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def report(self, pairs: Iterable[tuple[str, str]]) -> Heat:
        """
        Return the counts of a range; default: the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood.
        """
        given = collect_pairs(pairs, HEAT_PARAMETERS)
        wanted = read_filter(given, self._clock.now_ns())
        found = self._store.get_heat(wanted, _COLUMNS)
        return Heat(
            start_ns=wanted.start_ns,
            end_ns=wanted.end_ns,
            columns=_COLUMNS,
            cells=tuple(
                (at, row, max(round(requests), 1), round(errors))
                for at, row, requests, errors in found
            ),
        )
