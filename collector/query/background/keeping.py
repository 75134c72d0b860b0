"""
Keeping spans that are worth it longer than the others: those of slow and failed requests.

Spans live for days and records for months. A day after a request its late parts have come; then
the spans and logs of its trace are copied to where they are kept. A day before they go, those that
came later still are added.
"""

from collections.abc import Callable
from dataclasses import dataclass

from collector.clock import Clock
from collector.store import BUCKET_S, Store
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_DAY, NS_PER_S

_BUCKET_NS = BUCKET_S * NS_PER_S
_PAGE = 500


@dataclass(slots=True)
class _Round:
    """Once through all requests, each at the age of `age_ns`; `done_ns` is where it has come."""

    name: str
    age_ns: int
    is_of_late: bool
    done_ns: int = 0


class Keeping:
    """
    Copies what is worth keeping, five minutes of requests a step. Not thread-safe.

    *check_going_on* raises when the work is to end, or has gone to another process.
    """

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, check_going_on: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._check_going_on = check_going_on
        retention = store.settings.retention
        self._span_ttl_ns = retention.span_days * NS_PER_DAY
        self._settle_ns = min(NS_PER_DAY, self._span_ttl_ns // 2)
        last_ns = self._span_ttl_ns - self._settle_ns
        rounds = [_Round("kept", self._settle_ns, is_of_late=False)]
        if last_ns > self._settle_ns:
            rounds.append(_Round("kept late", last_ns, is_of_late=True))
        self._rounds = rounds if retention.does_keep else []

    def step(self) -> bool:
        """
        Keep what is due of the next five minutes that have any; tell whether there may be more.

        Raises:
            StoreUnavailable, QueryTimeout: the next step does the same again.
        """
        return any(self._go_on(each) for each in self._rounds)

    def _go_on(self, each: _Round) -> bool:
        now_ns = self._clock.now_ns()
        due_ns = (now_ns - each.age_ns) // _BUCKET_NS * _BUCKET_NS
        if each.done_ns >= due_ns:
            return False
        after_ns = max(self._store.get_progress(each.name), now_ns - self._span_ttl_ns)
        found = self._store.find_worth_keeping(after_ns, due_ns)
        if found:
            # the first round took what had come by then, and maybe more
            came_ns = found.start_ns + _BUCKET_NS + self._settle_ns if each.is_of_late else None
            traces = list(found.apis.items())
            for first in range(0, len(traces), _PAGE):
                self._check_going_on()
                count = self._store.keep_traces(dict(traces[first : first + _PAGE]), came_ns)
                self._metrics.count("hopline_traces_kept_total", count)
        each.done_ns = found.start_ns + _BUCKET_NS if found else due_ns
        self._store.set_progress(each.name, each.done_ns)
        return found is not None
