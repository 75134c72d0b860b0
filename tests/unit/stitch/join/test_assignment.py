"""Pairing at the least cost, against trying every way."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from collector.stitch.join import assignment
from collector.stitch.join.assignment import least_cost_pairs

Costs = dict[tuple[int, int], float]

_COSTS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.integers(0, 50).map(float),
    max_size=12,
)


def _best(costs: Costs) -> tuple[int, float]:
    """Return how many pairs there can be at most, and what so many cost at least."""
    most, least = 0, 0.0
    # Columns above 3 stand for a row that is left alone.
    for columns in permutations(range(8), 4):
        known = [costs[row, column] for row, column in enumerate(columns) if (row, column) in costs]
        if len(known) > most or (len(known) == most and sum(known) < least):
            most, least = len(known), sum(known)
    return most, least


@given(_COSTS)
def test_as_many_pairs_as_there_can_be_at_the_least_cost(costs: Costs) -> None:
    """No other way of pairing has more pairs, or as many that cost less."""
    pairs = least_cost_pairs(costs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert (len(pairs), sum(costs[pair] for pair in pairs)) == _best(costs)


def test_crossing_pairs_are_straightened() -> None:
    """Where the nearest pair would leave a dear one over, both others are taken."""
    costs = {(0, 0): 16.0, (0, 1): 25.0, (1, 0): 9.0, (1, 1): 16.0}
    assert least_cost_pairs(costs) == [(0, 0), (1, 1)]


def test_a_huge_group_is_paired_greedily() -> None:
    """Above the limit the cheapest pair goes first; everything that can be paired is."""
    size = 250
    costs = {(n, m): float(abs(n - m)) for n in range(size) for m in range(size)}
    assert size * size > assignment._MAX_CELLS
    assert least_cost_pairs(costs) == [(n, n) for n in range(size)]


def test_nothing_possible_is_nothing_paired() -> None:
    """Without a possible pair there is none."""
    assert least_cost_pairs({}) == []
