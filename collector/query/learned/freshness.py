"""
How late every source is: what completeness is judged by, and what `/api/v1/sources` shows.

In: the store's statistics, and what the nodes have counted and pulled. Out: `SourceLags` and
`SourceReport`s. The store is asked at most once in `_REFRESH_NS`, and in the background once there
is a first answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collector.clock import Clock
from collector.model import Stream
from collector.query.learned.lateness import (
    LyingClock,
    find_lying_clocks,
    prevailing_lag_ns,
)
from collector.query.learned.nodes import Nodes
from collector.query.learned.pulled import find_pulled, positive
from collector.query.refreshed import Refreshed
from collector.query.results import SourceReport
from collector.stitch.completeness import SPAN_SOURCE, SourceLag
from collector.store import SourceStat, Store
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S, format_duration, format_timestamp

_REFRESH_NS = 5 * NS_PER_S
# With a million names a read takes longer: the report is of the one before then, which says when
# each source was heard of.
_PATIENCE_S = 5.0
# OpenTelemetry's word for a resource without service.name
_UNNAMED = "unknown_service"
# A source that was silent for so long may be down: its watermark no longer moves with the clock.
_SILENCE_NS = 15 * 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class _State:
    stats: tuple[SourceStat, ...]
    lags: Mapping[str, SourceLag]


class Freshness:
    """What is known about the sources, a few seconds old at most. Thread-safe."""

    def __init__(self, store: Store, clock: Clock, data_dir: Path) -> None:
        self._store = store
        self._clock = clock
        self._nodes = Nodes(store, data_dir)
        self._state = Refreshed("the sources' lag", self._read, clock, every_ns=_REFRESH_NS)

    def lags(self) -> Mapping[str, SourceLag]:
        """Return the lag of each source of gateway records, and of all spans together."""
        return self._state.get().lags

    def record_sources(self) -> tuple[str, ...]:
        """Return the sources of gateway records that are sending at present."""
        now_ns = self._clock.now_ns()
        return tuple(
            stat.source
            for stat in self._state.get().stats
            if stat.stream == Stream.RECORD and _is_sending(stat, now_ns)
        )

    def lying_clocks(self) -> list[LyingClock]:
        """Return the sources some of whose events are stamped by a clock that is off."""
        return lying_clocks_of(self._state.get().stats)

    def names(self, stream: Stream) -> list[str]:
        """Return the names of the sources that sent this kind of data."""
        stats = self._state.get().stats
        return [stat.source for stat in stats if stat.stream == stream and stat.names == 1]

    def may_have(self, stream: Stream, name: str) -> bool:
        """Tell whether a source may have sent this kind of data: not all of very many are known."""
        stats = [stat for stat in self._state.get().stats if stat.stream == stream]
        return any(stat.source == name or stat.names > 1 for stat in stats)

    def reports(self) -> list[SourceReport]:
        """Return what is known of each source, by stream and name."""
        now_ns = self._clock.now_ns()
        stats = self._state.read_within(_PATIENCE_S).stats
        groups = _groups(stats)
        notes = {(c.stream, c.source): c.note for c in lying_clocks_of(stats)}
        found = {
            (stat.stream, stat.source): _report(
                stat,
                groups.get(_group_of(stat), (stat,)),
                notes.get((stat.stream, stat.source), ""),
                now_ns,
            )
            for stat in stats
        }
        for entry in self._read_ingest_counts():
            key = (str(entry.get("stream", "")), str(entry.get("source", "")))
            report = found.get(key) or SourceReport(source=key[1] or _UNNAMED, stream=key[0])
            found[key] = _add_counts(report, entry)
        reports = [*found.values(), *find_pulled(self._store, self._nodes)]
        return sorted(reports, key=lambda report: (report.stream, report.source))

    def note(self, metrics: Metrics) -> None:
        """Show each source's freshness as metrics, as it was when it was read last."""
        for stat in self._state.get().stats:
            labels = {"stream": str(stat.stream), "source": stat.source or _UNNAMED}
            received_s = stat.last_received_ns / NS_PER_S
            metrics.gauge("hopline_source_received_timestamp_seconds", received_s, **labels)
            if stat.names == 1:
                metrics.gauge("hopline_source_lag_seconds", stat.lag_p99_ns / NS_PER_S, **labels)

    def describe_outstanding(self) -> str:
        """Say per source up to when it is known, for an answer that found nothing."""
        lags = self.lags()
        if not lags:  # it may have been so a moment ago only
            self._state.read()
            lags = self.lags()
        if not lags:
            return "no source has sent anything yet"
        parts = [
            f"{known_up_to(name, lag)} (lag {format_duration(max(lag.p99_lag_ns, 0))})"
            for name, lag in sorted(lags.items())
        ]
        return f"what is newer may still come: {'; '.join(parts)}"

    def data_range(self) -> tuple[int, int] | None:
        """Return the first and last event of gateway records and spans, `None` without any."""
        stats = [s for s in self._state.get().stats if s.stream in (Stream.RECORD, Stream.TRACE)]
        if not stats:
            return None
        return min(s.first_event_ns for s in stats), max(s.last_event_ns for s in stats)

    def close(self) -> None:
        """Wait for a read that is under way; the store may be closed afterwards."""
        self._state.close()

    def _read(self, now_ns: int) -> _State:
        stats = tuple(self._store.get_source_stats())
        return _State(stats, lags_of(stats, now_ns))

    def _read_ingest_counts(self) -> Iterator[Mapping[str, Any]]:
        for document in self._nodes.documents("ingest"):
            sources = document.get("sources")
            if isinstance(sources, list):
                yield from (each for each in sources if isinstance(each, dict))


