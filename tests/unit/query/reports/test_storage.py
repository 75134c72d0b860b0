"""What is kept, reckoned from the days of the tables' partitions."""

import json

from collector.answers import encode
from collector.cli.ink import Ink
from collector.cli.storage import draw_storage
from collector.query.reports.storage import build_storage
from collector.settings import Retention
from collector.store.disk import RECORDS, SPANS, ApiShare, DayOfKind

TODAY = 20_000
KEPT = Retention(record_days=0, span_days=7)


def spans(days: range, size: int = 1_000) -> list[DayOfKind]:
    """Return a partition of ten spans for each of some days ago, and their index of a week."""
    made = [DayOfKind(SPANS, TODAY - ago, 10, size) for ago in days]
    return [*made, DayOfKind(SPANS, TODAY - 6, 0, 200 * len(made))]


def test_growth_is_the_mean_of_full_days_with_the_indexes() -> None:
    """Today is not over; what the indexes take is shared out over the rows."""
    [kind] = build_storage(spans(range(5)), (), KEPT, TODAY).kinds
    assert (kind.rows, kind.bytes, kind.days) == (50, 6_000, 6)
    assert kind.bytes_per_row == 120
    assert kind.bytes_per_day == 1_200
    assert (kind.kept_days, kind.expected_bytes) == (7, 8_400)


def test_days_without_traffic_count() -> None:
    """A quiet day is a day: the mean runs from the first full one to yesterday."""
    parts = [DayOfKind(SPANS, TODAY - 4, 10, 4_000), DayOfKind(SPANS, TODAY - 1, 10, 4_000)]
    [kind] = build_storage(parts, (), KEPT, TODAY).kinds
    assert kind.bytes_per_day == 2_000


def test_a_shorter_time_frees_what_is_older() -> None:
    """Partitions go as a whole, so today and as many days before it stay."""
    [kind] = build_storage(spans(range(9)), (), KEPT, TODAY).kinds
    of_days = {each.days: each for each in kind.choices}
    assert 7 not in of_days
    assert of_days[3].freed_bytes == 5 * 1_000 + 1_800
    assert of_days[3].expected_bytes == 3 * (kind.bytes_per_day or 0)
    assert of_days[365].freed_bytes == 0


def test_before_a_day_is_over_nothing_is_reckoned() -> None:
    """Of the first day the growth is not known, and is not zero."""
    [kind] = build_storage(spans(range(1)), (), KEPT, TODAY).kinds
    assert kind.bytes_per_day is None
    assert kind.expected_bytes is None
    assert all(each.expected_bytes is None for each in kind.choices)


def test_what_is_kept_for_ever_has_no_end() -> None:
    """Rows without a time to live have no size in the long run."""
    [kind] = build_storage([DayOfKind(RECORDS, TODAY - 1, 5, 500)], (), KEPT, TODAY).kinds
    assert (kind.kept_days, kind.bytes_per_day, kind.expected_bytes) == (None, 500, None)


def test_it_is_drawn() -> None:
    """Kinds, then what other times would free; what is not known stays empty."""
    answer = json.loads(encode(build_storage(spans(range(9)), (), KEPT, TODAY)))
    lines = list(draw_storage(answer, Ink(), 120))
    assert lines[1].split()[:5] == ["spans", "90", "10.8", "kB", "120"]
    assert "spans, kept for another time (HOPLINE_SPAN_TTL_DAYS):" in lines
    assert list(draw_storage({"kinds": []}, Ink(), 80)) == ["nothing is stored yet"]


def test_an_api_with_a_time_of_its_own_is_shown_with_its_share() -> None:
    """Its rows stay when the others go sooner, and grow for as long as its own time."""
    kept = Retention(record_days=30, span_days=7, api_record_days=(("pay", 400), ("gone", 3)))
    shares = [ApiShare(RECORDS, "pay", 20, 0.2, 0.1), ApiShare(RECORDS, "gone", 0, 0.0, 0.0)]
    parts = [DayOfKind(RECORDS, TODAY - ago, 10, 1_000) for ago in range(10)]
    [kind] = build_storage(parts, shares, kept, TODAY).kinds
    assert [(each.api, each.kept_days, each.rows, each.bytes) for each in kind.apis] == [
        ("pay", 400, 20, 2_000),
        ("gone", 3, 0, 0),
    ]
    assert kind.expected_bytes == round(1_000 * (0.9 * 30 + 0.1 * 400))
    of_days = {each.days: each for each in kind.choices}
    assert of_days[7].freed_bytes == round(0.8 * 2_000)
    assert of_days[7].expected_bytes == round(1_000 * (0.9 * 7 + 0.1 * 400))
    answer = json.loads(encode(build_storage(parts, shares, kept, TODAY)))
    lines = list(draw_storage(answer, Ink(), 120))
    assert "records of APIs with times of their own (HOPLINE_RETENTION):" in lines
    assert ["pay", "20", "2.0", "kB", "400", "d"] in [line.split() for line in lines]


def test_a_time_from_the_file_is_not_put_down_to_a_setting() -> None:
    """Where the file says how long, changing the setting would change nothing."""
    kept = Retention(record_days=30, span_days=3, from_file=("span_days",))
    [kind] = build_storage(spans(range(5)), (), kept, TODAY).kinds
    assert (kind.kept_days, kind.setting) == (3, "HOPLINE_RETENTION")
