"""
The store: one object over one ClickHouse database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from urllib.parse import unquote, urlsplit

from collector.asking import AsideExecutor
from collector.clock import Clock
from collector.errors import ConfigError
from collector.model import GatewayRecord, LogRecord, Span
from collector.settings import StoreSettings
from collector.store import (
    changes,
    leases,
    loads,
    logged,
    population,
    pulled,
    reads,
    sampling,
    stitched,
    summaries,
)
from collector.store.changes import ChangeFilter, ToldChange, ValueCount, Visit
from collector.store.connections import Connections
from collector.store.disk import ApiShare, DayOfKind, get_api_shares, get_days
from collector.store.hours import RecordHour, find_record_hours, sum_record_hour
from collector.store.in_order import RecordsInOrder
from collector.store.kept import WorthKeeping, find_worth_keeping, keep_traces
from collector.store.loading import load_file
from collector.store.logged import LoggedStat, LostLines
from collector.store.migrations import find_table_settings, migrate
from collector.store.parts import PartWatch
from collector.store.population import (
    EdgeStat,
    GroupKey,
    GroupStat,
    ObservedRequest,
    SeriesStat,
    ServiceStat,
    ShareStat,
    StitchedCount,
)
from collector.store.pulled import PolledSource, PullProgress
from collector.store.reads import Source, TracePlace, ask
from collector.store.rendering import build_names
from collector.store.rows import (
    IdHit,
    LinkingSpan,
    LoadableSegment,
    RequestFilter,
    RequestRow,
    SourceStat,
    TraceSummary,
)
from collector.store.sampling import Edge
from collector.store.search import find_requests
from collector.store.sql import SqlReader
from collector.store.stitched import Arrivals, StitchedKey, StitchedRequest
from collector.store.upgrade import Say
from collector.telemetry import Metrics


def open_store(settings: StoreSettings, clock: Clock, metrics: Metrics) -> "Store":
    """
    Connect; the tables are there after `Store.migrate`.

    A database in the URL goes before the setting. A tenant's is named by both.

    Raises:
        StoreUnavailable: the engine or the server does not answer. Retryable.
        ConfigError: the database or cluster name cannot be used.
    """
    path = urlsplit(settings.url).path.strip("/")
    database = unquote(path) or settings.database
    if settings.tenant:
        # a name of a tenant has no two separators in a row: no two have the same database
        database += "_" + settings.tenant.replace("-", "__")
    settings = replace(settings, database=database)
    return Store(settings, clock, metrics)


# the reads of one search, one beside the other
_ASIDE_THREADS = 6


class Store:
    """
    Loads of segments, and the named reads. Thread-safe.

    Every read raises `StoreUnavailable` (retryable), `QueryTimeout` (retryable) or `TooExpensive`
    (never retried). An unknown id gives an empty list, never an error.
    """

    def __init__(self, settings: StoreSettings, clock: Clock, metrics: Metrics) -> None:
        self.settings = settings
        self._clock = clock
        self._metrics = metrics
        try:
            build_names(settings)  # names that cannot be used are refused before anything opens
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc
        self.connections = Connections(settings)
        self._parts = PartWatch(
            settings.database,
            metrics,
            self.connections.writing,
            is_embedded=self.connections.is_embedded,
        )
        self._aside = AsideExecutor(_ASIDE_THREADS, thread_name_prefix="hopline-search")
        self._source = Source(self.connections.reading, self._aside, settings.database)
        self.records_in_order = RecordsInOrder(self.connections, settings.database)

    def migrate(self, say: Say | None = None) -> list[str]:
        """
        Bring the tables up to date; return the names of the schema files that were applied now.

        Each step of an upgrade is told to *say*, else to the log. Interrupted anywhere, it goes on
        when it is called again.

        Raises:
            ConfigError: a table would have to be rewritten. Nothing was changed.
            StoreUnavailable: the engine or the server does not answer. Retryable.
        """
        with self.connections.writing() as client:
            names = build_names(self.settings, find_table_settings(client))
            return migrate(client, names, self.settings.retention, say=say)

    def ping(self) -> None:
        """
        Ask ClickHouse for an answer.

        Raises:
            StoreUnavailable: there is none. Retryable.
        """
        with self.connections.reading() as client:
            client.command("SELECT 1")

    def open_sql(self) -> SqlReader:
        """
        Open clients for statements of others, over tables that are there; `close` closes them too.

        Raises:
            StoreUnavailable: the engine or the server does not answer. Retryable.
        """
        return SqlReader(self.connections, self.settings.database)

    @property
    def is_embedded(self) -> bool:
        """Whether the engine runs inside this process, and nobody else has it."""
        return self.connections.is_embedded

    def close(self) -> None:
        """Let the connections go; the embedded engine ends."""
        self._aside.shutdown()
        self.connections.close()

    def load(self, segment: LoadableSegment) -> None:
        """
        Load *segment*; when this returns, its rows are on disk, whole. Loading it again changes
        nothing. Several threads may load at once, each another segment.

        Raises:
            StoreRejectedRows: ClickHouse refuses the bytes for good; no row of it is stored.
            StoreUnavailable: anything else; it may be stored or not. Load it again.
        """
        began = perf_counter()
        with self._parts.load(), self.connections.loading() as client:
            load_file(
                client,
                self.settings.database,
                segment.stream,
                segment.path,
                segment.id,
                is_embedded=self.connections.is_embedded,
            )
        with self.connections.writing() as client:
            loads.note_late(client, self.settings.database, segment, self._clock.now_ns())
        stream = str(segment.stream)
        self._metrics.observe("hopline_store_load_seconds", perf_counter() - began, stream=stream)
        self._metrics.count("hopline_store_segments_loaded_total", stream=stream)

    def recover(self) -> None:
        """
        Put the tables in order after a start: what they lost is forgotten, so it can be loaded.

        Raises:
            StoreUnavailable: not possible now. Retryable.
        """
        self._parts.recover()

    def check_parts(self) -> bool:
        """
        Check what merges have written; tell whether segments let go must be loaded again.

        Raises:
            StoreUnavailable: something was not whole, and is taken out. Retryable.
        """
        return self._parts.check()

    def hold_merges(self, *, is_held: bool) -> None:
        """Stop merges, which need room on the disk, or let them go on. A server decides itself."""
        if self.connections.is_embedded:
            with self.connections.writing() as client:
                client.command(f"SYSTEM {'STOP' if is_held else 'START'} MERGES")

    def get_disk_days(self) -> Sequence[DayOfKind]:
        """Return what the tables take on the disk of the node that is asked, by kind and day."""
        with self.connections.reading() as client:
            return get_days(client, self.settings.database)

    def get_api_shares(self) -> Sequence[ApiShare]:
        """Return what the APIs with times of their own have of what is stored."""
        with self.connections.reading() as client:
            return get_api_shares(client, self.settings.database, self.settings.retention)

    def find_ids(self, keys: Sequence[str]) -> list[IdHit]:
        """Return every trace and gateway record that carries one of *keys*, newest first."""
        if not keys:
            return []
        with self.connections.reading() as client:
            return reads.find_ids(client, self.settings.database, keys)

    def find_span_ids(self, span_ids: Sequence[str]) -> list[IdHit]:
        """Return the traces in which spans have one of *span_ids*, newest first."""
        if not span_ids:
            return []
        with self.connections.reading() as client:
            return reads.find_span_ids(client, self.settings.database, span_ids)

    def find_linking(
        self,
        trace_ids: Sequence[str],
        start_ns: int,
        end_ns: int,
        *,
        received_until_ns: int | None = None,
    ) -> list[LinkingSpan]:
        """Return the first spans of other traces in a range that link to one of *trace_ids*."""
        with self.connections.reading() as client:
            return reads.find_linking(
                client, self.settings.database, trace_ids, start_ns, end_ns, received_until_ns
            )

    def get_spans(
        self,
        trace_ids: Sequence[str],
        *,
        services: Sequence[str] = (),
        received_until_ns: int | None = None,
        limit: int = 200_000,
        buckets: Mapping[str, Sequence[int]] | None = None,
        is_brief: bool = False,
    ) -> list[Span]:
        """
        Return the spans of *trace_ids* by trace and start, exact duplicates dropped.

        Of all services, or of those in *services*. Traces with *buckets* (see `RequestRow`) are
        read there without being looked up. *is_brief* leaves out events, links, trace states and
        when spans were received.
        """
        if not trace_ids:
            return []
        with self.connections.reading() as client:
            return reads.get_spans(
                client,
                self.settings.database,
                trace_ids,
                received_until_ns,
                limit,
                services=services,
                buckets=buckets,
                is_brief=is_brief,
            )

    def get_logs(
        self,
        trace_ids: Sequence[str],
        *,
        received_until_ns: int | None = None,
        limit: int = 50_000,
    ) -> list[LogRecord]:
        """Return the log records that name one of *trace_ids*, by time."""
        if not trace_ids:
            return []
        with self.connections.reading() as client:
            return reads.get_logs(
                client, self.settings.database, trace_ids, received_until_ns, limit
            )

    def find_logs(
        self,
        keys: Sequence[str],
        *,
        received_until_ns: int | None = None,
        limit: int = 5_000,
    ) -> list[LogRecord]:
        """Return the log records without a trace id that carry one of *keys*, by time."""
        if not keys:
            return []
        with self.connections.reading() as client:
            return reads.find_logs(client, self.settings.database, keys, received_until_ns, limit)

    def read_lines(
        self, keys: Iterable[str], buckets: Iterable[int], *, limit: int = 5_000
    ) -> list[LogRecord]:
        """Return the log records of *buckets*, five minutes each, that carry one of *keys*."""
        with self.connections.reading() as client:
            return reads.read_lines(client, self.settings.database, keys, buckets, limit)

    def get_records(
        self,
        *,
        trace_ids: Sequence[str] = (),
        record_keys: Sequence[tuple[str, str]] = (),
        received_until_ns: int | None = None,
        starts: Mapping[tuple[str, str], int] | None = None,
        held: Iterable[tuple[str, str]] = (),
        is_brief: bool = False,
    ) -> list[GatewayRecord]:
        """
        Return all stored versions of the records of *trace_ids* or (gateway, record id) keys.

        Keys with a start in *starts* are read there without being looked up; those of them in
        *held*, which a row of a search brought, are not read there again. *is_brief* leaves out
        the records' own text.
        """
        if not trace_ids and not record_keys:
            return []
        with self.connections.reading() as client:
            return reads.get_records(
                client,
                self.settings.database,
                trace_ids,
                record_keys,
                received_until_ns,
                starts=starts,
                held=held,
                is_brief=is_brief,
            )

    def find_requests(
        self, wanted: RequestFilter, limit: int = 50, cursor: str = ""
    ) -> list[RequestRow]:
        """
        Return at most *limit* requests that fit, in the filter's order.

        Each row's `cursor` continues behind it. Fewer rows than *limit* mean: there are no more.

        Raises:
            BadQuestion: the cursor is not one of this search. Never retried.
        """
        return find_requests(self._source, wanted, limit, cursor)

    def get_trace_summaries(self, trace_ids: Sequence[str]) -> list[TraceSummary]:
        """Return what the spans of *trace_ids* add up to; unknown ones are left out."""
        if not trace_ids:
            return []
        with self.connections.reading() as client:
            return summaries.get_trace_summaries(client, self.settings.database, trace_ids)

    def get_source_stats(self) -> list[SourceStat]:
        """
        Return what each source has delivered, the most recently heard of first.

        At most a thousand of a stream are named; the last rows are of all others together.
        """
        with self.connections.reading() as client:
            return summaries.get_source_stats(client, self.settings.database, self._clock.now_ns())

    def find_operations(self, service: str, start_ns: int, end_ns: int) -> list[tuple[str, str]]:
        """Return name and kind of the spans that *service* sent in [start_ns, end_ns)."""
        with self.connections.reading() as client:
            return reads.find_operations(client, self.settings.database, service, start_ns, end_ns)

    def get_group_stats(self, wanted: RequestFilter, fields: Sequence[str] = ()) -> list[GroupStat]:
        """
        Return what the gateway records that fit add up to, by gateway, API and *fields*.

        The busiest come first. Fields are of `GROUP_FIELDS`.
        """
        with self.connections.reading() as client:
            return population.get_group_stats(client, self.settings.database, wanted, fields)

    def get_whole_stat(self, wanted: RequestFilter) -> GroupStat:
        """Return what all gateway records that fit add up to, whatever API they are of."""
        with self.connections.reading() as client:
            return population.get_whole_stat(client, self.settings.database, wanted)

    def get_heat(self, wanted: RequestFilter, columns: int) -> list[tuple[int, int, float, float]]:
        """Return how many gateway records that fit took how long when, see `population`."""
        with self.connections.reading() as client:
            return population.get_heat(client, self.settings.database, wanted, columns)

    def get_series(self, wanted: RequestFilter, fields: Sequence[str] = ()) -> list[SeriesStat]:
        """Return how many requests each of these groups had when, see `population`."""
        with self.connections.reading() as client:
            return population.get_series(client, self.settings.database, wanted, fields)

    def get_share_stats(
        self, wanted: RequestFilter, fields: Sequence[str] = ()
    ) -> dict[GroupKey, ShareStat]:
        """Return what stitching knows of the same groups."""
        with self.connections.reading() as client:
            return population.get_share_stats(client, self.settings.database, wanted, fields)

    def get_join_coverage(
        self, wanted: RequestFilter, requests: float
    ) -> Mapping[tuple[str, str], float]:
        """
        Return the share with spans among the records that fit and left the gateway, by API.

        From a sample of a few hundred each; *requests* is about how many there are in all.
        """
        with self.connections.reading() as client:
            return summaries.get_join_coverage(
                client, self.settings.database, wanted, round(requests)
            )

    def get_service_stats(self, wanted: RequestFilter) -> list[ServiceStat]:
        """Return what each service did in the stitched requests that fit, the busiest first."""
        with self.connections.reading() as client:
            return population.get_service_stats(client, self.settings.database, wanted)

    def get_logged_stats(self, wanted: RequestFilter, *, by_service: bool) -> list[LoggedStat]:
        """Return what requests add up to that only access logs tell of, see `logged`."""
        with self.connections.reading() as client:
            return logged.get_logged_stats(
                client, self.settings.database, wanted, by_service=by_service
            )

    def find_lost_lines(self, start_ns: int, end_ns: int) -> list[LostLines]:
        """Return whose access logs have lines without any id, see `logged`."""
        with self.connections.reading() as client:
            return logged.find_lost_lines(client, self.settings.database, start_ns, end_ns)

    def get_edge_stats(
        self, wanted: RequestFilter, *, by_operation: bool = False
    ) -> list[EdgeStat]:
        """
        Return who called whom in the stitched requests that fit, the busiest first.

        *by_operation* tells the calls of gateways apart by API and operation.
        """
        with self.connections.reading() as client:
            return population.get_edge_stats(
                client, self.settings.database, wanted, by_operation=by_operation
            )

    def count_stitched(self, wanted: RequestFilter) -> StitchedCount:
        """Return how many stitched requests fit, and for how many they stand."""
        with self.connections.reading() as client:
            return population.count_stitched(client, self.settings.database, wanted)

    def count_bad(
        self, wanted: RequestFilter, since_ns: Sequence[int], good_within_ns: int | None
    ) -> list[tuple[float, float]]:
        """Return how many requests fit since each moment, and how many were bad; `population`."""
        with self.connections.reading() as client:
            return population.count_bad(
                client, self.settings.database, wanted, since_ns, good_within_ns
            )

    def find_observed(
        self, wanted: RequestFilter, limit: int, *, among: int
    ) -> list[ObservedRequest]:
        """
        Return stitched requests that fit, at most *limit* of *among* so many, drawn by hash.

        They are the same ones for the same data; those without a duration are left out.
        """
        with self.connections.reading() as client:
            return population.find_observed(
                client, self.settings.database, wanted, limit, among=among
            )

    def sample_requests(
        self, start_ns: int, end_ns: int, limit: int, *, api: str = ""
    ) -> list[RequestRow]:
        """Return requests of [start_ns, end_ns) drawn by hash: the same ones for the same data."""
        with self.connections.reading() as client:
            return sampling.sample_requests(
                client, self.settings.database, start_ns, end_ns, api, limit
            )

    def find_join_records(
        self, gateway: str, api: str, moment_ns: int, *, reach_ns: int, limit: int
    ) -> list[GatewayRecord]:
        """
        Return an API's records nearest to a moment, with the fields that tell times and ids.

        Without a *gateway*, those of every API that have no trace id.
        """
        with self.connections.reading() as client:
            return sampling.find_join_records(
                client, self.settings.database, gateway, api, moment_ns, reach_ns, limit
            )

    def find_edges(
        self,
        start_ns: int,
        end_ns: int,
        *,
        services: Sequence[str] = (),
        limit: int,
        with_sizes: bool = True,
    ) -> list[Edge]:
        """
        Return the edge spans nearest to the middle of [start_ns, end_ns), by start.

        What they say of the sizes of answers is left out without *with_sizes*.
        """
        with self.connections.reading() as client:
            return sampling.find_edges(
                client,
                self.settings.database,
                services,
                start_ns,
                end_ns,
                limit,
                with_sizes=with_sizes,
            )

    def find_claimed(self, edges: Sequence[Edge]) -> set[str]:
        """Return the ids of those traces that a gateway record names by one of their ids."""
        with self.connections.reading() as client:
            return sampling.find_claimed(client, self.settings.database, edges)

    def find_claimed_near(self, edges: Sequence[Edge]) -> set[str]:
        """Return the same of very many edges, by records that began ten minutes apart at most."""
        with self.connections.reading() as client:
            return sampling.find_claimed_near(client, self.settings.database, edges)

    def locate_traces(self, trace_ids: Iterable[str]) -> dict[str, TracePlace]:
        """Return where the spans of traces lie, by trace id; unknown ones are left out."""
        with self.connections.reading() as client:
            return reads.locate_traces(client, self.settings.database, trace_ids)

    def find_arrivals(self, after_ns: int, until_ns: int) -> Arrivals:
        """
        Return the records and traces of which something arrived in (*after_ns*, *until_ns*].

        Of many the earliest are returned; `Arrivals.until_ns` says how far they reach.
        """
        with self.connections.reading() as client:
            return stitched.find_arrivals(client, self.settings.database, after_ns, until_ns)

    def find_stitched(
        self, trace_ids: Iterable[str], request_ids: Iterable[str], starts_ns: Iterable[int]
    ) -> list[StitchedKey]:
        """Return the stitched requests of traces or ids that began in five minutes like these."""
        buckets = {stitched.bucket_of(moment) for moment in starts_ns}
        with self.connections.reading() as client:
            return stitched.find_stitched(
                client, self.settings.database, trace_ids, request_ids, buckets
            )

    def write_requests(
        self, requests: Sequence[StitchedRequest], gone: Sequence[StitchedKey], revision: int
    ) -> None:
        """
        Write stitched requests, and take those in *gone* back. The greater *revision* counts.

        Raises:
            StoreUnavailable: they may be written or not. Write them again.
        """
        with self.connections.writing() as client:
            stitched.write_requests(client, self.settings.database, requests, revision)
            stitched.forget_requests(client, self.settings.database, gone, revision)

    def find_worth_keeping(self, start_ns: int, end_ns: int) -> WorthKeeping | None:
        """Return traces to keep of the first five minutes in [start_ns, end_ns) with any."""
        with self.connections.reading() as client:
            return find_worth_keeping(
                client, self.settings.database, self.settings.retention, start_ns, end_ns
            )

    def keep_traces(self, apis: Mapping[str, str], late_ns: int | None = None) -> int:
        """
        Copy the spans and logs of traces to where they are kept; return of how many.

        *apis* is the API of each trace id, "" where none is known. With *late_ns* what came later
        is copied too of those that have a copy.

        Raises:
            StoreUnavailable: some may be copied. Called again it copies the rest.
        """
        with self.connections.writing() as client:
            return keep_traces(client, self.settings.database, apis, late_ns)

    def find_record_hours(self, start_ns: int, end_ns: int) -> Sequence[RecordHour]:
        """Return the hours with gateway records in a range and an hour around it, in order."""
        with self.connections.reading() as client:
            return find_record_hours(client, self.settings.database, start_ns, end_ns)

    def sum_record_hour(self, hour: RecordHour, revision: int) -> None:
        """
        Sum up the gateway records of an hour. The greatest revision counts.

        Raises:
            StoreUnavailable: it may be summed up or not. Sum it up again.
        """
        with self.connections.writing() as client:
            sum_record_hour(client, self.settings.database, hour, revision)

    def find_slow_bounds(self, start_ns: int, end_ns: int) -> dict[tuple[str, str], int]:
        """Return the 95th percentile of each (gateway, API), and of each ("", edge service)."""
        with self.connections.reading() as client:
            return stitched.find_slow_bounds(client, self.settings.database, start_ns, end_ns)

    def find_spellings(self, field: str, asked: str, start_ns: int, end_ns: int) -> list[str]:
        """
        Return how records of a range write the name of a gateway, API, operation or consumer.

        Returns:
            The most frequent spelling first; *asked* alone where one record has it so.
        """
        with self.connections.reading() as client:
            return reads.find_spellings(
                client, self.settings.database, field, asked, start_ns, end_ns
            )

    def has_hop_of(self, service: str, start_ns: int, end_ns: int) -> bool:
        """Tell whether a stitched request of a range has a hop of a service by this very name."""
        with self.connections.reading() as client:
            return reads.has_hop_of(client, self.settings.database, service, start_ns, end_ns)

    def get_progress(self, name: str) -> int:
        """Return the moment up to which the background work *name* is done, 0 for never."""
        with self.connections.reading() as client:
            return stitched.get_progress(client, self.settings.database, name)

    def set_progress(self, name: str, moment_ns: int) -> None:
        """Say up to which moment the background work *name* is done."""
        with self.connections.writing() as client:
            stitched.set_progress(client, self.settings.database, name, moment_ns)

    def find_late_loads(self, after_ns: int) -> list[loads.LateLoad]:
        """Return what was loaded late after the load stamped *after_ns*, oldest load first."""
        with self.connections.reading() as client:
            return loads.find_late(client, self.settings.database, after_ns)

    def claim(self, work: str, holder: str, lasts_ns: int) -> int | None:
        """
        Claim a piece of work that one process at a time does, or renew the claim; see `leases`.

        Returns:
            How many ns ago *holder* claimed it, when it is the one that holds it; else `None`.
        """
        with self.connections.writing() as client:
            return leases.claim(client, self.settings.database, work, holder, lasts_ns)

    def get_pull_progress(self, workspace: str, table: str) -> PullProgress | None:
        """Return what was kept last about a polled source, `None` when nothing was."""
        with self.connections.reading() as client:
            return pulled.get_progress(client, self.settings.database, workspace, table)

    def set_pull_progress(self, workspace: str, table: str, kept: PullProgress) -> None:
        """
        Keep what is known about a polled source, in place of what was.

        Raises:
            StoreUnavailable: it may be kept or not. Keeping it again does no harm.
        """
        with self.connections.writing() as client:
            pulled.set_progress(client, self.settings.database, workspace, table, kept)

    def find_polled_sources(self) -> list[PolledSource]:
        """Return what is known about each polled source, and whose turn it is."""
        with self.connections.reading() as client:
            return pulled.find_sources(client, self.settings.database)

    def get_node_status(self, kind: str) -> list[str]:
        """Return the latest document of this kind of every node."""
        with self.connections.reading() as client:
            rows = ask(client, "get_node_status", database=self.settings.database, kind=kind)
        return [document for _, document in rows]

    def set_node_status(self, node: str, kind: str, document: str) -> None:
        """Keep a document of this kind as the latest of *node*."""
        with self.connections.writing() as client:
            client.insert(
                f"{self.settings.database}.node_status",
                [[node, kind, self._clock.now_ns(), 0, document]],
                column_names=("node", "kind", "revision", "is_gone", "document"),
                settings={"distributed_foreground_insert": 1},
            )

    def find_values(self, wanted: ChangeFilter) -> tuple[list[ValueCount], list[str]]:
        """
        Return which revisions, versions, pods and so on the stitched requests had, over time.

        The second list names the kinds of which there are more than are returned.
        """
        with self.connections.reading() as client:
            return changes.find_values(client, self.settings.database, wanted)

    def find_visits(
        self, wanted: ChangeFilter, *, kind: str, names: Sequence[str], middle_ns: int
    ) -> list[Visit]:
        """Return a sample of the requests around a change; some have one of *names*."""
        with self.connections.reading() as client:
            return changes.find_visits(
                client, self.settings.database, wanted, kind=kind, names=names, middle_ns=middle_ns
            )

    def find_told(self, wanted: ChangeFilter) -> list[ToldChange]:
        """Return what deployment tools said they changed in a range, the newest first."""
        with self.connections.reading() as client:
            return changes.find_told(client, self.settings.database, wanted)

    def write_told(self, change: ToldChange, received_ns: int) -> None:
        """
        Keep what a deployment tool said.

        Raises:
            StoreUnavailable: it may be kept or not. Saying it again does no harm.
        """
        with self.connections.writing() as client:
            changes.write_told(client, self.settings.database, change, received_ns)