def known_up_to(name: str, lag: SourceLag) -> str:
    """Say up to when a source, or all spans, are complete as far as anybody can tell."""
    verb = "are" if name == "spans" else "is"
    return f"{name} {verb} known up to {format_timestamp(lag.watermark_ns)}"


def lags_of(stats: Sequence[SourceStat], now_ns: int) -> dict[str, SourceLag]:
    """Return the lag of each source of gateway records by its name, and that of all spans."""
    return {source: _lag(group, now_ns) for source, group in _groups(stats).items()}


def _groups(stats: Iterable[SourceStat]) -> dict[str, list[SourceStat]]:
    """Return what is one source to a timeline: records by their source, all spans together."""
    groups: dict[str, list[SourceStat]] = {}
    for stat in stats:
        if stat.names > 1:
            continue
        if stat.stream == Stream.RECORD:
            groups.setdefault(stat.source, []).append(stat)
        elif stat.stream == Stream.TRACE:
            groups.setdefault(SPAN_SOURCE, []).append(stat)
    return groups


def _group_of(stat: SourceStat) -> str:
    return SPAN_SOURCE if stat.stream == Stream.TRACE else stat.source


def _lag(group: Sequence[SourceStat], now_ns: int) -> SourceLag:
    p99_ns = prevailing_lag_ns(group)
    watermark_ns = max(_watermark(stat, p99_ns, now_ns) for stat in group)
    return SourceLag(watermark_ns=watermark_ns, p99_lag_ns=p99_ns)


def _watermark(stat: SourceStat, p99_ns: int, now_ns: int) -> int:
    if _is_sending(stat, now_ns):
        return now_ns - p99_ns
    return min(stat.last_event_ns, now_ns)


def _is_sending(stat: SourceStat, now_ns: int) -> bool:
    return now_ns - stat.last_received_ns <= max(_SILENCE_NS, 3 * stat.lag_p99_ns)


def lying_clocks_of(stats: Sequence[SourceStat]) -> list[LyingClock]:
    """Return the sources of every kind with a clock that is off, by stream and name."""
    found = [clock for group in _groups(stats).values() for clock in find_lying_clocks(group)]
    return sorted(found, key=lambda clock: (clock.stream, clock.source))


def _report(stat: SourceStat, group: Sequence[SourceStat], note: str, now_ns: int) -> SourceReport:
    if stat.names > 1:
        return SourceReport(
            source=stat.source,
            stream=str(stat.stream),
            rows=stat.rows,
            last_event_ns=stat.last_event_ns,
            last_received_ns=stat.last_received_ns,
            note=f"{stat.names:,} sources that sent less than those named, counted together",
        )
    p99_ns = prevailing_lag_ns([stat]) if not note else prevailing_lag_ns(group)
    return SourceReport(
        source=stat.source or _UNNAMED,
        stream=str(stat.stream),
        rows=stat.rows,
        last_event_ns=stat.last_event_ns,
        last_received_ns=stat.last_received_ns,
        lag_p50_ns=stat.lag_p50_ns,
        lag_p90_ns=stat.lag_p90_ns,
        lag_p99_ns=stat.lag_p99_ns,
        watermark_ns=_watermark(stat, p99_ns, now_ns),
        note=note,
    )


def _add_counts(report: SourceReport, entry: Mapping[str, Any]) -> SourceReport:
    door = str(entry.get("door", ""))
    seen_ns = positive(entry.get("last_seen_ns"))
    return replace(
        report,
        doors=tuple(sorted({*report.doors, door} - {""})),
        accepted=(report.accepted or 0) + (positive(entry.get("accepted")) or 0),
        rejected=(report.rejected or 0) + (positive(entry.get("rejected")) or 0),
        ignored=(report.ignored or 0) + (positive(entry.get("ignored")) or 0),
        last_received_ns=report.last_received_ns or seen_ns,
    )
