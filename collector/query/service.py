"""
The questions people ask about requests, each answered from the store by the rules of `stitch`.

In: text as it was written. Out: values that are answers (see `collector.answers`). Blocking;
thread-safe.
"""

from collections.abc import Sequence

from collector.asking import AsideExecutor
from collector.clock import Clock
from collector.decode.records.from_spans import ServiceRule
from collector.decode.redaction.secrets import Secrets, built_in
from collector.query.background.worker import STITCHED, Background
from collector.query.learned.clocks import Clocks
from collector.query.learned.freshness import Freshness
from collector.query.learned.likely_partners import LikelyPartners
from collector.query.reports.reports import Reports
from collector.query.reports.traces import Traces
from collector.query.search.search import Searches
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import Stitching
from collector.query.timelines.timelines import Timelines
from collector.stitch.time.placement import ClockOffsets
from collector.store import Lease, Store
from collector.telemetry import METRICS, Metrics

# One read beside the own one of each thread that asks; more only wait for a core.
_ASIDE_THREADS = 4


class QueryService:
    """
    Everything that can be asked: `timelines` about one request, `searches` for lists of them,
    `reports` about many, `traces` in the terms of tracing tools.

    Every question raises `BadQuestion` for a parameter that cannot be understood, and what the
    store raises: `StoreUnavailable`, `QueryTimeout` (both retryable), `TooExpensive`.
    *gateway_services* are taken as gateways beside those that their spans give away; *secrets* are
    masked in what is told and logged.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        freshness: Freshness,
        *,
        metrics: Metrics = METRICS,
        gateway_services: Sequence[ServiceRule] = (),
        secrets: Secrets | None = None,
    ) -> None:
        self.secrets = secrets or built_in()
        self._clock = clock
        self._freshness = freshness
        self.metrics = metrics
        # one timeline never waits for the reads of searches
        aside = AsideExecutor(_ASIDE_THREADS, thread_name_prefix="hopline-read")
        one_aside = AsideExecutor(_ASIDE_THREADS, thread_name_prefix="hopline-read-one")

        def offsets_at(moment_ns: int) -> ClockOffsets:
            return self._clocks.offsets_at(moment_ns)

        stitching = Stitching(freshness, metrics, gateway_services, offsets_at)
        likely_partners = LikelyPartners(store, clock, freshness)
        rows = RowStitching(store, stitching, aside, likely_partners)
        self._clocks = Clocks(store, clock, rows)
        self._store, self._rows, self._likely_partners = store, rows, likely_partners
        self.timelines = Timelines(store, clock, freshness, stitching, likely_partners, one_aside)
        self.searches = Searches(store, clock, freshness, rows)
        self.reports = Reports(
            store,
            clock,
            rows,
            freshness,
            self._clocks,
            likely_partners,
            self.timelines,
            self.secrets,
        )
        self.traces = Traces(store, clock, freshness, rows)

    def now_ns(self) -> int:
        """Return the moment that relative times count from."""
        return self._clock.now_ns()

    def note_freshness(self) -> None:
        """Bring the metrics that tell how fresh each source is up to date."""
        self._freshness.note(self.metrics)

    def background(self, cpu_ratio: float) -> Background:
        """Return what stitches arriving requests, in *cpu_ratio* of one core."""
        return Background(
            self._store,
            self._clock,
            self._rows,
            self.metrics,
            cpu_ratio=cpu_ratio,
            lease=Lease(self._store, STITCHED),
        )

    @property
    def rows(self) -> RowStitching:
        """What turns rows of the store into timelines, for work that nobody waits for."""
        return self._rows

    def close(self) -> None:
        """Wait for what runs in the background; the store may be closed afterwards."""
        self._freshness.close()
        self._clocks.close()
        self._likely_partners.close()
