"""Samples of samples: what each of the drawn rows stands for."""

from random import Random

import pytest

from collector.store.stitched import draw_again

HASHES = 1 << 64
Row = tuple[int, float, str, float]


def _rows(notable: int, rest: int, *, one_of: int, record_weight: float = 1.0) -> list[Row]:
    """Return stitched rows by place: all the notable ones, of the rest one of so many."""
    draw = Random(7)  # noqa: S311 - not for secrets
    found: list[Row] = []
    for name, count, each in (("notable", notable, 1), ("rest", rest, one_of)):
        places = (draw.randrange(HASHES) for _ in range(count))
        found += [
            (place, record_weight, name, record_weight * each)
            for place in places
            if place < HASHES // each
        ]
    return sorted(found)


@pytest.mark.parametrize("limit", [400, 1_000, 100_000])
@pytest.mark.parametrize("record_weight", [1.0, 5.0])
def test_a_second_drawing_keeps_what_the_strata_stand_for(limit: int, record_weight: float) -> None:
    """However few are drawn again, they stand for the whole population, stratum by stratum."""
    rows = _rows(8_000, 40_000, one_of=64, record_weight=record_weight)
    drawn = draw_again(rows[: limit + 1], limit)
    assert len(drawn) >= min(limit, len(rows))
    for name, count in (("notable", 8_000), ("rest", 40_000)):
        total = sum(weight for row, weight in drawn if row[2] == name)
        assert total == pytest.approx(count * record_weight, rel=0.15)


def test_a_bound_counts_where_fewer_than_the_limit_lie_below_it() -> None:
    """Rows above a bound were never read: those below it stand for them."""
    below = HASHES // 8
    rows = [row for row in _rows(8_000, 0, one_of=1) if row[0] < below]
    drawn = draw_again(rows, 8_000, below)
    assert {weight for _, weight in drawn} == {8.0}


def test_one_trace_larger_than_the_limit_is_cut() -> None:
    """Rows of one place are drawn together; where that is not possible some of them are."""
    drawn = draw_again([(HASHES // 2, 1.0, "", 1.0)] * 5, 3)
    assert [round(weight) for _, weight in drawn] == [2, 2, 2]
