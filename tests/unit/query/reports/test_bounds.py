"""Differences of two sets of requests: their bounds hold what is true, and noise is no shift."""

import numpy as np
import pytest

from collector.query.reports.bounds import (
    Sample,
    bound_failures,
    bound_quantile,
    is_shift_of_time,
    subtract,
)
from collector.query.reports.changes import measure_effect
from collector.store import Visit

MS = 1_000_000
SIDES = 300


def sample(rng: np.random.Generator, scale_ms: float, size: int = SIDES) -> Sample:
    """Return requests with long tails, some of which stand for several."""
    took = rng.lognormal(np.log(scale_ms * MS), 0.6, size)
    return Sample(took, np.zeros(size), rng.integers(1, 4, size).astype(float))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_bounds_of_a_difference_hold_the_true_one(level: float) -> None:
    """Of two hundred differences the bounds of hardly any miss what is true."""
    rng = np.random.default_rng(7)
    quantiles = [
        np.quantile(rng.lognormal(np.log(scale * MS), 0.6, 200_000), level) for scale in (40, 30)
    ]
    true = quantiles[0] - quantiles[1]
    held = 0
    for _ in range(200):
        after, before = (bound_quantile(sample(rng, scale), level) for scale in (40, 30))
        assert after is not None
        assert before is not None
        delta = subtract(after, before)
        held += bool(delta.lower <= true <= delta.upper)
    assert held >= 190


def test_noise_is_no_shift() -> None:
    """Two halves of the same traffic differ at most once in fifty."""
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(200):
        after, before = (bound_quantile(sample(rng, 40), 0.95) for _ in range(2))
        assert after is not None
        assert before is not None
        alarms += is_shift_of_time(subtract(after, before), before)
    assert alarms <= 4


def test_a_shift_of_a_third_is_found() -> None:
    """Three hundred requests on a side are enough for a third more."""
    rng = np.random.default_rng(9)
    after, before = bound_quantile(sample(rng, 53), 0.5), bound_quantile(sample(rng, 40), 0.5)
    assert after is not None
    assert before is not None
    assert is_shift_of_time(subtract(after, before), before)


def test_too_few_requests_tell_nothing() -> None:
    """Nineteen requests have no percentile here, nor has what nobody measured."""
    few = Sample.of([MS] * 19, [False] * 19, [1.0] * 19)
    assert bound_quantile(few, 0.5) is None
    assert bound_failures(few) is None
    unmeasured = Sample.of([None] * 40, [False] * 40, [1.0] * 40)
    assert bound_quantile(unmeasured, 0.5) is None
    assert bound_failures(unmeasured) is not None


def visits(took_ms: float, *, since: int, has_value: bool, failed: int = 0) -> list[Visit]:
    """Return a hundred visits around a time, from the number *since* on."""
    return [
        Visit(
            start_ns=since + at,
            weight=1,
            took_ns=round((took_ms + at % 9) * MS),
            is_failed=at < failed,
            has_value=has_value,
            request_id=f"r{since + at}",
        )
        for at in range(100)
    ]


def test_an_effect_is_worse_better_or_none() -> None:
    """What a change brought is held against what there was before it."""
    before = visits(20, since=-100, has_value=False)
    for took_ms, verdict in ((40, "worse"), (8, "better"), (20, "none")):
        found = [*before, *visits(took_ms, since=0, has_value=True)]
        assert measure_effect(found, 0, "service").verdict == verdict


def test_failures_are_an_effect() -> None:
    """A tenth more failures are worse, and the failed ones are the examples."""
    before = visits(20, since=-100, has_value=False)
    effect = measure_effect(
        [*before, *visits(20, since=0, has_value=True, failed=12)], 0, "service"
    )
    assert effect.verdict == "worse"
    assert effect.failures is not None
    assert effect.failures.is_shift
    assert effect.example_ids[0] in {f"r{at}" for at in range(12)}


def test_a_change_does_not_explain_what_moved_without_it() -> None:
    """Where the requests without the new value are as slow, the change is not the cause."""
    found = [
        *visits(20, since=-100, has_value=False),
        *visits(40, since=0, has_value=True),
        *visits(40, since=0, has_value=False),
    ]
    assert measure_effect(found, 0, "service").verdict == "elsewhere_too"


def test_an_effect_of_few_requests_is_unknown() -> None:
    """Nothing is told of nothing."""
    assert measure_effect([], 0, "service").verdict == "unknown"
    assert measure_effect(visits(40, since=0, has_value=True), 0, "request").verdict == "unknown"
