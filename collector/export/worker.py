"""
The thread that sends gateway records on as spans.

It takes records in the order in which they came into the store, some time after, so that the
mesh's spans and the other gateways' records are there too. How far it has come is kept in the
store: it moves on when a page is delivered, so a crash repeats a page, with the same ids, and
leaves none out. While the endpoint is away everything waits. A record is sent once: what another of
its versions adds later is not. Of several processes that share a ClickHouse one sends.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from collector.clock import Clock
from collector.errors import CollectorError
from collector.export.sending import Outcome, Sender
from collector.export.spans import GONE, ExportedSpan, Subject, Wanted, inferred_spans, span_of
from collector.model import Span
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import SAMPLED
from collector.settings import ExportSettings
from collector.stitch.join.merge import merge_records
from collector.stitch.timeline import MergedRecord, Timeline
from collector.store import Lease, RequestRow, Store, StoredRecord
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S

POSITION = "exported"
_STEP_RECORDS = 1_000
_LONGEST_STEP_NS = 600 * NS_PER_S
_PAGE = 200
_BATCH = 256
_IDLE_S = 2.0
# Where nothing comes, how far it has come is written this often.
_WRITE_EVERY_NS = 60 * NS_PER_S
_FIRST_PAUSE_S, _MOST_PAUSE_S = 1.0, 60.0
_log = logging.getLogger(__name__)

_Stitched = tuple[RequestRow, Timeline | None, list[Span]]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: everything that came into the store up to `until_ns` is delivered."""

    records: int
    spans: int
    until_ns: int
    is_behind: bool


class NotDelivered(Exception):
    """The endpoint did not take a batch; it is sent again later."""


