"""What a set of requests has that another one has not: right, bounded, and silent about chance."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.query.reports.cohorts import (
    MIN_BASELINE,
    MIN_SELECTED,
    MOST_TIMES,
    Feature,
    Observation,
    adjust,
    effective_size,
    find_differences,
    find_times,
    weighted_quantiles,
)
from tests.cohorts.score import percentile_errors, run, run_noise

POD = Feature("pod", "stock-3", "stock")
NODE = Feature("node", "node-7")
TIMEOUT = Feature("response flag", "UT", "stock", is_symptom=True)
MS = 1_000_000


def observations(
    count: int, *features: Feature, ms: int = 10, weight: float = 1.0, name: str = "r"
) -> list[Observation]:
    """Return as many requests that are all alike."""
    return [
        Observation(f"{name}-{number}", weight, ms * MS, frozenset(features))
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "kind", ["one pod", "one consumer", "many calls for one", "a connection pool"]
)
def test_a_planted_cause_comes_first(kind: str) -> None:
    """The short form of the lab: the right cause, and nothing before it."""
    assert run(kind, 11, count=8_000).place == 1


def test_noise_gives_no_findings() -> None:
    """Where nothing was planted nothing is told."""
    assert [run_noise(seed, count=6_000) for seed in range(3)] == [0, 0, 0]


def test_percentiles_of_a_biased_sample_are_those_of_all() -> None:
    """All slow requests and a few of the others, weighted, have the percentiles of everything."""
    assert max(percentile_errors(3)) < 0.02


def test_a_difference_has_shares_bounds_and_examples() -> None:
    """Half of the slow requests against a tenth of the others: counted, bounded, with examples."""
    selected = [*observations(50, POD, ms=400), *observations(50, ms=300, name="s")]
    baseline = [*observations(100, POD, name="b"), *observations(900, name="c")]
    [found] = find_differences(selected, baseline)
    assert found.feature == POD
    assert (found.share_selected, found.share_baseline) == (0.5, 0.1)
    assert (found.selected, found.baseline) == (50, 100)
    # after Agresti and Caffo by hand: 51/102 and 101/1002
    middle = 51 / 102 - 101 / 1002
    reach = 1.96 * math.sqrt(0.25 / 102 + (101 / 1002) * (901 / 1002) / 1002)
    assert found.lower == pytest.approx(middle - reach)
    assert found.upper == pytest.approx(middle + reach)
    assert found.q_value < 1e-15
    assert found.examples_selected == tuple(f"r-{number}" for number in range(5))
    assert found.examples_baseline == tuple(f"c-{number}" for number in range(5))
    assert found.delta_ns is not None


def test_features_of_the_same_requests_are_one_finding() -> None:
    """A pod that is alone on its node is told once, with the node beside it."""
    selected = observations(60, POD, NODE)
    baseline = [*observations(10, POD, NODE), *observations(190)]
    [found] = find_differences(selected, baseline)
    assert {found.feature, *found.also} == {POD, NODE}


def test_what_another_finding_explains_is_left_out() -> None:
    """A consumer that only differs because it calls the slow operation is no finding of its own."""
    operation, consumer = Feature("operation", "export"), Feature("consumer", "acme")
    both = observations(90, operation, consumer, name="x")
    selected = [*both, *observations(30, operation, name="y"), *observations(12, name="z")]
    baseline = [
        *observations(60, operation, consumer, name="a"),
        *observations(20, operation, name="b"),
        *observations(20, consumer, name="c"),
        *observations(400, name="d"),
    ]
    assert [each.feature for each in find_differences(selected, baseline)] == [operation]


def test_a_symptom_does_not_hide_its_cause() -> None:
    """A flag that all slow requests show stands behind the pod that most of them went to."""
    selected = [*observations(90, POD, TIMEOUT), *observations(10, TIMEOUT, name="s")]
    baseline = [*observations(20, POD), *observations(380, name="b")]
    found = [each.feature for each in find_differences(selected, baseline)]
    assert found == [POD, TIMEOUT]


def test_too_few_requests_say_nothing() -> None:
    """Below the least numbers even a perfect difference is not told."""
    few, many = observations(MIN_SELECTED - 1, POD), observations(200)
    assert find_differences(few, many) == []
    assert find_differences(observations(100, POD), observations(MIN_BASELINE - 1)) == []


def test_a_value_that_few_have_is_no_explanation() -> None:
    """A pod that seven of a hundred slow requests went to, and no other, is not told."""
    selected = [*observations(7, POD), *observations(93, name="s")]
    assert find_differences(selected, observations(400)) == []


def test_weights_count_and_cost_certainty() -> None:
    """A sampled request stands for many in a share, and for less than one in its certainty."""
    selected = observations(60, POD)
    plain = [*observations(40, POD), *observations(160, name="b")]
    heavy = [*observations(40, POD, weight=16), *observations(160, weight=1, name="b")]
    [one], [other] = find_differences(selected, plain), find_differences(selected, heavy)
    assert one.share_baseline == pytest.approx(0.2)
    assert other.share_baseline == pytest.approx(0.8)
    assert other.lower < one.lower
    assert effective_size(np.array([16.0] * 40 + [1.0] * 160)) == pytest.approx(61.5, abs=0.1)


def test_times_tell_where_the_difference_is() -> None:
    """The phase that is longer comes first, with its part of the difference."""
    slow = [
        Observation(f"s{n}", 1, 110 * MS, frozenset(), {("phase", "app"): 100 * MS, ("a",): 5 * MS})
        for n in range(30)
    ]
    rest = [
        Observation(f"r{n}", 2, 20 * MS, frozenset(), {("phase", "app"): 10 * MS, ("a",): 5 * MS})
        for n in range(60)
    ]
    first, second = find_times(slow, rest)
    assert (first.key, first.selected_ns, first.baseline_ns) == (
        ("phase", "app"),
        100 * MS,
        10 * MS,
    )
    assert (first.share, second.share) == (1.0, 0.0)
    assert first.requests == 90
    assert first.p50_ns == 10 * MS


def test_times_of_very_many_calls_are_those_that_differ_most() -> None:
    """Operations with an id in every name cost no more than so many; what matters is among them."""
    slow, rest = (
        [
            Observation(
                f"{name}-{number}",
                1.0,
                took * MS,
                frozenset(),
                {
                    ("phase", "app"): 5 * MS,
                    ("call", "stock", "GET /stock"): took * MS,
                    **{("call", "cart", f"{name} {number} {each}"): 1_000 for each in range(50)},
                },
            )
            for number in range(60)
        ]
        for name, took in (("slow", 90), ("rest", 10))
    )
    found = find_times(slow, rest)
    assert len(found) == MOST_TIMES
    assert found[0].key == ("call", "stock", "GET /stock")
    assert found[0].selected_ns - found[0].baseline_ns == 80 * MS
    assert ("phase", "app") in {each.key for each in found}


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    """Five p values and their q values, reckoned by hand."""
    q_values = adjust(np.array([0.01, 0.04, 0.03, 0.005, 0.2]))
    assert q_values == pytest.approx([0.025, 0.05, 0.05, 0.025, 0.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_keep_the_order_and_are_no_smaller(p_values: list[float]) -> None:
    """A q value is never below its p value, and ranks as it does."""
    q_values = adjust(np.array(p_values))
    assert all(q >= p - 1e-12 for p, q in zip(p_values, q_values, strict=True))
    ranked = [q for _, q in sorted(zip(p_values, q_values, strict=True))]
    assert all(one <= other + 1e-12 for one, other in pairwise(ranked))


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=50),
    st.floats(0.1, 100),
)
def test_equal_weights_do_not_change_quantiles(values: list[float], weight: float) -> None:
    """What all requests stand for alike makes no difference, and quantiles rise."""
    plain = weighted_quantiles(np.array(values), np.ones(len(values)), (0.1, 0.5, 0.9))
    heavy = weighted_quantiles(np.array(values), np.full(len(values), weight), (0.1, 0.5, 0.9))
    assert plain == pytest.approx(heavy, abs=1e-3)
    assert list(plain) == sorted(plain)
    assert min(values) <= plain[0] <= plain[2] <= max(values)
