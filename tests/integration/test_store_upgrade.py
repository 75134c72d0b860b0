"""Databases of earlier versions and statements: brought up to date where they lie, or refused."""

import os
import re
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collector.decode.records.codec import encode_records
from collector.errors import ConfigError
from collector.model import Stream
from collector.settings import Retention, StoreSettings
from collector.store import Store, open_store
from collector.store.migrations import (
    Migration,
    checksum_of,
    find_migrations,
    find_table_settings,
    migrate,
)
from collector.store.rendering import build_names
from collector.store.upgrade import Say, describe
from collector.telemetry import Metrics
from tests import earlier_store
from tests.manual_clock import ManualClock
from tests.stored import (
    NOW_NS,
    Loading,
    clickhouse_server,
    encode_spans,
    make_record,
    make_span,
    opened,
    query_rows,
    store_settings,
    trace_id,
)

FOLDERS = sorted(earlier_store.FOLDER.glob("*.tar.xz"))
TODAY = find_migrations()
_METADATA = "SELECT metadata_path FROM system.tables WHERE database = {database:String}"


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name.removesuffix(".tar.xz"))
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a data folder that an earlier version left behind."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture(params=["embedded", "http"])
def settings(request: pytest.FixtureRequest, earlier: Path) -> Iterator[StoreSettings]:
    """Yield settings of the earlier version's tables, in this process and over HTTP."""
    if request.param == "embedded":
        yield store_settings(earlier)
        return
    (earlier / "chdb").rename(earlier / "db")
    with clickhouse_server(earlier, password="secret", user="hopline_ingest") as url:
        yield store_settings(earlier, url=url)


def _count_tables(store: Store, database: str) -> dict[str, int]:
    rows = query_rows(
        store,
        "SELECT name, total_rows FROM system.tables WHERE database = {database:String} "
        "AND endsWith(engine, 'MergeTree') AND name != 'schema_migration'",
        database=database,
    )
    return dict(rows)


def test_an_earlier_data_folder_is_read_and_loaded(settings: StoreSettings, tmp_path: Path) -> None:
    """What an earlier version stored comes back whole, and new rows go beside it."""
    with opened(settings) as store:
        records, spans = earlier_store.records(), earlier_store.spans()
        keys = [(each.gateway, each.record_id) for each in records]
        held = store.get_records(record_keys=keys)
        assert [replace(each, received_ns=0) for each in held] == records
        assert store.get_spans([trace_id(1), trace_id(2), trace_id(3)]) == spans
        assert len(store.get_logs([trace_id(1)])) == 1
        assert [each.spans for each in store.get_trace_summaries([trace_id(2)])] == [2]
        hits = store.find_ids(["earlier-request-2"])
        assert {(hit.trace_id, hit.record_id) for hit in hits} == {
            (trace_id(2), ""),
            ("", records[1].record_id),
        }
        load = Loading(store, tmp_path)
        load.messages(Stream.TRACE, encode_spans([make_span(1, trace=9)]), id="new-1")
        load.messages(Stream.RECORD, encode_records([make_record(9)]), id="new-2")
        assert len(store.get_spans([trace_id(9)])) == 1
        assert len(store.get_records(record_keys=[("azure-apim", make_record(9).record_id)])) == 1


def test_an_earlier_data_folder_becomes_what_a_new_one_is(settings: StoreSettings) -> None:
    """After the upgrade tables, columns, settings and views are those of a new database."""
    with opened(settings) as store:
        with opened(replace(settings, database="hopline_fresh")):
            pass
        found = describe_as(store, settings.database, "today")
        assert found == describe_as(store, "hopline_fresh", "today")


def test_a_segment_that_the_earlier_version_loaded_is_not_loaded_again(
    settings: StoreSettings, tmp_path: Path
) -> None:
    """A segment that was loaded but not released before the upgrade adds nothing after it."""
    with opened(settings) as store:
        before = _count_tables(store, settings.database)
        load = Loading(store, tmp_path)
        load.records(*earlier_store.records())
        load.spans(*earlier_store.spans())
        assert _count_tables(store, settings.database) == before


# From here on: one embedded engine, a database for each test, and schema files of which some said
# something else before.


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """Yield settings of an embedded engine that stays up for the module."""
    settings = store_settings(tmp_path_factory.mktemp("store"))
    keeper = open_store(settings, ManualClock(NOW_NS), Metrics())
    yield settings
    keeper.close()


@pytest.fixture(scope="module")
def today(engine: StoreSettings) -> Mapping[str, object]:
    """Return what a new database looks like, under the name `today`."""
    with opened(replace(engine, database="today")) as store:
        return describe_as(store, "today", "today")


@pytest.fixture
def store(engine: StoreSettings) -> Iterator[Store]:
    """Yield a store without tables, in a database of its own."""
    settings = replace(engine, database=f"t{uuid.uuid4().hex[:8]}")
    store = open_store(settings, ManualClock(NOW_NS), Metrics())
    yield store
    with store.connections.writing() as client:
        client.command(f"DROP DATABASE IF EXISTS {settings.database} SYNC")
    store.close()


