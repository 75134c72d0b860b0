"""Gateway records summed up by the hour: read where they hold, and never where they do not."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from collector.config import Settings, load_settings
from collector.model import GatewayRecord
from collector.query.background.hours import SummingHours
from collector.store import GroupStat, RequestFilter, Store, open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.stories import MINUTE, MS, NOW, Story, make_record, tell

HOUR = 60 * MINUTE
# four whole hours, the last of which ended an hour ago at least
START = (NOW // HOUR - 5) * HOUR
RANGE = RequestFilter(start_ns=START - 30 * MINUTE, end_ns=START + 4 * HOUR + 30 * MINUTE)


@dataclass
class Told:
    """A store that can be told more."""

    store: Store
    settings: Settings
    clock: ManualClock
    hours: SummingHours

    def tell(self, *records: GatewayRecord) -> None:
        tell([Story(records=list(records))], self.settings, self.store, self.clock)

    def sum_up(self) -> None:
        """Work until nothing is due: an hour has to be the same twice."""
        for _ in range(3):
            self.clock.advance(s=600)
            while self.hours.step():
                pass

    def stats(self, wanted: RequestFilter = RANGE) -> list[GroupStat]:
        return self.store.get_group_stats(wanted)

    def summed(self) -> list[int]:
        """Return which of the four hours may be read as they were summed up."""
        found = self.store.find_record_hours(RANGE.start_ns, RANGE.end_ns)
        numbers = [(each.start_ns - START) // HOUR for each in found if each.is_summed]
        return [number for number in numbers if 0 <= number < 4]


def record_at(number: int, **given: object) -> GatewayRecord:
    """Return one of 450 records, one every 36 s from half an hour before on, of two APIs."""
    values: dict[str, object] = {
        "start_ns": RANGE.start_ns + number * 36_000 * MS,
        "api": "orders" if number % 3 else "stock",
        "duration_ns": (20 + number * 37 % 400) * MS,
        "status": 503 if number % 50 == 0 else 404 if number % 50 == 1 else 200,
        "is_error": number % 50 == 0,
        "consumer": "acme" if number % 7 else "other",
        "weight": 10.0 if number % 11 == 0 else 1.0,
        "quality": ("STREAMING",) if number % 90 == 5 else (),
    }
    return make_record(number, **{**values, **given})  # type: ignore[arg-type]  # as there


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    settings = load_settings(data_dir=tmp_path, ttl_days=0)
    clock = ManualClock(NOW)
    store = open_store(settings.store(), clock, Metrics())
    store.migrate()
    found = Told(store, settings, clock, SummingHours(store, clock))
    found.tell(*(record_at(number) for number in range(500)))
    # again, and some of them as they came later
    found.tell(*(record_at(number) for number in range(100, 200)))
    found.tell(*(record_at(number, status=500, is_error=True) for number in range(150, 160)))
    yield found
    store.close()


def check_same(found: list[GroupStat], wanted: list[GroupStat]) -> None:
    """Counts are the same, percentiles within 2 %."""
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        facts, same = asdict(one), asdict(other)
        levels, others = facts.pop("quantiles_ns"), same.pop("quantiles_ns")
        assert facts == same
        assert levels == pytest.approx(others, rel=0.02)


def test_hours_that_are_over_are_summed_up_and_add_up_to_the_records(told: Told) -> None:
    """Records that came twice count once, as they came last; weights and percentiles stay."""
    filters = [
        RANGE,
        replace(RANGE, api="stock"),
        replace(RANGE, consumer="acme"),
        replace(RANGE, min_duration_ns=100 * MS),
        replace(RANGE, start_ns=START + 10 * MINUTE, end_ns=START + 3 * HOUR),
    ]
    before = [told.stats(each) for each in filters]
    whole = told.store.get_whole_stat(RANGE)
    by_consumer = told.store.get_group_stats(RANGE, ("consumer",))
    assert round(sum(each.requests for each in before[0])) == 500 + 9 * 46
    assert told.summed() == []
    told.sum_up()
    assert told.summed() == [0, 1, 2, 3]
    for wanted, known in zip(filters, before, strict=True):
        check_same(told.stats(wanted), known)
    check_same([told.store.get_whole_stat(RANGE)], [whole])
    check_same(told.store.get_group_stats(RANGE, ("consumer",)), by_consumer)


def test_what_was_summed_up_is_what_is_read(told: Told) -> None:
    """Of an hour that holds no record is read again; of two sums the later one counts."""
    told.sum_up()
    (hour,) = (
        each
        for each in told.store.find_record_hours(RANGE.start_ns, RANGE.end_ns)
        if each.start_ns == START
    )
    before = told.stats()
    # the sum of the next hour in the place of this one
    told.store.sum_record_hour(hour, hour.revision + 1)
    check_same(told.stats(), before)
    with told.store.connections.writing() as client:
        client.command(
            "INSERT INTO hopline.record_hour"
            f" SELECT * REPLACE ({hour.revision + 2} AS revision, requests + 1000 AS requests)"
            f" FROM (SELECT * FROM hopline.record_hour WHERE revision = {hour.revision + 1})"
        )
    extra = sum(each.requests for each in told.stats()) - sum(each.requests for each in before)
    assert extra == 2_000


def test_a_late_record_counts_at_once_and_is_summed_up_later(told: Told) -> None:
    """The hour is read from its records until it is summed up again; the others are not."""
    told.sum_up()
    before = sum(each.requests for each in told.stats())
    told.tell(record_at(501, start_ns=START + 90 * MINUTE, weight=1.0))
    assert told.summed() == [0, 2, 3]
    assert sum(each.requests for each in told.stats()) == before + 1
    told.sum_up()
    assert told.summed() == [0, 1, 2, 3]
    assert sum(each.requests for each in told.stats()) == before + 1
    # the same again: another row, and no other request
    told.tell(record_at(501, start_ns=START + 90 * MINUTE, weight=1.0))
    assert told.summed() == [0, 2, 3]
    assert sum(each.requests for each in told.stats()) == before + 1


def test_hours_that_go_on_or_still_come_in_are_left_alone(told: Told) -> None:
    """An hour is summed up once it is over, and has had the same records for a while."""
    told.clock.advance(s=600)
    told.tell(record_at(502, start_ns=NOW + MINUTE))
    assert not told.hours.step()
    told.tell(record_at(503, start_ns=START + 10 * MINUTE))
    told.clock.advance(s=600)
    while told.hours.step():
        pass
    assert told.summed() == [1, 2, 3]
    hours = told.store.find_record_hours(NOW, NOW + HOUR)
    assert [each.summed for each in hours if each.start_ns >= NOW] == [None]


def test_hours_next_to_records_made_of_spans_are_not_summed_up(told: Told) -> None:
    """Whether those count is decided by what is stored around them, so the records are read."""
    told.tell(
        record_at(504, start_ns=START + 10 * MINUTE, source="span", record_id="made", weight=1.0)
    )
    before = told.stats()
    told.sum_up()
    assert told.summed() == [2, 3]
    check_same(told.stats(), before)
    # what was summed up before such a record came is not read any more
    told.tell(record_at(505, start_ns=START + 200 * MINUTE, source="span", record_id="too"))
    assert told.summed() == []
