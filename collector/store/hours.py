"""
Gateway records summed up by the hour, and which of those sums may be read instead of the records.

A sum holds while the table has as many rows of its hour as it had then: rows only come, and what
goes by its time to live goes with its hour. No sum is read next to records that were made of spans,
for those count or not by what is stored around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver import Client

from collector.store.reads import ask
from collector.store.rendering import read_query
from collector.store.words import words_of
from collector.timestamps import NS_PER_H

_SYNC = {"distributed_foreground_insert": 1}


@dataclass(frozen=True, slots=True)
class RecordHour:
    """
    An hour of gateway records: the rows that there are, and those of when it was summed up.

    `number` counts hours since 1970. `revision` is 0 and `summed` none where it never was.
    `is_near_spans`: records of this hour or next to it were made of spans.
    """

    number: int
    seen: int
    is_near_spans: bool
    revision: int = 0
    summed: int | None = None

    @property
    def start_ns(self) -> int:
        return self.number * NS_PER_H

    @property
    def end_ns(self) -> int:
        return self.start_ns + NS_PER_H

    @property
    def is_summed(self) -> bool:
        """Tell whether what was summed up is what there is."""
        return not self.is_near_spans and self.summed == self.seen


def find_record_hours(
    client: Client, database: str, start_ns: int, end_ns: int
) -> Sequence[RecordHour]:
    """Return the hours with records in [start_ns, end_ns) and one hour around it, in order."""
    given: dict[str, Any] = {"database": database, "start_ns": start_ns, "end_ns": end_ns}
    counts = ask(client, "count_record_hours", **given)
    summed = {
        number: (revision, seen)
        for number, revision, seen in ask(client, "find_summed_hours", **given)
    }
    spans = {number for number, _, has_spans in counts if has_spans}
    return [
        RecordHour(
            number,
            seen,
            not spans.isdisjoint((number - 1, number, number + 1)),
            *summed.get(number, ()),
        )
        for number, seen, _ in counts
    ]


def sum_record_hour(client: Client, database: str, hour: RecordHour, revision: int) -> None:
    """Sum up an hour of which there is nothing that was made of spans."""
    sql = read_query("sum_record_hour")
    given = {
        "database": database,
        "start_ns": hour.start_ns,
        "end_ns": hour.end_ns,
        "seen": hour.seen,
        "revision": revision,
    }
    client.command(sql, parameters=words_of(sql) | given, settings=_SYNC)