def _said(name: str, *changes: tuple[str, str]) -> Migration:
    """Return a schema file as it was when the second of each pair stood in place of the first."""
    (file,) = (each for each in TODAY if each.name == name)
    text = file.text
    for today, before in changes:
        assert text.count(today) == 1
        text = text.replace(today, before)
    return replace(file, text=text, checksum=checksum_of(text), as_good=())


def _copy_of(name: str) -> Migration:
    """Return a schema file of another table of the same columns."""
    (file,) = (each for each in TODAY if each.name == name)
    table = f"{file.table}_copy"
    return replace(
        file, name=f"{name}_copy", table=table, text=file.text.replace(file.table, table)
    )


def _earlier(
    *changed: Migration, without: str = "^$", and_also: Migration | None = None
) -> list[Migration]:
    by_name = {each.name: each for each in changed}
    kept = [each for each in TODAY if not re.search(without, each.name)]
    whole = [by_name.get(each.name, each) for each in kept]
    return sorted([*whole, *([and_also] if and_also else [])], key=lambda each: each.name)


def _migrate(store: Store, files: Sequence[Migration], say: Say = lambda line: None) -> list[str]:
    with store.connections.writing() as client:
        names = build_names(store.settings, find_table_settings(client))
        return migrate(client, names, Retention(), migrations=files, say=say)


_ANSWER = "DEFAULT if({{ record_is_answer() }}, ifNull(duration_ns, -1), -1)"
_INDEX = "INDEX by_answer answer_ns TYPE minmax GRANULARITY 1"
_CODEC = "trace_id String CODEC(ZSTD(1))"
_OTHER_VIEW = _said("0052_id_index_span_mv", ("'') AS kind", "'other') AS kind"))
_LESS = _earlier(
    _said("0040_trace_summary", ("merge_selector_base = 10, ", "")),
    _said("0050_id_index", (_CODEC, "trace_id String")),
    _said(
        "0080_gateway_record",
        ("    region LowCardinality(String) CODEC(ZSTD(1)),\n", ""),
        (_ANSWER, ""),
        (f",\n    {_INDEX}", ""),
    ),
    _said("0082_landing_record", ("        region LowCardinality(String),\n", "")),
    _said("0083_landing_record_mv", ("    r.region AS region,\n", "")),
    without="gateway_record_json|source_stat",
)
_OTHER = _earlier(
    _said("0040_trace_summary", ("merge_selector_base = 10", "merge_selector_base = 7")),
    _said("0050_id_index", (_CODEC, "trace_id String DEFAULT 'none' CODEC(ZSTD(3))")),
    _OTHER_VIEW,
    _said(
        "0080_gateway_record",
        (_ANSWER, "DEFAULT -1"),
        (_INDEX, _INDEX.replace("minmax", "set(100)")),
        ("DateTime64(9) ALIAS fromUnixTimestamp64Nano", "String ALIAS toString"),
    ),
    # another source
    _said("0093_source_stat_log_mv", ("FROM {{ database }}.otel_logs{{ local }}\n",
                                      "FROM {{ database }}.otel_traces AS otel_logs\n")),
    # another target
    _said("0094_source_stat_record_mv", ("TO {{ database }}.source_stat{{ local }} AS",
                                         "TO {{ database }}.source_stat_copy AS")),
    and_also=_copy_of("0090_source_stat"),
)  # fmt: skip


@pytest.mark.parametrize("earlier", [_LESS, _OTHER], ids=["less", "other"])
def test_what_can_be_changed_in_place_is(
    earlier: list[Migration], store: Store, today: Mapping[str, object], tmp_path: Path
) -> None:
    """Tables of earlier statements become those of today, keep their rows and take new ones."""
    _migrate(store, earlier)
    load = Loading(store, tmp_path)
    load.spans(make_span(1))
    said: list[str] = []
    assert _migrate(store, TODAY, said.append)
    found = describe_as(store, store.settings.database, "today")
    found.pop("source_stat_copy", None)
    assert found == today
    assert said
    load.records(make_record(2, region="west"))
    assert [each.region for each in store.get_records(record_keys=[_key(2)])] == ["west"]
    assert len(store.get_spans([trace_id(1)])) == 1
    assert _migrate(store, TODAY) == []


def test_an_upgrade_goes_on_after_each_interruption(
    store: Store, today: Mapping[str, object]
) -> None:
    """An upgrade that ends after any of its steps is finished by the next one."""
    _migrate(store, _OTHER)
    interruptions = 0
    said: list[str] = []

    def end_after_a_step(line: str) -> None:
        said.append(line)
        if len(said) > 1:
            raise _Killed

    while interruptions < 30:
        said.clear()
        try:
            _migrate(store, TODAY, end_after_a_step)
        except _Killed:
            interruptions += 1
        else:
            break
    assert interruptions > 5
    found = describe_as(store, store.settings.database, "today")
    assert found.pop("source_stat_copy")
    assert found == today


