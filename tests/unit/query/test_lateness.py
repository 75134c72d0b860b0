"""How late a source is: what holds the watermark back, and what is a wrong clock."""

import pytest

from collector.query.learned.lateness import find_lying_clocks, prevailing_lag_ns
from collector.store import SourceStat

_S = 1_000_000_000
_H = 3_600 * _S
_EPOCH = 1_800_000_000 * _S


def stat(name: str, *lags_ns: float, rows: int = 1_000) -> SourceStat:
    """Return what one service delivered, with the median of its lags, the 90th and the 99th."""
    p50, p90, p99 = (int(lag) for lag in lags_ns)
    return SourceStat("traces", name, rows, 0, 0, 0, p50, p90, p99)


def beside(*odd: SourceStat, others: int = 20) -> list[SourceStat]:
    """Return ordinary services, which deliver within two seconds, and the odd ones."""
    return [stat(f"service-{n}", 0.4 * _S, 0.9 * _S, 2 * _S) for n in range(others)] + list(odd)


@pytest.mark.parametrize(
    "lags_ns",
    [
        (2 * _H, 2 * _H, 2 * _H),
        (0.4 * _S, 2 * _H, 2 * _H),
        (0.4 * _S, 2 * _H, 3 * _H),
        (2 * _H, 2 * _H, 3 * _H),
        (1 * _H, 2 * _H, 3 * _H),
        (1_200 * _S, 1_800 * _S, 2_400 * _S),
        (-_H, -_H, -_H),
        (_EPOCH, _EPOCH, _EPOCH),
        (0.4 * _S, 0.9 * _S, _EPOCH),
    ],
    ids=[
        "two hours",
        "some of it two hours",
        "two pods, two offsets",
        "all of it, two offsets",
        "three offsets",
        "half an hour, drifting",
        "an hour ahead",
        "epoch",
        "epoch at times",
    ],
)
def test_one_service_of_many_holds_nobody_back(lags_ns: tuple[float, ...]) -> None:
    """Its clocks may be off by one time or by several: the others are not waited for longer."""
    assert prevailing_lag_ns(beside(stat("odd", *lags_ns))) <= 3 * _S


def test_what_a_good_part_of_a_source_needs_is_waited_for() -> None:
    """Three of ten services deliver after half an hour, more or less: that is how late it is."""
    late = [stat(f"late-{n}", 1_200 * _S, 1_800 * _S, 2_400 * _S) for n in range(3)]
    assert 1_800 * _S <= prevailing_lag_ns(beside(*late, others=7)) <= 2_400 * _S
    assert prevailing_lag_ns([stat("alone", 2 * _H, 2 * _H, 2 * _H)]) == 2 * _H


def test_a_lag_that_is_not_far_counts_however_few_have_it() -> None:
    """Eight minutes may be a queue: one service in twenty is more than the slowest percent."""
    slow = stat("slow", 480 * _S, 480 * _S, 481 * _S)
    assert prevailing_lag_ns(beside(slow)) >= 480 * _S
    assert prevailing_lag_ns(beside(slow, others=200)) == 3 * _S


@pytest.mark.parametrize(
    ("lags_ns", "off_ns", "words"),
    [
        ((2 * _H, 2 * _H, 2 * _H), 2 * _H, "most of its events"),
        ((0.4 * _S, 2 * _H, 2 * _H), 2 * _H, "up to 50%"),
        ((-_H, -_H, -_H), -_H, "a clock is ahead"),
        ((0.4 * _S, 0.9 * _S, _EPOCH), _EPOCH, "up to 10%"),
    ],
)
def test_a_clock_that_is_off_is_named(
    lags_ns: tuple[float, ...], off_ns: float, words: str
) -> None:
    """By how much it is off, and of how much of the service."""
    [found] = find_lying_clocks(beside(stat("odd", *lags_ns)))
    assert (found.source, found.off_ns) == ("odd", off_ns)
    assert words in found.note


def test_lateness_that_spreads_is_no_clock() -> None:
    """Delivery is late by different times: nobody is told that a clock is wrong."""
    assert not find_lying_clocks(beside(stat("odd", 1_200 * _S, 1_800 * _S, 2_400 * _S)))
