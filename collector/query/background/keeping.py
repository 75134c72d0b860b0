"""
Keeping spans that are worth it for as long as records: those of slow and failed requests.

Spans live for days and records for months. A day after a request its late parts have come; then
the spans and logs of its trace are copied to where they are kept. What comes later still is not.
"""

from collections.abc import Callable

from collector.clock import Clock
from collector.store import BUCKET_S, Store
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_DAY, NS_PER_S

_KEPT = "kept"
_BUCKET_NS = BUCKET_S * NS_PER_S
_PAGE = 500


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
        self._is_wanted = store.settings.keeps_spans
        self._span_ttl_ns = (store.settings.span_ttl_days or 0) * NS_PER_DAY
        self._settle_ns = min(NS_PER_DAY, self._span_ttl_ns // 2)
        self._done_ns = 0

    def step(self) -> bool:
        """
        Keep what is due of the next five minutes that have any; tell whether there may be more.

        Raises:
            StoreUnavailable, QueryTimeout: the next step does the same again.
        """
        now_ns = self._clock.now_ns()
        due_ns = (now_ns - self._settle_ns) // _BUCKET_NS * _BUCKET_NS
        if not self._is_wanted or self._done_ns >= due_ns:
            return False
        after_ns = max(self._store.get_progress(_KEPT), now_ns - self._span_ttl_ns)
        found = self._store.find_worth_keeping(after_ns, due_ns)
        trace_ids = found.trace_ids if found else ()
        for first in range(0, len(trace_ids), _PAGE):
            self._check_going_on()
            page = trace_ids[first : first + _PAGE]
            self._metrics.count("hopline_traces_kept_total", self._store.keep_traces(page))
        self._done_ns = found.start_ns + _BUCKET_NS if found else due_ns
        self._store.set_progress(_KEPT, self._done_ns)
        return found is not None
