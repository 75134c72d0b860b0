"""
Summing up gateway records by the hour, so that questions about days need not read them all.

An hour is summed up when it is over and nothing more of it comes in, and again when something came
late. Whoever asks compares, so an hour that is not summed up yet costs time and nothing else.
"""

from collections.abc import Mapping
from time import monotonic

from collector.clock import Clock
from collector.store import RecordHour, Store
from collector.timestamps import NS_PER_DAY, NS_PER_S

# Late records of older hours are read where somebody asks for them.
_REACH_NS = 2 * NS_PER_DAY
_OVER_NS = 300 * NS_PER_S
# Looking costs as much as counting two days: a hundredth of the time at most.
_LEAST_EVERY_NS = 20 * NS_PER_S
_REST_TIMES = 100


class SummingHours:
    """Sums up the hours of the last days that need it, one a step. Not thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: Mapping[int, int] = {}
        self._due: list[RecordHour] = []
        self._look_at_ns = 0

    def step(self) -> bool:
        """
        Sum up the newest hour that is due; tell whether there are more.

        Raises:
            StoreUnavailable, QueryTimeout: the next step does the same again.
        """
        if not self._due and self._clock.now_ns() >= self._look_at_ns:
            self._look()
        if self._due:
            self._store.sum_record_hour(self._due[-1], self._clock.now_ns())
            self._due.pop()
        return bool(self._due)

    def _look(self) -> None:
        """Find the hours that have had the same rows twice in a row, and are not summed up so."""
        began_s = monotonic()
        now_ns = self._clock.now_ns()
        hours = self._store.find_record_hours(now_ns - _REACH_NS, now_ns)
        self._due = [
            each
            for each in hours
            if each.end_ns + _OVER_NS <= now_ns
            and each.start_ns >= now_ns - _REACH_NS
            and not each.is_near_spans
            and not each.is_summed
            and self._seen.get(each.number) == each.seen
        ]
        self._seen = {each.number: each.seen for each in hours}
        took_ns = round((monotonic() - began_s) * NS_PER_S)
        self._look_at_ns = now_ns + max(_LEAST_EVERY_NS, _REST_TIMES * took_ns)
