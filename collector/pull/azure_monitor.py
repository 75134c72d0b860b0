"""
The Log Analytics poller: gateway records that Azure keeps, fetched a few minutes after the fact.

Each (workspace, table) is a source with a watermark on ingestion time. A poll asks for everything
ingested since the watermark, minus an overlap because rows become visible a little out of order,
in windows small enough to be answered whole; it hands the rows to the sink and moves the watermark
only when they are durable. The overlap's rows are recognised and not taken twice. After a crash
between the two, rows are taken again: readers see one record, because its id is the same.

Where several nodes may poll the same sources, one of them at a time does: a poll begins with what
whoever polled last has saved, and ends where the turn is lost.

What it asks is built in `tables.py`, how it is asked in `log_analytics.py`.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from collector.clock import Clock
from collector.decode.timestamps import parse_timestamp
from collector.errors import (
    CollectorError,
    SearchOnly,
    SourceDenied,
    SourceUnavailable,
    StoreUnavailable,
)
from collector.model import GatewayRecord, RecordError
from collector.pull.log_analytics import Answer, LogAnalyticsClient
from collector.pull.sink import RecordSink, count_ignored
from collector.pull.tables import (
    INGESTED_AT,
    ROW,
    PulledTable,
    get_table,
    search_time_span,
    time_span,
)
from collector.pull.watermarks import Progress, ProgressStore, WatermarkFile, fingerprint
from collector.settings import AzureSettings
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S

ROW_LIMIT = 2_500
"""Rows of one answer: the SDK parses its 3 MB in one piece, 30 ms in which the doors wait."""

_SMALLEST_WINDOW_NS = NS_PER_S
_CHUNK_ROWS = 200  # 10 ms of decoding: between two chunks the doors get their turn
_DENIED_INTERVAL_S = 300
_SEARCH_INTERVAL_S = 300  # each question to a Basic table is paid for by what it spans
_LONGEST_BACKOFF_S = 300
_STORE_INTERVAL_S = 5  # until progress can be read and saved nothing is asked
_TURN_LOOK_S = 1.0  # how soon it is noticed that the turn has come
_PARALLEL_QUERIES = 4  # Azure runs 5 of a user at once and queues the rest

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Source:
    workspace: str
    table: PulledTable
    kept: ProgressStore
    progress: Progress
    window_ns: int
    due_ns: int = 0
    failures: int = 0
    is_search: bool = False  # the table is on the Basic or Auxiliary plan

    @property
    def name(self) -> str:
        return f"azure-monitor/{self.workspace}/{self.table.name}"


class AzureMonitorPoller:
    """
    Polls every table of every workspace.

    `run` goes on until its event is set. `poll_once` asks every source that is due and held, and
    returns when all are up to date or have failed; failures are kept with the source's progress.
    *open_progress* gives what keeps it, by workspace and table; without it that is a file.

    Raises:
        ConfigError: an unknown table, or an endpoint that is not https.
    """

    def __init__(
        self,
        settings: AzureSettings,
        intake: RecordSink,
        clock: Clock,
        metrics: Metrics,
        *,
        client: LogAnalyticsClient | None = None,
        row_limit: int = ROW_LIMIT,
        open_progress: Callable[[str, str], ProgressStore] | None = None,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._row_limit = row_limit
        self._client = client or LogAnalyticsClient(settings)
        self._permits = asyncio.Semaphore(_PARALLEL_QUERIES)
        self._stop = asyncio.Event()
        self._quiet_until_ns = 0
        self._open_progress = open_progress or partial(WatermarkFile, settings.state_directory)
        self._sources = [
            self._open_source(workspace, get_table(table))
            for workspace in settings.scopes
            for table in settings.tables
        ]

    def _open_source(self, workspace: str, table: PulledTable) -> _Source:
        return _Source(
            workspace=workspace,
            table=table,
            kept=self._open_progress(workspace, table.name),
            progress=Progress(workspace, table.name),
            window_ns=self._settings.max_window_s * NS_PER_S,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until *stop* is set; an answer that is being stored is stored first."""
        self._stop = stop
        try:
            await asyncio.gather(*(self._follow(source) for source in self._sources))
        finally:
            await self.close()

    async def close(self) -> None:
        """End the connections; `run` does so itself."""
        await self._client.close()

    async def poll_once(self) -> float:
        """Bring every source that is due up to date; return in how many seconds one is again."""
        due = [each for each in self._sources if each.kept.is_held() and not self._wait_s(each)]
        await asyncio.gather(*(self._poll(source) for source in due))
        return min(map(self._wait_s, self._sources), default=math.inf)

    def _wait_s(self, source: _Source) -> float:
        return max(0.0, (source.due_ns - self._clock.monotonic_ns()) / NS_PER_S)

    async def _follow(self, source: _Source) -> None:
        """Poll one source for ever: one that catches up on hours holds up no other."""
        while not self._stop.is_set():
            wait_s = self._wait_s(source)
            if not source.kept.is_held():
                wait_s = _TURN_LOOK_S
                # it does not grow here: another one may show it
                self._metrics.forget("hopline_pull_lag_seconds", source=source.name)
            if wait_s:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait_s)
            else:
                await self._poll(source)

    async def _poll(self, source: _Source) -> None:
        try:
            source.progress = await asyncio.to_thread(source.kept.load)
            await self._catch_up(source)
            if not source.kept.is_held():
                return
            source.progress.succeed(self._clock.now_ns())
            source.failures = 0
            await self._save(source)
            least_s = _SEARCH_INTERVAL_S if source.is_search else 0
            self._schedule(source, max(self._settings.poll_interval_s, least_s))
        except CollectorError as exc:
            await self._note_failure(source, exc)
        except Exception as exc:  # a bug in one source must not stop the others
            _log.exception("%s: polling failed", source.name)
            await self._note_failure(source, CollectorError(f"{type(exc).__name__}: {exc}"))
        self._report_lag(source)

    async def _catch_up(self, source: _Source) -> None:
        """Read window after window from the watermark, less the overlap, up to now."""
        progress = source.progress
        end_ns = self._clock.now_ns()
        if not progress.watermark_ns:
            progress.watermark_ns = end_ns - self._settings.lookback_s * NS_PER_S
        cursor_ns = progress.watermark_ns - self._settings.overlap_s * NS_PER_S
        while cursor_ns < end_ns and not self._stop.is_set():
            until_ns = min(cursor_ns + source.window_ns, end_ns)
            answer = await self._ask(source, cursor_ns, until_ns)
            if not source.kept.is_held():
                return  # an answer takes minutes at times: these rows are another one's by now
            if answer is None:
                continue
            await self._store(source, answer.rows)
            # With a clock ahead of Azure's, rows of "the past" would still be ingested.
            is_ahead = answer.service_now_ns is not None and answer.service_now_ns < until_ns
            reached_ns = min(until_ns, answer.service_now_ns or until_ns)
            progress.watermark_ns = max(progress.watermark_ns, reached_ns)
            progress.forget_before(progress.watermark_ns - self._settings.overlap_s * NS_PER_S)
            cursor_ns = end_ns if is_ahead else until_ns
            await self._save(source)
            self._report_lag(source)
            if len(answer.rows) < self._row_limit // 2:
                longest_ns = self._settings.max_window_s * NS_PER_S
                source.window_ns = min(source.window_ns * 2, longest_ns)

    async def _ask(self, source: _Source, start_ns: int, end_ns: int) -> Answer | None:
        """Return the rows of one window, or `None` after making the next window smaller."""
        is_smallest = end_ns - start_ns <= _SMALLEST_WINDOW_NS
        # In the smallest window the service's own limit is the only one left.
        limit = None if is_smallest else self._row_limit
        async with self._permits:
            try:
                answer = await self._query(source, start_ns, end_ns, limit)
            except SearchOnly as exc:
                if source.is_search or source.workspace.startswith("/"):
                    raise
                source.is_search = True
                _log.info(
                    "%s: %s; it is queried through /search from now on", source.name, exc.message
                )
                return None
        if not answer.partial_reason and (is_smallest or len(answer.rows) < self._row_limit):
            return answer
        if not is_smallest:
            source.window_ns = max(_SMALLEST_WINDOW_NS, (end_ns - start_ns) // 2)
            return None
        self._metrics.count("hopline_pull_failures_total", source=source.name, reason="partial")
        _log.warning(
            "%s: rows ingested from %s on are incomplete, and the window cannot be smaller: %s",
            source.name,
            datetime.fromtimestamp(start_ns / NS_PER_S, UTC).isoformat(),
            answer.partial_reason,
        )
        return answer

    async def _query(
        self, source: _Source, start_ns: int, end_ns: int, limit: int | None
    ) -> Answer:
        table, scope = source.table, source.workspace
        if source.is_search:
            text, span = table.search_query(start_ns, end_ns, limit), search_time_span
        else:
            text, span = table.query(start_ns, end_ns, limit), time_span
        return await self._client.query(
            scope, text, span(start_ns, end_ns), is_search=source.is_search
        )

    async def _store(self, source: _Source, rows: Sequence[dict[str, Any]]) -> None:
        """Hand over the rows that are new, chunk by chunk; each is remembered once durable."""
        progress = source.progress
        for first in range(0, len(rows), _CHUNK_ROWS):
            fresh: dict[str, tuple[int, dict[str, Any]]] = {}
            rejected: list[RecordError] = []
            for packed in rows[first : first + _CHUNK_ROWS]:
                unpacked = _unpack(packed)
                if unpacked is None:
                    rejected.append(RecordError(-1, "the row came back unreadable"))
                    continue
                row, second = unpacked
                mark = fingerprint(row)
                if mark in fresh or progress.has_seen(second, mark):
                    progress.rows_repeated += 1
                else:
                    fresh[mark] = (second, row)
            decoded = source.table.decode([row for _, row in fresh.values()])
            count_ignored(decoded, self._metrics, "pull")
            await self._hand_over(source, decoded.records, [*rejected, *decoded.rejected])
            for mark, (second, _) in fresh.items():
                progress.remember(second, mark)

    async def _hand_over(
        self, source: _Source, records: Sequence[GatewayRecord], rejected: Sequence[RecordError]
    ) -> None:
        if records:
            await self._intake.accept_records(records, door="pull", source=source.name)
            self._metrics.count(
                "hopline_pull_records_accepted_total", len(records), source=source.name
            )
            source.progress.rows_accepted += len(records)
        for error in rejected:
            self._metrics.count(
                "hopline_intake_records_rejected_total", door="pull", reason=error.code
            )
        if rejected:
            source.progress.rows_rejected += len(rejected)
            _log.warning(
                "%s: %d rows cannot be read, the first because %s",
                source.name,
                len(rejected),
                rejected[0].reason,
            )

    async def _note_failure(self, source: _Source, exc: CollectorError) -> None:
        source.failures += 1
        source.progress.fail(exc, self._clock.now_ns())
        self._metrics.count("hopline_pull_failures_total", source=source.name, reason=exc.code)
        _log.warning("%s: %s%s", source.name, exc.message, f" ({exc.hint})" if exc.hint else "")
        if isinstance(exc, SourceDenied):
            self._schedule(source, max(_DENIED_INTERVAL_S, self._settings.poll_interval_s))
        elif isinstance(exc, StoreUnavailable):
            self._schedule(source, _STORE_INTERVAL_S)
        elif exc.retry_after_s is not None:
            if isinstance(exc, SourceUnavailable):
                self._keep_quiet(exc.retry_after_s)
            self._schedule(source, max(exc.retry_after_s, 1))
        else:
            # A window that timed out or broke the connection may be too large.
            source.window_ns = max(_SMALLEST_WINDOW_NS, source.window_ns // 2)
            wait_s = self._settings.poll_interval_s * 2 ** min(source.failures - 1, 10)
            self._schedule(source, min(wait_s, _LONGEST_BACKOFF_S))
        with contextlib.suppress(OSError, CollectorError):
            await self._save(source)

    def _keep_quiet(self, seconds: int) -> None:
        """Ask nothing for a while: Azure throttles the identity, not the one query."""
        until_ns = self._clock.monotonic_ns() + seconds * NS_PER_S
        self._quiet_until_ns = max(self._quiet_until_ns, until_ns)
        for source in self._sources:
            source.due_ns = max(source.due_ns, self._quiet_until_ns)

    def _schedule(self, source: _Source, wait_s: int) -> None:
        due_ns = self._clock.monotonic_ns() + wait_s * NS_PER_S
        source.due_ns = max(due_ns, self._quiet_until_ns)

    async def _save(self, source: _Source) -> None:
        # A disk or a server takes as long as it likes: the doors go on meanwhile.
        await asyncio.to_thread(source.kept.save, source.progress)

    def _report_lag(self, source: _Source) -> None:
        if source.progress.watermark_ns:
            lag_ns = self._clock.now_ns() - source.progress.watermark_ns
            self._metrics.gauge("hopline_pull_lag_seconds", lag_ns / NS_PER_S, source=source.name)


def _unpack(packed: dict[str, Any]) -> tuple[dict[str, Any], int] | None:
    """Return a row and the Unix second in which it was ingested; `None` if it is no such thing."""
    row = packed.get(ROW)
    try:
        row = orjson.loads(row) if isinstance(row, str) else row
        second = parse_timestamp(packed.get(INGESTED_AT)).ns // NS_PER_S
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    row.pop(INGESTED_AT, None)
    return row, second
