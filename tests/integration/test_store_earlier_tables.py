"""Tables that an earlier version made are opened, loaded and read."""

from dataclasses import replace
from pathlib import Path

from collector.clock import ManualClock
from collector.store import open_store
from collector.store.migrations import checksum_of, find_migrations, render
from collector.store.rendering import build_names
from collector.telemetry import Metrics
from tests.stored import NOW_NS, Loading, make_record, make_span, store_settings, trace_id

# What today's statement says, and what the one said whose tables are as good.
_EARLIER = {
    "0010_otel_traces": (
        "index_granularity = 512, min_compress_block_size = 8192",
        "index_granularity = 1024, min_compress_block_size = 16384",
    ),
    "0030_otel_traces_trace_id_ts": ("merge_selector_base = 2, ", ""),
    "0080_gateway_record": ("merge_selector_base = 2, ", ""),
}


def test_tables_of_earlier_statements_stay(tmp_path: Path) -> None:
    """Tables made by statements that are named as good as today's are used as they are."""
    changed = [each for each in find_migrations() if each.as_good]
    assert {each.name for each in changed} == _EARLIER.keys()
    earlier = {each.name: each.text.replace(*_EARLIER[each.name]) for each in changed}
    assert all(checksum_of(earlier[each.name]) in each.as_good for each in changed)
    settings = store_settings(tmp_path)
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
