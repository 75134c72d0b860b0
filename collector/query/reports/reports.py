"""
What can be asked about many requests at once, each question with the parameters it takes.
"""

from collections.abc import Iterable

from collector.clock import Clock
from collector.decode.redaction.secrets import Secrets
from collector.query.learned.clocks import ClockReport, Clocks
from collector.query.learned.freshness import Freshness
from collector.query.learned.likely_partners import LikelyPartners
from collector.query.reports.apis import ApiReports, Apis
from collector.query.reports.budget import Budget, Budgets
from collector.query.reports.change import Changes
from collector.query.reports.changes import FindingChanges
from collector.query.reports.compare import Comparing, Comparison
from collector.query.reports.doctor import Doctor, DoctorReport
from collector.query.reports.heat import Heat, HeatReports
from collector.query.reports.joins import JoinReport, Joins
from collector.query.reports.outcomes import OutcomeReport, Outcomes
from collector.query.reports.sampling import Sampling
from collector.query.reports.series import Series, SeriesReports
from collector.query.reports.services import Edges, ServiceReports, Services
from collector.query.reports.slow import Slow, SlowReports
from collector.query.reports.storage import Storage, StorageReports
from collector.query.results import Sources
from collector.query.search.filters import collect_pairs
from collector.query.search.spelling import Spelling
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.timelines import Timelines
from collector.store import Store, ToldChange

Pairs = Iterable[tuple[str, str]]


class Reports:
    """
    Answers questions about many requests. Thread-safe.

    Every method raises `BadQuestion` for a parameter that is unknown or cannot be understood; the
    message names it. Names that only differ in case from known ones are read as those, with a note.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rows: RowStitching,
        freshness: Freshness,
        clocks: Clocks,
        likely_partners: LikelyPartners,
        timelines: Timelines,
        secrets: Secrets,
    ) -> None:
        self._freshness = freshness
        self._clocks = clocks
        self._spelling = Spelling(store, clock, freshness)
        samples = Sampling(store, clock, freshness, rows)
        self._apis = ApiReports(store, clock, freshness)
        self._services = ServiceReports(store, clock)
        self._slow = SlowReports(store, clock)
        self._heat = HeatReports(store, clock)
        self._series = SeriesReports(store, clock)
        self._doctor = Doctor(store, samples, freshness)
        self._outcomes = Outcomes(samples)
        self._joins = Joins(samples, likely_partners)
        self._budgets = Budgets(store, clock)
        self._changes = FindingChanges(store, clock, secrets)
        self._storage = StorageReports(store, clock)
        self._comparing = Comparing(store, clock, timelines, rows)

    def sources(self, pairs: Pairs = ()) -> Sources:
        """Return how fresh and complete each source is, by name."""
        collect_pairs(pairs, ())
        return Sources(sources=tuple(self._freshness.reports()))

    def apis(self, pairs: Pairs = ()) -> Apis:
        """
        Return the APIs seen in a range, the busiest first; default: the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood.
        """
        return self._spelling.answer(pairs, self._apis.report)

    def services(self, pairs: Pairs = ()) -> Services:
        """Return what each service did in a range, the busiest first."""
        return self._spelling.answer(pairs, self._services.services)

    def edges(self, pairs: Pairs = ()) -> Edges:
        """Return who called whom in a range, and the nodes of that map."""
        return self._spelling.answer(pairs, self._services.edges)

    def slow(self, pairs: Pairs = ()) -> Slow:
        """Return what slow, failed or any chosen requests have that others have not."""
        return self._spelling.answer(pairs, self._slow.report)

    def heat(self, pairs: Pairs = ()) -> Heat:
        """Return how many requests took how long when."""
        return self._spelling.answer(pairs, self._heat.report)

    def series(self, pairs: Pairs = ()) -> Series:
        """Return how many requests each API had when."""
        return self._spelling.answer(pairs, self._series.report)

    def clocks(self, pairs: Pairs = ()) -> ClockReport:
        """Return what is known of the hosts' clocks, by pair of hosts."""
        collect_pairs(pairs, ())
        return self._clocks.report()

    def storage(self, pairs: Pairs = ()) -> Storage:
        """Return what is kept, for how long, and what it takes on the disk."""
        return self._storage.report(pairs)

    def doctor(self, pairs: Pairs = ()) -> DoctorReport:
        """Return what is wrong again and again in a sample, the most frequent first."""
        return self._spelling.answer(pairs, self._doctor.report)

    def budget(self, pairs: Pairs = ()) -> Budget:
        """Return whether requests keep to targets, who spends their time, and what would help."""
        return self._spelling.answer(pairs, self._budgets.report)

    def changes(self, pairs: Pairs = ()) -> Changes:
        """Return what was new in a range, and what came with it, the newest first."""
        return self._spelling.answer(pairs, self._changes.report)

    def tell_change(self, document: object) -> ToldChange:
        """Keep what a deployment tool says it changed."""
        return self._changes.tell(document)

    def compare(self, pairs: Pairs) -> Comparison:
        """Return a request against another one, or against the typical one of its route."""
        return self._comparing.compare(pairs)

    def joins(self, pairs: Pairs = ()) -> JoinReport:
        """Return how the gateway records of a sample are joined."""
        return self._spelling.answer(pairs, self._joins.report)

    def outcomes(self, pairs: Pairs = ()) -> OutcomeReport:
        """Return what consumers got against what happened inside, in a sample."""
        return self._spelling.answer(pairs, self._outcomes.report)
