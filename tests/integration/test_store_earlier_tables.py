"""Tables that an earlier version made, or a server that knows less: opened, loaded and read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.settings import Retention, StoreSettings
from collector.store import open_store
from collector.store.migrations import Migration, checksum_of, find_migrations, migrate
from collector.store.rendering import LEAN, build_names
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
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

# What today's statement says, and what that said whose tables stay different and are as good.
_EARLIER = {
    "0050_id_index": (
        "PARTITION BY (toStartOfWeek(fromUnixTimestamp64Nano(received_ns)), gateway = '')",
        "PARTITION BY toStartOfWeek(fromUnixTimestamp64Nano(received_ns))",
    ),
}


def _as_it_was(migration: Migration) -> Migration:
    today, before = _EARLIER[migration.name]
    assert migration.text.count(today) == 1
    text = migration.text.replace(today, before)
    return replace(migration, text=text, checksum=checksum_of(text), as_good=())


def test_earlier_statements_are_known() -> None:
    """Each statement that is named as good as today's is one that is tried below."""
    named = {each.name: each for each in find_migrations() if each.as_good}
    assert named.keys() == _EARLIER.keys()
    for each in named.values():
        assert (_as_it_was(each).checksum,) == each.as_good


@pytest.fixture(params=["embedded", "http"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreSettings]:
    """Yield settings of an empty ClickHouse, in this process and over HTTP."""
    if request.param == "embedded":
        yield store_settings(tmp_path)
        return
    with clickhouse_server(tmp_path, password="secret") as url:
        yield store_settings(tmp_path, url=url)


def test_tables_of_earlier_statements_are_used(settings: StoreSettings, tmp_path: Path) -> None:
    """Tables made by statements that are named as good as today's are loaded as they are."""
    files = find_migrations()
    earlier = [_as_it_was(each) if each.as_good else each for each in files]
    store = open_store(settings, ManualClock(NOW_NS), Metrics())
    with store.connections.writing() as client:
        migrate(client, build_names(settings), Retention(), migrations=earlier)
        # what else changes brings all tables up to date: the partitions stay as they were
        client.command(
            f"INSERT INTO {settings.database}.schema_migration (name, checksum, applied) "
            "SELECT '0090_source_stat', 'other', now64(3) + 1"
        )
    assert "0050_id_index" in store.migrate()
    assert store.migrate() == []
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
