"""Tables that an earlier version made, or a server that knows less: opened, loaded and read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.clock import ManualClock
from collector.config import StoreSettings
from collector.store import open_store
from collector.store.migrations import Migration, checksum_of, find_migrations, render
from collector.store.rendering import LEAN, build_names
from collector.telemetry import Metrics
from tests.stored import (
    NOW_NS,
    Loading,
    clickhouse_server,
    make_record,
    make_span,
    opened,
    query_rows,
    store_settings,
    trace_id,
)

# What today's statement says, and what those said, oldest first, whose tables are as good.
_EARLIER = {
    "0010_otel_traces": (
        "index_granularity = 512, min_compress_block_size = 8192, merge_selector_base = 10",
        "index_granularity = 1024, min_compress_block_size = 16384",
        "index_granularity = 512, min_compress_block_size = 8192",
    ),
    "0030_otel_traces_trace_id_ts": (
        "index_granularity = 256, min_compress_block_size = 4096, merge_selector_base = 2",
        "index_granularity = 512, min_compress_block_size = 8192",
        "index_granularity = 512, min_compress_block_size = 8192, merge_selector_base = 2",
    ),
    "0040_trace_summary": ("merge_selector_base = 10, ", ""),
    "0050_id_index": (
        "PARTITION BY (toStartOfWeek(fromUnixTimestamp64Nano(received_ns)), gateway = '')",
        "PARTITION BY toStartOfWeek(fromUnixTimestamp64Nano(received_ns))",
    ),
    "0080_gateway_record": ("merge_selector_base = 2, ", ""),
}
# What was added to today's statement after those.
_SINCE = {
    "0010_otel_traces": (",\n    INDEX by_span_id SpanId TYPE bloom_filter(0.01) GRANULARITY 8",),
}


def _earlier_texts(migration: Migration) -> list[str]:
    today, *before = _EARLIER[migration.name]
    assert today in migration.text
    text = migration.text
    for words in _SINCE.get(migration.name, ()):
        assert words in text
        text = text.replace(words, "")
    return [text.replace(today, words) for words in before]


def test_earlier_statements_are_known() -> None:
    """Each statement that is named as good as today's is one that is tried below."""
    named = {each.name: set(each.as_good) for each in find_migrations() if each.as_good}
    assert named.keys() == _EARLIER.keys()
    for each in find_migrations():
        if each.as_good:
            assert {checksum_of(text) for text in _earlier_texts(each)} == set(each.as_good)


@pytest.fixture(params=["embedded", "http"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreSettings]:
    """Yield settings of an empty ClickHouse, in this process and over HTTP."""
    if request.param == "embedded":
        yield store_settings(tmp_path)
        return
    with clickhouse_server(tmp_path, password="secret") as url:
        yield store_settings(tmp_path, url=url)


@pytest.mark.parametrize("version", ["oldest", "newest"])
def test_tables_of_earlier_statements_stay(
    version: str, settings: StoreSettings, tmp_path: Path
) -> None:
    """Tables made by statements that are named as good as today's are used as they are."""
    changed = [each for each in find_migrations() if each.as_good]
    place = 0 if version == "oldest" else -1
    earlier = {each.name: _earlier_texts(each)[place] for each in changed}
    store = open_store(settings, ManualClock(NOW_NS), Metrics())
    with store.connections.writing() as client:
        client.command(f"CREATE DATABASE {settings.database}")
        for each in changed:
            made_by = replace(each, text=earlier[each.name])
            client.command(render(made_by, build_names(settings)))
    store.migrate()
    with store.connections.writing() as client:
        for name, text in earlier.items():
            client.command(
                f"INSERT INTO {settings.database}.schema_migration (name, checksum, applied) "
                f"SELECT '{name}', '{checksum_of(text)}', now64(3) + 1"
            )
    store.migrate()
    load = Loading(store, tmp_path)
    load.spans(make_span(1))
    load.records(record := make_record(1))
    assert [each.trace_id for each in store.get_spans([trace_id(1)])] == [trace_id(1)]
    assert len(store.get_records(record_keys=[(record.gateway, record.record_id)])) == 1
    store.close()


def test_server_without_a_lean_setting_goes_without_it(
    settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table setting that only saves work is not asked of a server that has not heard of it."""
    monkeypatch.setitem(LEAN, "setting_of_a_later_version", "1")
    with opened(settings) as store:
        load = Loading(store, tmp_path)
        load.spans(make_span(1))
        assert [each.trace_id for each in store.get_spans([trace_id(1)])] == [trace_id(1)]
        ((engine,),) = query_rows(
            store,
            "SELECT engine_full FROM system.tables WHERE database = {database:String} "
            "AND name = 'otel_traces'",
            database=settings.database,
        )
    assert "string_serialization_version = 'single_stream'" in engine
    assert "setting_of_a_later_version" not in engine
