"""
How late a source is, and which clocks lie about it.

A lag is the moment of reception less that of the event, so that it holds two things: how long the
event was on its way, and how far the clock that stamped it was behind. Delivery is late by
different times; a clock is behind by one. What is far later than everything else and always by the
same time, or is so in a small part of one source, is a clock: it is named, and holds no watermark.

In: quantiles of the lag of each service or source, weighted by what they sent. Out: the lag within
which nearly all honest events arrive.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.store import SourceStat
from collector.timestamps import NS_PER_S, format_duration

# Even a source without lag needs a segment to be closed and loaded.
LEAST_LAG_NS = 3 * NS_PER_S
# A lag is far from the others above so many times their median, and never below ten minutes.
_FAR_TIMES = 30
_FAR_NS = 600 * NS_PER_S
# Two clocks kept by NTP agree within this.
_AHEAD_NS = 2 * NS_PER_S
# Of a constant the quantiles are within this share of each other; the sketch is right within 5 %.
_SPREAD_SHARE = 5
# So much of the rows may be far later than the rest without anybody waiting for them.
_FEW_SHARE = 0.1
# What lies above the last quantile that is counted on.
_TAIL_SHARE = 0.01
# The part of a source's rows that each quantile speaks for.
_PARTS = (("lag_p50_ns", 0.5), ("lag_p90_ns", 0.4), ("lag_p99_ns", 0.1))
# How much of a source the last so many of the parts are at most.
_MOST_SHARES = {1: 0.1, 2: 0.5, 3: 1.0}


@dataclass(frozen=True, slots=True)
class LyingClock:
    """
    A source some of whose events are stamped by a clock that is off.

    `off_ns` is how far it is behind, below zero if it is ahead; `most_share` the largest part of
    the source's events that it can have stamped; `typical_ns` the lag of everything else.
    """

    source: str
    stream: str
    rows: int
    most_share: float
    off_ns: int
    typical_ns: int

    @property
    def note(self) -> str:
        """What is said of it."""
        part = "most" if self.most_share >= 1 else f"up to {self.most_share:.0%}"
        if self.off_ns < 0:
            ahead = format_duration(-self.off_ns)
            return (
                f"{part} of its events are stamped {ahead} after they were received: a clock is "
                "ahead"
            )
        return (
            f"{part} of its events are stamped {format_duration(self.off_ns)} before they were "
            f"received, others {format_duration(max(self.typical_ns, 0))}: a clock is behind. They "
            "do not hold the watermark back"
        )


@dataclass(frozen=True, slots=True)
class _Cell:
    """A part of a source's rows, and the lag within which it came."""

    lag_ns: int
    weight: float
    stat: SourceStat


def prevailing_lag_ns(group: Sequence[SourceStat]) -> int:
    """
    Return the lag within which 99 % of what honest clocks stamped arrives, in ns.

    What is far later than the rest and a small part of it is not waited for, whether the clocks of
    several pods are off, each by another time, or one service sends by the hour.
    """
    far = _far_ns(group)
    cells = [cell for stat in group for cell in _cells(stat) if not _is_lie(cell, far)]
    near = [cell for cell in cells if cell.lag_ns <= far]
    rows = sum(stat.rows for stat in group)
    if sum(cell.weight for cell in cells) - sum(cell.weight for cell in near) < rows * _FEW_SHARE:
        cells = near
    cells.sort(key=lambda cell: cell.lag_ns, reverse=True)
    left = sum(cell.weight for cell in cells) * _TAIL_SHARE
    for cell in cells:
        left -= cell.weight
        if left < 0:
            return max(cell.lag_ns, LEAST_LAG_NS)
    return LEAST_LAG_NS


def find_lying_clocks(group: Sequence[SourceStat]) -> list[LyingClock]:
    """Return the sources of a group of which some events are stamped by a clock that is off."""
    far, typical = _far_ns(group), _median_ns(group)
    found = []
    for stat in group:
        lies = [cell for cell in _cells(stat) if _is_lie(cell, far)]
        off_ns, parts = 0, len(lies)
        if lies:
            off_ns = min(cell.lag_ns for cell in lies)
        elif stat.lag_p50_ns < -_AHEAD_NS:
            off_ns, parts = stat.lag_p50_ns, len(_PARTS)
        if off_ns:
            share = _MOST_SHARES[parts]
            found.append(LyingClock(stat.source, stat.stream, stat.rows, share, off_ns, typical))
    return found


def _cells(stat: SourceStat) -> Iterator[_Cell]:
    for name, share in _PARTS:
        yield _Cell(getattr(stat, name), share * stat.rows, stat)


def _median_ns(group: Sequence[SourceStat]) -> int:
    cells = sorted((cell for stat in group for cell in _cells(stat)), key=lambda c: c.lag_ns)
    left = sum(cell.weight for cell in cells) / 2
    for cell in cells:
        left -= cell.weight
        if left <= 0:
            return cell.lag_ns
    return 0


def _far_ns(group: Sequence[SourceStat]) -> int:
    return max(_FAR_TIMES * _median_ns(group), _FAR_NS)


def _is_lie(cell: _Cell, far_ns: int) -> bool:
    """
    Tell whether a clock made this lag: it is far from all others, and a constant.

    Of a source whose last tenth alone is far there is nothing to tell the spread by, and too little
    to wait for.
    """
    if cell.lag_ns <= far_ns:
        return False
    stat = cell.stat
    if stat.lag_p90_ns <= far_ns:
        return True
    least = stat.lag_p90_ns if stat.lag_p50_ns <= far_ns else stat.lag_p50_ns
    return (stat.lag_p99_ns - least) * _SPREAD_SHARE <= stat.lag_p99_ns
