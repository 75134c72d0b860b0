"""
What is known of the hosts' clocks: learned from a sample of recent requests, a minute old at most.

In: the newest requests of the store, stitched. Out: `ClockOffsets` for placing spans, and a
`ClockReport` that publishes every pair of hosts with its error bar. Learning runs in the
background, and only while questions are asked; until it has seen enough, only what one request
proves by itself is moved.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.answers import Answer, Moment
from collector.clock import Clock
from collector.query.refreshed import Refreshed
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import LEARNT
from collector.stitch.time.clocks import (
    WINDOW_NS,
    ClockPair,
    PairSample,
    learn_offsets,
    offsets_of,
    sample_pairs,
)
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets
from collector.store import RequestFilter, Store
from collector.timestamps import NS_PER_S

_REFRESH_NS = 30 * NS_PER_S
# A sample of 60 takes 120 CPU ms, half a percent of a core. One of 10 takes 80: six of those in the
# same time would cost four times as much and hold a search up hardly less.
_SAMPLE = 60
_RANGE_NS = 15 * 60 * NS_PER_S
_KEEP_NS = 6 * WINDOW_NS
_MAX_SAMPLES = 20_000


@dataclass(frozen=True, slots=True)
class ClockReport(Answer):
    """The pairs of hosts by name, learned from calls that started in [start_ns, end_ns]."""

    pairs: tuple[ClockPair, ...]
    calls: int
    start_ns: Moment | None
    end_ns: Moment | None


@dataclass(frozen=True, slots=True)
class _State:
    report: ClockReport
    offsets: ClockOffsets


class Clocks:
    """Learns offsets from samples of requests. Thread-safe, bounded."""

    def __init__(self, store: Store, clock: Clock, rows: RowStitching) -> None:
        self._store = store
        self._clock = clock
        self._rows = rows
        self._samples: dict[PairSample, None] = {}
        self._state = Refreshed("a sample for the clocks", self._read, clock, every_ns=_REFRESH_NS)

    def offsets_at(self, moment_ns: int) -> ClockOffsets:
        """
        Return the offsets that held at *moment_ns*: none outside of the time they were learned in.

        Never waits; sees to it that the next call has newer ones.
        """
        state = self._state.peek()
        if state is None or state.report.start_ns is None or state.report.end_ns is None:
            return NO_OFFSETS
        first, last = state.report.start_ns - WINDOW_NS, state.report.end_ns + WINDOW_NS
        return state.offsets if first <= moment_ns <= last else NO_OFFSETS

    def report(self) -> ClockReport:
        """Return what is known of each pair of hosts, by name; reads a sample if there is none."""
        return self._state.get_fresh().report

    def close(self) -> None:
        """Wait for a read that is under way; the store may be closed afterwards."""
        self._state.close()

    def _read(self, now_ns: int) -> _State:
        wanted = RequestFilter(start_ns=now_ns - _RANGE_NS, end_ns=now_ns, order="-start")
        rows = self._store.find_requests(wanted, _SAMPLE)
        for _, timeline, _ in self._rows.stitch(rows, now_ns, LEARNT):
            if timeline is not None:
                self._keep(sample_pairs(timeline))
        self._forget(now_ns - _KEEP_NS)
        pairs = learn_offsets(self._samples)
        moments = [sample.at_ns for sample in self._samples]
        report = ClockReport(
            pairs=pairs,
            calls=len(moments),
            start_ns=min(moments, default=None),
            end_ns=max(moments, default=None),
        )
        return _State(report, offsets_of(pairs))

    def _keep(self, samples: Iterable[PairSample]) -> None:
        for sample in samples:
            self._samples.setdefault(sample)

    def _forget(self, before_ns: int) -> None:
        kept = [sample for sample in self._samples if sample.at_ns >= before_ns]
        self._samples = dict.fromkeys(kept[-_MAX_SAMPLES:])
