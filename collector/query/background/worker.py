"""
The thread that stitches requests as their parts arrive, within a share of one core.

It looks at what arrived in the store since the last time, a few seconds ago at the earliest: what
belongs together has mostly come by then. What was stitched before and got another part is stitched
again and written over. How far it has come is kept in the store, so a crash repeats a little and
loses nothing. What is loaded after it has gone past, as after an outage, is looked at again. Where
several processes share a ClickHouse one of them works; two at once would write the same rows.

Time in which a step runs counts as the processor's, also where it waits for the engine: beside
other work it does less and not more.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from collector.clock import Clock
from collector.errors import CollectorError
from collector.model import Span
from collector.query.background.facts import facts_of, main_record
from collector.query.background.hours import SummingHours
from collector.query.background.keeping import Keeping
from collector.query.background.measured import count_requests
from collector.query.background.strata import Bounds, choose_bounds, place_of, strata_of
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import LISTED
from collector.stitch.timeline import Timeline
from collector.store import (
    BUCKET_S,
    Arrival,
    LateLoad,
    Lease,
    RequestRow,
    StitchedKey,
    StitchedRequest,
    Store,
    bucket_of,
)
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_DAY, NS_PER_S

STITCHED = "stitched"
_LATE = "late loads"
# Parts of a request that come within this are stitched once.
_SETTLE_NS = 10 * NS_PER_S
_LONGEST_STEP_NS = 600 * NS_PER_S
# What arrived before that is left alone when the work begins, and when it was interrupted.
_FIRST_REACH_NS = 3600 * NS_PER_S
# Behind by more than this it draws fewer until it has caught up.
_BEHIND_NS = 120 * NS_PER_S
_CATCHING_UP = 0.25
# Requests from other weeks are clocks that lie, or a replay of long ago.
_REACH_NS = 8 * NS_PER_DAY
# A request and its trace start this far apart at most, by their clocks.
_APART_NS = 60 * NS_PER_S
# Spans that come so long after the first ones of their trace are still put to what is known of it.
_LONGEST_REQUEST_NS = 1800 * NS_PER_S
# What is read together: what has no room in it is read in smaller ones.
_PAGE = 1_000
_LEAST_TIMED = 200
# Loads are stamped when they are written, and seen a little later.
_UNORDERED_NS = 60 * NS_PER_S
_LATE_PAGE = 20
_IDLE_S = 2.0
_FIRST_RATE = 500.0
_BOUNDS_EVERY_NS = 60 * NS_PER_S
_SLOW_RANGE_NS = 3600 * NS_PER_S
_log = logging.getLogger(__name__)

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: it looked at all that arrived up to `until_ns`."""

    arrived: int
    stitched: int
    until_ns: int
    is_behind: bool


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A request to stitch: by its record, or by its trace."""

    row: RequestRow
    stratum: str


class _Interrupted(Exception):
    """The work ends in the middle of a step, which is done again."""


class Background:
    """Stitches what arrives. Not thread-safe: one thread runs it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rows: RowStitching,
        metrics: Metrics,
        *,
        cpu_ratio: float,
        lease: Lease,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._rows = rows
        self._cpu_ratio = cpu_ratio
        self._lease = lease
        self._halt = threading.Event()
        self._late_done: set[LateLoad] = set()
        self._rate = _FIRST_RATE
        self._slow_ns: Mapping[_Key, int] = {}
        self._bounds_read_ns = 0
        # What a step has counted: if it fails later on, it is done again.
        self._counted: set[_Key] = set()
        self._keeping = Keeping(store, clock, metrics, self._check_going_on)
        self._hours = SummingHours(store, clock)

    def run(self, halt: threading.Event) -> None:
        """Work until *halt* is set. Never raises."""
        self._halt = halt
        while not halt.is_set():
            began, is_behind = monotonic(), False
            try:
                is_behind = self._lease.is_held() and self.step().is_behind
                if not is_behind and self._lease.is_held():
                    is_behind = self._keeping.step()
                # reports over days wait for it, however much there is to stitch
                if self._lease.is_held():
                    is_behind |= self._hours.step()
            except _Interrupted:
                pass
            except CollectorError as exc:
                _log.warning("background stitching is paused: %s", exc.message)
            except Exception:
                _log.exception("background stitching failed and will be tried again")
            rest_s = (monotonic() - began) * (1 / self._cpu_ratio - 1)
            halt.wait(rest_s if is_behind else max(rest_s, _IDLE_S))
        with contextlib.suppress(CollectorError):
            self._lease.give_back()

    def step(self) -> Step:
        """
        Stitch what arrived since the last step, in ten minutes at most.

        A request that cannot be stitched is counted and left out.

        Raises:
            StoreUnavailable, QueryTimeout: nothing is lost, the next step does the same again.
        """
        now_ns = self._clock.now_ns()
        gone_past_ns = self._store.get_progress(STITCHED)
        late = self._stitch_late(now_ns, gone_past_ns)
        after_ns = max(gone_past_ns, now_ns - _FIRST_REACH_NS)
        until_ns = min(now_ns - _SETTLE_NS, after_ns + _LONGEST_STEP_NS)
        if until_ns <= after_ns:
            return Step(late, late, after_ns, is_behind=False)
        began = monotonic()
        found, until_ns = self._find_arrivals(now_ns, after_ns, until_ns)
        stitched = 0
        if found:
            self._learn_slowness(now_ns)
            stitched = self._stitch(found, now_ns, after_ns, until_ns)
        self._store.set_progress(STITCHED, until_ns)
        self._counted.clear()
        if stitched >= _LEAST_TIMED:
            rate = stitched / max(monotonic() - began, 0.001)
            self._rate += (rate - self._rate) / 4
        is_behind = until_ns < now_ns - _SETTLE_NS
        return Step(len(found) + late, stitched + late, until_ns, is_behind)

    def _stitch_late(self, now_ns: int, gone_past_ns: int) -> int:
        """Stitch what came into the tables after the work had gone past it; return how many."""
        seen_ns = self._store.get_progress(_LATE)
        # one of two that came at about the same time may be seen first, and be the later one
        loads = self._store.find_late_loads(seen_ns - _UNORDERED_NS)
        self._late_done = {each for each in self._late_done if each in loads}
        new = [each for each in loads if each not in self._late_done]
        # what comes after that is still to be looked at by the work itself
        past_ns = max(gone_past_ns, now_ns - _FIRST_REACH_NS) if gone_past_ns else 0
        count = 0
        for first in range(0, len(new), _LATE_PAGE):
            page = new[first : first + _LATE_PAGE]
            for from_ns, to_ns in _merge((each.from_ns, each.to_ns) for each in page):
                count += self._stitch_range(from_ns - 1, min(to_ns, past_ns), now_ns)
            self._store.set_progress(_LATE, max(seen_ns, page[-1].loaded_ns))
            self._late_done.update(page)
            self._counted.clear()
        return count

    def _stitch_range(self, after_ns: int, until_ns: int, now_ns: int) -> int:
        """Stitch what arrived in a range that the work has gone past; return how many."""
        count = 0
        while after_ns < until_ns:
            found, reached_ns = self._find_arrivals(now_ns, after_ns, until_ns)
            if found:
                self._learn_slowness(now_ns)
                count += self._stitch(found, now_ns, after_ns, reached_ns, known_before_ns=now_ns)
            after_ns = reached_ns
        return count

    def _check_going_on(self) -> None:
        """Raise `_Interrupted` when the process ends, or when another has taken the work over."""
        if self._halt.is_set() or not self._lease.is_held():
            raise _Interrupted

    def _find_arrivals(
        self, now_ns: int, after_ns: int, until_ns: int
    ) -> tuple[list[Arrival], int]:
        """Return what arrived in a range of time, and up to when: the earliest of it, if much."""
        arrivals = self._store.find_arrivals(after_ns, until_ns)
        both = (*arrivals.records, *arrivals.traces)
        found = [each for each in both if abs(each.start_ns - now_ns) < _REACH_NS]
        return found, arrivals.until_ns

    def _learn_slowness(self, now_ns: int) -> None:
        if now_ns - self._bounds_read_ns >= _BOUNDS_EVERY_NS:
            self._slow_ns = self._store.find_slow_bounds(now_ns - _SLOW_RANGE_NS, now_ns)
            self._bounds_read_ns = now_ns

    def _stitch(
        self,
        found: Sequence[Arrival],
        now_ns: int,
        after_ns: int,
        until_ns: int,
        *,
        known_before_ns: int = 0,
    ) -> int:
        """What began before *known_before_ns*, else *after_ns*, may have been stitched before."""
        known_before_ns = known_before_ns or after_ns
        strata = strata_of(found, self._slow_ns)
        share = _CATCHING_UP if now_ns - until_ns > _BEHIND_NS else 1.0
        seconds = (until_ns - after_ns) / NS_PER_S
        bounds = choose_bounds(strata, self._rate * self._cpu_ratio * seconds * share)
        known = _Known(self._find_known(found, known_before_ns))
        drawn = self._draw(list(zip(found, strata, strict=True)), bounds, known)
        count = 0
        for first in range(0, len(drawn), _PAGE):
            self._check_going_on()
            page = drawn[first : first + _PAGE]
            facts = {each.key: each for each in self._facts(page, bounds, known, now_ns, until_ns)}
            known.add(self._find_traces(page, facts.values(), known_before_ns))
            new = [each for each in facts.values() if not known.has_row(each)]
            gone = [old for each in facts.values() for old in known.replaced_by(each)]
            self._store.write_requests(list(facts.values()), gone, now_ns)
            count_requests(self._metrics, [e for e in new if e.key not in self._counted])
            self._counted.update(facts)
            count += len(facts)
        return count

    def _find_known(self, found: Sequence[Arrival], after_ns: int) -> list[StitchedKey]:
        """
        Return what was written before of these requests: of records that began before, and traces.

        What arrived of a trace says when that began, and not when its request did.
        """
        older = [each for each in found if not each.record_id or each.start_ns < after_ns]
        return self._store.find_stitched(
            {each.trace_id for each in older},
            {each.record_id for each in older},
            {moment for each in older for moment in _moments(each)},
        )

    def _find_traces(
        self, page: Sequence[_Drawn], facts: Iterable[StitchedRequest], after_ns: int
    ) -> list[StitchedKey]:
        """Return what was written of traces that only stitching has found to be a request's."""
        named = {each.row.trace_id for each in page}
        other = [each for each in facts if each.trace_id not in named and each.start_ns < after_ns]
        starts = {moment for each in other for moment in _around(each.start_ns)}
        return self._store.find_stitched({each.trace_id for each in other}, (), starts)

    def _draw(
        self, found: Sequence[tuple[Arrival, str]], bounds: Bounds, known: "_Known"
    ) -> list[_Drawn]:
        """Return the requests to stitch, each once: a record stands for the trace that it names."""
        chosen: dict[_Key, tuple[Arrival, str]] = {}
        named = {each.trace_id for each, _ in found if each.record_id}
        for each, stratum in found:
            if not each.record_id and each.trace_id in named:
                continue
            if bounds.takes(stratum, each.place) or known.has(each):
                chosen[each.gateway, each.record_id or each.trace_id] = (each, stratum)
        places = self._store.locate_traces({each.trace_id for each, _ in chosen.values()})
        drawn = []
        for each, stratum in chosen.values():
            place = places.get(each.trace_id)
            row = RequestRow(
                start_ns=each.start_ns,
                duration_ns=each.duration_ns,
                gateway=each.gateway,
                record_id=each.record_id,
                trace_id=each.trace_id,
                is_joined=bool(each.record_id) and place is not None,
                buckets=place.sole_buckets if place else (),
            )
            records = () if each.record_id else known.records_of(each.trace_id)
            drawn += [
                _Drawn(
                    replace(
                        row,
                        start_ns=old.start_ns,
                        gateway=old.gateway,
                        record_id=old.request_id,
                    ),
                    stratum,
                )
                for old in records
            ] or [_Drawn(row, stratum)]
        return drawn

    def _facts(
        self, page: Sequence[_Drawn], bounds: Bounds, known: "_Known", now_ns: int, until_ns: int
    ) -> Iterator[StitchedRequest]:
        for each, timeline, spans in self._timelines(page, now_ns):
            place = _place(timeline)
            one_of = known.one_of(timeline)
            # drawn by a trace whose record has another hash: it is drawn by that one, or not
            if bounds.takes(each.stratum, place):
                one_of = min(one_of or bounds.one_of(each.stratum), bounds.one_of(each.stratum))
            if one_of is None:
                continue
            try:
                facts = facts_of(
                    timeline,
                    spans,
                    place=place,
                    one_of=one_of,
                    stratum=each.stratum,
                    received_ns=until_ns,
                    tenant=self._store.settings.tenant,
                )
            except Exception:
                self._note_failed(each)
            else:
                yield facts

    def _timelines(
        self, page: Sequence[_Drawn], now_ns: int
    ) -> Iterator[tuple[_Drawn, Timeline, list[Span]]]:
        """
        Yield the timelines of a page, and of smaller ones for what had no room in it.

        Raises:
            CollectorError: the store cannot be read.
        """
        pages = [page]
        while pages:
            page = pages.pop()
            stitched = self._rows.stitch([each.row for each in page], now_ns, LISTED)
            left: list[_Drawn] = []
            for at, each in enumerate(page):
                try:
                    _, timeline, spans = next(stitched)
                except CollectorError:
                    raise
                except Exception:
                    if len(page) > 1:
                        pages += [[each], *filter(None, (page[at + 1 :],))]
                    else:
                        self._note_failed(each)
                    break
                if timeline is None:
                    left.append(each)
                else:
                    yield each, timeline, spans
            if len(page) == 1 and left:
                self._metrics.count("hopline_request_unstitched_total", reason="no_room")
            elif len(page) == len(left):
                half = len(left) // 2
                pages += [left[:half], left[half:]]
            elif left:
                pages.append(left)

    def _note_failed(self, each: _Drawn) -> None:
        """Log the error that is being handled, and count the request that it is of."""
        name = each.row.record_id or each.row.trace_id
        _log.exception("request %s cannot be stitched and is left out", name)
        self._metrics.count("hopline_request_unstitched_total", reason="failed")


