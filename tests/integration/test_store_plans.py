"""How much the engine reads for a named read: what an index is for, held to a number."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from collector.model import Id
from collector.store import Store
from collector.store.reads import BUCKET_S
from collector.store.rendering import read_query
from collector.store.words import words_of
from tests.stored import (
    NOW_NS,
    NS,
    Loading,
    make_record,
    make_span,
    opened,
    store_settings,
    trace_id,
)

TRACES = 24_000
LATEST = (1 << 63) - 1
# Each inserts spans of the whole day, as late data does: five parts that overlap.
SEGMENTS = 5


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store with a day of traces and records, and no merge to tidy it up."""
    folder = tmp_path_factory.mktemp("plans")
    with opened(store_settings(folder)) as store:
        with store.connections.writing() as client:
            for table in ("otel_traces", "trace_summary", "id_index", "gateway_record"):
                client.command(f"SYSTEM STOP MERGES hopline.{table}")
        load = Loading(store, folder)
        for segment in range(SEGMENTS):
            numbers = range(segment, TRACES, SEGMENTS)
            load.spans(*(_span(number) for number in numbers))
            load.records(*(_record(number) for number in numbers))
        yield store


def _start_ns(number: int) -> int:
    return NOW_NS - number * 3 * NS


def _span(number: int) -> Any:
    attributes = {"guid:x-request-id": f"request-{number}"}
    return make_span(number, trace=number, start_ns=_start_ns(number), attributes=attributes)


def _record(number: int) -> Any:
    ids = (Id("x_request_id", f"request-{number}"),)
    return make_record(number, start_ns=_start_ns(number), trace_id=trace_id(number), ids=ids)


def _granules(store: Store, name: str, *parts: str, **parameters: Any) -> int:
    """Return how many granules the plan of a named read selects, all tables together."""
    sql = read_query(name, frozenset(parts))
    with store.connections.reading() as client:
        plan = client.query(
            f"EXPLAIN indexes = 1 {sql}",
            parameters={"database": "hopline", **words_of(sql), **parameters},
        )
    lines = [str(row[0]) for row in plan.result_rows]
    return sum(int(found[1]) for line in lines if (found := re.search(r"\| Granules: (\d+)", line)))


def _keys(*numbers: int) -> list[tuple[int, str]]:
    return [(_start_ns(n) // NS // BUCKET_S * BUCKET_S, trace_id(n)) for n in numbers]


def test_one_trace_is_one_granule(store: Store) -> None:
    """The spans of a trace are read from one granule of one part, whatever else was stored."""
    read = _granules(
        store,
        "get_spans",
        trace_ids=[trace_id(7_000)],
        keys=_keys(7_000),
        limit=100,
    )
    assert read <= SEGMENTS


def test_fifty_traces_do_not_read_the_day(store: Store) -> None:
    """A page of traces spread over the day reads its own granules, not what lies between."""
    numbers = range(0, TRACES, TRACES // 50)
    total = _granules(store, "get_trace_summaries", keys=[], long_ids=["x"])
    read = _granules(store, "get_trace_summaries", keys=_keys(*numbers), long_ids=[])
    assert read <= 51 * SEGMENTS
    spread = _granules(store, "get_trace_summaries", keys=_keys(7, 8, 9), long_ids=[])
    assert spread <= 2 * SEGMENTS < total


def test_ids_are_looked_up_in_a_granule_of_each_part(store: Store) -> None:
    """An id needs no time range, and one granule of each part of the index."""
    keys = ["request-12000"]
    assert _granules(store, "find_ids", keys=keys, limit=10) <= 2 * SEGMENTS
    assert _granules(store, "find_trace_ids", keys=keys, limit=10) <= 2 * SEGMENTS
    assert _granules(store, "find_recorded_keys", keys=keys) <= 2 * SEGMENTS
    located = _granules(store, "locate_records", trace_ids=[trace_id(12_000)])
    assert located <= 2 * SEGMENTS


def test_records_are_read_where_the_index_says(store: Store) -> None:
    """A record's versions are one granule of each part that has some of its five minutes."""
    bucket, _ = _keys(12_000)[0]
    key = (bucket, _record(12_000).record_id, "azure-apim")
    assert _granules(store, "get_records", keys=[key], received_until_ns=LATEST) <= SEGMENTS


def test_search_for_slow_requests_skips_the_quick_ones(store: Store) -> None:
    """Where nothing is as slow as asked for, no granule of the day is read."""

    def read(min_duration_ns: int) -> int:
        return _granules(
            store,
            "find_records",
            "min_duration_ns",
            start_ns=NOW_NS - 20 * 3600 * NS,
            end_ns=NOW_NS,
            min_duration_ns=min_duration_ns,
            limit=50,
        )

    assert read(10 * NS) == 0
    assert read(1) > SEGMENTS


def test_hour_is_a_fraction_of_the_day(store: Store) -> None:
    """A search in an hour reads that hour and its surroundings."""

    def read(hours: int) -> int:
        return _granules(
            store,
            "find_records",
            start_ns=NOW_NS - hours * 3600 * NS,
            end_ns=NOW_NS,
            limit=50,
        )

    assert read(1) * 4 <= read(20)