class _Killed(Exception):  # noqa: N818 - what ends the test's upgrade in the middle
    pass


def test_what_nobody_wants_any_more_goes_only_if_it_holds_no_rows(store: Store) -> None:
    """A view of an earlier version is dropped; its table and what others made are let alone."""
    database = store.settings.database
    _migrate(store, [*TODAY, _copy_of("0050_id_index"), _copy_of("0093_source_stat_log_mv")])
    with store.connections.writing() as client:
        client.command(f"CREATE MATERIALIZED VIEW {database}.strange_mv TO {database}.source_stat "
                       f"AS SELECT * FROM {database}.source_stat WHERE 0")  # fmt: skip
        client.command(f"ALTER TABLE {database}.id_index ADD COLUMN strange String")
        client.command(f"ALTER TABLE {database}.id_index MODIFY SETTING merge_max_block_size = 100")
    _migrate(store, _earlier(_OTHER_VIEW))
    with store.connections.writing() as client:
        found = describe(client, database)
    assert "source_stat_log_mv_copy" not in found
    assert {"strange_mv", "id_index_copy", "source_stat_log_mv"} <= found.keys()
    assert "strange" in found["id_index"].columns
    assert found["id_index"].settings["merge_max_block_size"] == "100"


def test_what_would_rewrite_rows_is_refused(store: Store) -> None:
    """An upgrade that would have to rewrite tables says what is in its way and changes nothing."""
    earlier = _earlier(
        _said("0010_otel_traces", ("{{ merge_tree }}", "ReplacingMergeTree")),
        _said(
            "0050_id_index", ("ORDER BY (key, kind,", "ORDER BY (kind, key,"),
            (", gateway = '')", ", gateway)"),
        ),
        _OTHER_VIEW,
        _said("0080_gateway_record", (" path String", " path LowCardinality(String)")),
    )  # fmt: skip
    _migrate(store, earlier)
    database = store.settings.database
    before = describe_as(store, database, database)
    with pytest.raises(ConfigError) as caught:
        _migrate(store, TODAY)
    for sentence in (
        "otel_traces has the engine ReplacingMergeTree and needs MergeTree",
        "id_index has ORDER BY kind, key, trace_id, ",
        "id_index has PARTITION BY ",
        "column gateway_record.path is LowCardinality(String) and has to become String",
    ):
        assert sentence in caught.value.message
    assert "HOPLINE_CLICKHOUSE_DATABASE" in caught.value.hint
    assert describe_as(store, database, database) == before


def test_tables_of_a_later_version_are_left_alone(store: Store) -> None:
    """A process of an earlier version that starts during a roll-out does not undo the upgrade."""
    _migrate(store, _earlier(_OTHER_VIEW))
    database = store.settings.database
    with store.connections.writing() as client:
        client.command(f"INSERT INTO {database}.schema_migration (name, checksum, version) "
                       "VALUES ('0052_id_index_span_mv', 'later', '99.0')")  # fmt: skip
    before = describe_as(store, database, database)
    said: list[str] = []
    assert _migrate(store, TODAY, said.append) == []
    assert said == [f"the tables of {database} are of a later version: nothing is changed"]
    assert describe_as(store, database, database) == before


def test_what_a_crash_left_beside_the_tables_is_dropped(store: Store) -> None:
    """The empty tables that an upgrade compares with do not stay; whatever has rows does."""
    full = "hopline_wanted_fedcba987654"
    others = ("hopline_wanted_list", "hopline_wanted_0123")  # a tenant is called so
    with store.connections.writing() as client:
        for name in ("hopline_wanted_0123456789ab", full, *others):
            client.command(f"CREATE DATABASE {name}")
        client.command(f"CREATE TABLE {full}.t (n Int8) ENGINE = MergeTree ORDER BY n")
        client.command(f"INSERT INTO {full}.t VALUES (1)")
        ((file,),) = client.query(_METADATA, parameters={"database": full}).result_rows
        os.utime(
            store.settings.directory / file, (0, 0)
        )  # older than what is let alone for its age
    _migrate(store, _earlier(_OTHER_VIEW))
    _migrate(store, TODAY)
    with store.connections.writing() as client:
        rows = client.query("SELECT name FROM system.databases").result_rows
        for name in (full, *others):
            client.command(f"DROP DATABASE {name}")
    assert {name for (name,) in rows if name.startswith("hopline_wanted")} == {full, *others}


def describe_as(store: Store, database: str, called: str) -> dict[str, object]:
    """Return the tables of *database* as if it were *called* like that."""
    with store.connections.writing() as client:
        return {**describe(client, database, called=called)}


def _key(number: int) -> tuple[str, str]:
    record = make_record(number)
    return record.gateway, record.record_id