class _Known:
    """The requests that were written before, by trace and by id."""

    def __init__(self, keys: Iterable[StitchedKey]) -> None:
        self._by_trace: dict[str, list[StitchedKey]] = {}
        self._by_id: dict[_Key, list[StitchedKey]] = {}
        self.add(keys)

    def add(self, keys: Iterable[StitchedKey]) -> None:
        """Know of these as well."""
        for each in keys:
            if each.trace_id:
                self._by_trace.setdefault(each.trace_id, []).append(each)
            self._by_id.setdefault((each.gateway, each.request_id), []).append(each)

    def has(self, arrival: Arrival) -> bool:
        """Tell whether something arrived of a request that was written before."""
        return bool(
            arrival.trace_id in self._by_trace
            or (arrival.gateway, arrival.record_id) in self._by_id
        )

    def has_row(self, request: StitchedRequest) -> bool:
        """Tell whether a request was written before."""
        return bool(self._same(request.trace_id, request.gateway, request.request_id))

    def records_of(self, trace_id: str) -> list[StitchedKey]:
        """Return the requests of a trace that have records."""
        return [each for each in self._by_trace.get(trace_id, ()) if each.gateway]

    def one_of(self, timeline: Timeline) -> int | None:
        """Return of how many a request was drawn that was written before, `None` for another."""
        known = self._same(timeline.trace_id, *_name(timeline))
        return min((each.one_of for each in known), default=None)

    def replaced_by(self, request: StitchedRequest) -> list[StitchedKey]:
        """Return what was written of a request under another key than it has now."""
        key = (bucket_of(request.start_ns), request.place, request.request_id)
        old = self._same(request.trace_id, request.gateway, request.request_id)
        return [each for each in old if (each.bucket_s, each.place, each.request_id) != key]

    def _same(self, trace_id: str, gateway: str, request_id: str) -> list[StitchedKey]:
        """Return the rows of one request: its own, and that of its trace before it had a record."""
        alone = [each for each in self._by_trace.get(trace_id, ()) if not each.gateway]
        return [*self._by_id.get((gateway, request_id), ()), *alone]


def _merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same moments in as few ranges as they take, in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _moments(arrival: Arrival) -> Iterator[int]:
    """Yield a moment in each five minutes in which the request of this may have been written."""
    yield from _around(arrival.start_ns)
    length_ns = min(arrival.duration_ns or 0, _LONGEST_REQUEST_NS)
    before_ns = 0 if arrival.record_id else _LONGEST_REQUEST_NS
    # before the rest of it came it was written under the start of its first part
    yield from range(
        arrival.start_ns - before_ns, arrival.start_ns + length_ns, BUCKET_S * NS_PER_S
    )


def _around(start_ns: int) -> Iterator[int]:
    """Yield moments in each five minutes in which a request that began then may be written."""
    return iter((start_ns - _APART_NS, start_ns, start_ns + _APART_NS))


def _name(timeline: Timeline) -> _Key:
    record = main_record(timeline)
    return (record.gateway if record else ""), timeline.id


def _place(timeline: Timeline) -> int:
    """Return the hash by which a request is drawn: of the trace that its record names, if any."""
    record = main_record(timeline)
    if record is None:
        return place_of(timeline.trace_id or timeline.id)
    return place_of(record.trace_id or record.record_id)
