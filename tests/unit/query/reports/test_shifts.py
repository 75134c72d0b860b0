"""Whether what changed between two ranges is more than chance."""

import numpy as np
import pytest

from collector.query.reports.shifts import Pair, compare_pairs, standard_error_ns
from collector.query.results import TimeRange
from collector.store import GroupStat

MS = 1_000_000
HOUR = TimeRange(start_ns=0, end_ns=3_600 * 1_000_000_000)
LEVELS = (0.3, 0.4, 0.45, 0.475, 0.5, 0.525, 0.55, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 1.0)


def stat_of(durations_ms: np.ndarray, errors: int = 0) -> GroupStat:
    """Return what the store would of these requests."""
    count = len(durations_ms)
    return GroupStat(
        gateway="azure-apim",
        api="orders",
        values=(),
        requests=float(count),
        effective=float(count),
        errors=float(errors),
        refused=0.0,
        measured=count,
        quantiles_ns={
            level: int(np.quantile(durations_ms, level) * MS) for level in LEVELS if count
        },
    )


def ordinary(random: np.random.Generator, count: int, scale: float = 60.0) -> np.ndarray:
    """Return durations as services have them."""
    return random.lognormal(np.log(scale), 0.6, count)


def test_no_change_is_called_significant_where_there_is_none() -> None:
    """Of 60 APIs that did not change, hardly any is said to have changed."""
    random = np.random.default_rng(7)
    pairs = [
        Pair("previous", HOUR, stat_of(ordinary(random, 900), 9), stat_of(ordinary(random, 900), 9))
        for _ in range(60)
    ]
    told = [
        shift
        for each in compare_pairs(pairs)
        for shift in (each.requests_per_s, each.error_ratio, each.p50, each.p95)
        if shift.is_significant
    ]
    assert len(told) <= 3


def test_a_slower_api_is_told_among_many_that_are_not() -> None:
    """One API that takes a half longer, and fails more often, stands out."""
    random = np.random.default_rng(8)
    quiet = [
        Pair("day", HOUR, stat_of(ordinary(random, 900), 9), stat_of(ordinary(random, 900), 9))
        for _ in range(30)
    ]
    slower = Pair(
        "day", HOUR, stat_of(ordinary(random, 900, 90.0), 60), stat_of(ordinary(random, 900), 9)
    )
    change = compare_pairs([*quiet, slower])[-1]
    assert change.p50.is_significant
    assert change.p95.is_significant
    assert change.p95.delta_ns is not None
    assert change.p95.delta_ns > 20 * MS
    assert change.error_ratio.is_significant
    assert not change.requests_per_s.is_significant


def test_a_shift_too_small_to_matter_is_not_significant() -> None:
    """Half a percent more, however surely, is no finding."""
    grid = np.linspace(1_000, 1_010, 200_000)
    (change,) = compare_pairs([Pair("week", HOUR, stat_of(grid * 1.005), stat_of(grid))])
    assert change.p50.q_value is not None
    assert change.p50.q_value < 0.001
    assert not change.p50.is_significant


def test_a_range_that_is_still_filling_has_no_rate_to_compare() -> None:
    """While records are coming in, fewer of them is not less traffic."""
    random = np.random.default_rng(4)
    now, before = stat_of(ordinary(random, 500)), stat_of(ordinary(random, 900))
    for is_whole in (True, False):
        (change,) = compare_pairs([Pair("previous", HOUR, now, before, is_whole)])
        assert change.requests_per_s.is_significant is is_whole
        assert change.p50.q_value is not None


def test_too_few_requests_tell_nothing() -> None:
    """With a handful there is a difference, and no word on whether it means anything."""
    few = stat_of(np.array([10.0, 20.0, 30.0]))
    (change,) = compare_pairs([Pair("previous", HOUR, stat_of(np.array([400.0] * 3)), few)])
    assert change.p50.delta_ns == 380 * MS
    assert change.p50.q_value is None
    assert not change.p50.is_significant
    assert change.requests_per_s.q_value is None


def test_what_was_not_measured_has_no_shift() -> None:
    """An API without durations has a rate, and nothing to compare of its times."""
    (change,) = compare_pairs([Pair("day", HOUR, stat_of(np.array([])), stat_of(np.array([])))])
    assert (change.p95.before_ns, change.p95.delta_ns, change.p95.q_value) == (None, None, None)
    assert compare_pairs([]) == []


def test_the_error_of_a_percentile_is_about_what_theory_says() -> None:
    """For an exponential distribution the median of 10,000 is known within a percent."""
    durations = np.random.default_rng(3).exponential(100.0, 10_000)
    error_ns = standard_error_ns(stat_of(durations), 0.5)
    assert error_ns == pytest.approx(100 * MS / 100, rel=0.35)