class Exporter:
    """Sends what arrives. Not thread-safe: one thread runs it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rows: RowStitching,
        sender: Sender,
        settings: ExportSettings,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._lease = Lease(store, POSITION)
        self._clock = clock
        self._rows = rows
        self._sender = sender
        self._wait_ns = settings.wait_s * NS_PER_S
        self._gateways = settings.gateways
        self._wanted = Wanted(
            frozenset(settings.gateways), settings.omitted, settings.has_inferred_hops
        )
        self._metrics = metrics
        self._written_ns = 0
        self._sent = 0

    def run(self, halt: threading.Event) -> None:
        """Work until *halt* is set. Never raises."""
        closer = threading.Thread(target=self._close_at, args=(halt,), name="export-end")
        closer.start()
        pause_s = _FIRST_PAUSE_S
        while not halt.is_set():
            began = monotonic()
            try:
                if not self._lease.is_held():  # another process, of those that share the store
                    halt.wait(_IDLE_S)
                    continue
                step = self.step(halt)
            except NotDelivered as exc:
                _log.warning("the export pauses for %g s: the endpoint says %s", pause_s, exc)
            except CollectorError as exc:
                _log.warning("the export pauses for %g s: %s", pause_s, exc.message)
            except Exception:
                _log.exception("the export failed and will be tried again in %g s", pause_s)
            else:
                pause_s = _FIRST_PAUSE_S
                # half of one core at most: the other half belongs to those who ask
                halt.wait(monotonic() - began if step.is_behind else _IDLE_S)
                continue
            halt.wait(pause_s)
            pause_s = min(pause_s * 2, _MOST_PAUSE_S)
        with contextlib.suppress(CollectorError):
            self._lease.give_back()
        closer.join()

    def step(self, halt: threading.Event | None = None) -> Step:
        """
        Send what came into the store since the last step, or the first thousand records of it.

        Raises:
            CollectorError: a read failed. Nothing is lost, the next step does the same again.
        """
        now_ns = self._store.records_in_order.now_ns()
        after_ns = self._position(now_ns)
        self._metrics.gauge(
            "hopline_export_lag_seconds", max(now_ns - self._wait_ns - after_ns, 0) / NS_PER_S
        )
        until_ns = min(now_ns - self._wait_ns, after_ns + _LONGEST_STEP_NS)
        if until_ns <= after_ns:
            return Step(0, 0, after_ns, is_behind=False)
        found = self._store.records_in_order.find(after_ns, until_ns, self._gateways, _STEP_RECORDS)
        if len(found) >= _STEP_RECORDS:
            until_ns = found[-1].stored_ns
        self._sent = 0
        until_ns = self._deliver(found, after_ns, until_ns, halt or threading.Event())
        is_behind = until_ns < now_ns - self._wait_ns
        return Step(len(found), self._sent, until_ns, is_behind)

    def _position(self, now_ns: int) -> int:
        """Return how far the export has come; it begins with what comes from now on."""
        position_ns = max(self._store.get_progress(POSITION), self._written_ns)
        if not position_ns:
            position_ns = now_ns
            self._write(position_ns)
        return position_ns

    def _deliver(
        self, found: Sequence[StoredRecord], after_ns: int, until_ns: int, halt: threading.Event
    ) -> int:
        """Send page by page; write and return how far that went, whatever ends it."""
        done_ns, seen = after_ns, set[tuple[str, str]]()
        try:
            for first in range(0, len(found), _PAGE):
                if halt.is_set():
                    return done_ns
                page = found[first : first + _PAGE]
                self._send_all(self._spans(page, after_ns, seen))
                # those that came in the same moment may stand on the next page
                done_ns = page[-1].stored_ns - 1
            done_ns = until_ns
        finally:
            if found or done_ns - self._written_ns > _WRITE_EVERY_NS:
                self._write(max(done_ns, after_ns))
        return done_ns

    def _write(self, position_ns: int) -> None:
        if position_ns > self._written_ns:
            self._store.set_progress(POSITION, position_ns)
            self._written_ns = position_ns

    def _spans(
        self, page: Sequence[StoredRecord], after_ns: int, seen: set[tuple[str, str]]
    ) -> list[ExportedSpan]:
        """Return the spans of those records of a page that were not sent before."""
        sent = self._store.records_in_order.find_earlier(page, after_ns)
        fresh = {each.key: each for each in page if each.key not in sent | seen}
        seen |= fresh.keys()
        spans: dict[tuple[str, str], ExportedSpan] = {}
        for stored, subject in self._subjects(list(fresh.values())):
            if subject is None:
                self._skip(GONE, stored.gateway)
                continue
            span = span_of(subject, self._wanted)
            if isinstance(span, str):
                self._skip(span, stored.gateway)
                continue
            made = [span]
            if self._wanted.has_inferred_hops and subject.timeline is not None:
                made += inferred_spans(subject.timeline)
            spans |= {(each.trace_id, each.span_id): each for each in made}
        return list(spans.values())

    def _subjects(
        self, records: Sequence[StoredRecord]
    ) -> Iterator[tuple[StoredRecord, Subject | None]]:
        """Yield each record with its request as it is known now."""
        places = self._store.locate_traces({r.trace_id for r in records if r.trace_id})
        rows = []
        for each in records:
            place = places.get(each.trace_id)
            rows.append(
                RequestRow(
                    start_ns=each.start_ns,
                    duration_ns=each.duration_ns,
                    gateway=each.gateway,
                    record_id=each.record_id,
                    trace_id=each.trace_id,
                    is_joined=place is not None,
                    buckets=place.sole_buckets if place else (),
                )
            )
        for stored, (row, timeline, spans) in zip(records, self._stitched(rows), strict=True):
            if timeline is None:  # there may have been no room beside the others
                [(_, timeline, spans)] = self._stitched([row])
            keys = frozenset((span.trace_id, span.span_id) for span in spans)
            merged = _find(timeline, stored) if timeline else self._alone(stored)
            yield stored, Subject(merged, timeline, keys) if merged else None

    def _stitched(self, rows: Sequence[RequestRow]) -> list[_Stitched]:
        """Return each row with its timeline and spans; one that cannot be stitched has none."""
        try:
            return list(self._rows.stitch(rows, self._clock.now_ns(), SAMPLED))
        except CollectorError:
            raise
        except Exception:
            if len(rows) > 1:
                return [each for row in rows for each in self._stitched([row])]
            _log.exception("%s is exported without its timeline", rows[0].record_id)
            return [(rows[0], None, [])]

    def _alone(self, stored: StoredRecord) -> MergedRecord | None:
        """Return a record whose request cannot be stitched, `None` when it is gone."""
        versions = self._store.get_records(
            record_keys=[stored.key], starts={stored.key: stored.start_ns}, is_brief=True
        )
        return next(iter(merge_records(versions)), None)

    def _send_all(self, spans: Sequence[ExportedSpan]) -> None:
        for first in range(0, len(spans), _BATCH):
            self._send(spans[first : first + _BATCH])

    def _send(self, spans: Sequence[ExportedSpan]) -> None:
        """Send a batch; of one that is refused, find the spans that it is refused for."""
        delivery = self._sender.send(spans)
        match delivery.outcome:
            case Outcome.TAKEN:
                self._sent += len(spans) - delivery.rejected
                self._metrics.count("hopline_export_spans_sent_total", len(spans))
                if delivery.rejected:
                    self._refuse(delivery.rejected, "partial_success", delivery.reason)
            case Outcome.UNDELIVERED:
                self._metrics.count("hopline_export_failures_total", reason=delivery.reason)
                raise NotDelivered(delivery.reason)
            case Outcome.REFUSED if len(spans) == 1:
                [span] = spans
                about = f"trace {span.trace_id}, span {span.span_id}"
                self._refuse(1, delivery.reason, about)
            case Outcome.REFUSED:
                half = len(spans) // 2
                self._send(spans[:half])
                self._send(spans[half:])

    def _refuse(self, count: int, reason: str, about: str) -> None:
        _log.warning("the endpoint refused %d spans for good (%s): %s", count, reason, about)
        self._metrics.count("hopline_export_spans_refused_total", count, reason=reason)

    def _skip(self, reason: str, gateway: str) -> None:
        self._metrics.count("hopline_export_records_skipped_total", gateway=gateway, reason=reason)

    def _close_at(self, halt: threading.Event) -> None:
        halt.wait()
        self._sender.close()


def _find(timeline: Timeline, stored: StoredRecord) -> MergedRecord | None:
    """Return the record among those of its timeline; a row of a call has its request's identity."""
    records = [each for each in timeline.gateway_records if each.record.gateway == stored.gateway]
    own = (each for each in records if each.record.record_id.lower() == stored.record_id.lower())
    return next(own, next((each for each in records if each.record.record_id == timeline.id), None))
