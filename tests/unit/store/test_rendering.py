"""The SQL as text: what is rendered, and what every file of it owes its reader."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from collector.decode import quality, waf
from collector.decode.azure import side_logs
from collector.decode.records import from_spans
from collector.identity.ids import has_request_id
from collector.settings import StoreSettings
from collector.store import words
from collector.store.migrations import Migration, checksum_of, find_migrations, render
from collector.store.rendering import (
    QUERY_DIR,
    SCHEMA_DIR,
    STORE_DIR,
    WIRE_DIR,
    build_names,
    fill,
    find_parts,
    read_query,
    read_wire_schema,
)
from tests.golden_file import GOLDEN, check_golden

SINGLE = StoreSettings(
    url="",
    directory=Path("unused"),
    database="hopline",
    cluster="",
    flush_interval_ms=1000,
    memory_bytes=0,
    query_timeout_s=20,
)
CLUSTER = replace(SINGLE, cluster="mesh")
_MACRO_DIR = STORE_DIR / "macros"
MIGRATIONS = find_migrations()
QUERIES = sorted(path.stem for path in QUERY_DIR.glob("*.sql"))
ONE_ROW = {"count_bad", "count_logged", "count_rows", "count_stitched", "get_progress"}
# Rows of a few places, which the caller adds up or sorts in less time than the engine plans it.
PUT_IN_ORDER = {
    "find_trace_ids",
    "get_records",
    "get_trace_services",
    "locate_records",
    "locate_traces",
}
_GOLDEN = GOLDEN / "sql" / "store"
_NAMES = {"single": build_names(SINGLE), "cluster": build_names(CLUSTER)}


def _whole(query: str) -> str:
    """Return a query with everything that is there only sometimes."""
    return read_query(query, find_parts(query))


def _name(migration: Migration) -> str:
    return migration.name


@pytest.mark.parametrize("rendering", ["single", "cluster"])
@pytest.mark.parametrize("migration", MIGRATIONS, ids=_name)
def test_golden_schema(rendering: str, migration: Migration) -> None:
    """The statement sent for one node, and for a cluster, is the committed one."""
    if migration.only and migration.only != rendering:
        assert rendering == "single"
        return
    path = _GOLDEN / rendering / f"{migration.name}.sql"
    check_golden(path, render(migration, _NAMES[rendering]) + "\n")


@pytest.mark.parametrize("query", QUERIES)
def test_golden_query(query: str) -> None:
    """The statement of a named read is the committed one."""
    check_golden(_GOLDEN / "query" / f"{query}.sql", _whole(query) + "\n")


def test_golden_folder_holds_nothing_else() -> None:
    """A schema file or query that is gone takes its golden file with it."""
    wanted = {f"query/{query}" for query in QUERIES}
    for migration in MIGRATIONS:
        for rendering in ("single", "cluster"):
            if migration.only in ("", rendering):
                wanted.add(f"{rendering}/{migration.name}")
    found = _GOLDEN.rglob("*.sql")
    assert {str(path.relative_to(_GOLDEN).with_suffix("")) for path in found} == wanted


def test_migrations_are_numbered_once() -> None:
    """Two schema files with one number would be applied in an order that nobody chose."""
    numbers = [migration.name[:4] for migration in MIGRATIONS]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("migration", MIGRATIONS, ids=_name)
def test_schema_file_explains_itself(migration: Migration) -> None:
    """A schema file creates or changes one object and opens with why."""
    statement = render(migration, _NAMES["single" if migration.only != "cluster" else "cluster"])
    assert len(re.findall(r"^(?:CREATE|ALTER) ", statement, re.MULTILINE)) == 1
    assert "IF NOT EXISTS" in statement
    head = re.split("^(?:CREATE|ALTER) ", migration.text, maxsplit=1, flags=re.MULTILINE)[0]
    assert head.startswith("-- ")


def test_only_what_can_be_made_again_is_not_synced() -> None:
    """Rows that were acknowledged are on the disk when they are, what tools told among them."""
    tables = {
        migration.name[5:]: text
        for migration in MIGRATIONS
        if "MergeTree" in (text := render(migration, _NAMES["single"]))
    }
    lazy = {name for name, text in tables.items() if "fsync_after_insert = 1" not in text}
    assert lazy == {"request", "progress", "lease", "node_status", "record_hour"}


@pytest.mark.parametrize("migration", MIGRATIONS, ids=_name)
def test_cluster_keeps_rows_in_replicated_tables(migration: Migration) -> None:
    """On a cluster tables that keep rows are replicated, and statements reach all nodes."""
    statement = render(migration, _NAMES["cluster"])
    assert " ON CLUSTER mesh" in statement
    engine = re.search(r"^ENGINE = (\w+)", statement, re.MULTILINE)
    if engine and "MergeTree" in engine[1]:
        assert engine[1].startswith("Replicated")
        assert re.search(r"CREATE TABLE IF NOT EXISTS hopline\.\w+_local ", statement)


@pytest.mark.parametrize("query", QUERIES)
def test_query_has_an_order_and_binds_its_values(query: str) -> None:
    """Every read has an order, here or from its caller, and every value is a bound parameter."""
    text = (QUERY_DIR / f"{query}.sql").read_text()
    assert text.startswith("-- ")
    sql = _whole(query)
    is_read = not re.search(r"^INSERT INTO\b", sql, re.MULTILINE)
    assert not is_read or re.search(r"\bORDER BY\b", sql) or query in ONE_ROW | PUT_IN_ORDER
    assert "{database:Identifier}." in sql
    assert not re.search(r"%s|%\(|\{\}", sql)


@pytest.mark.parametrize("query", QUERIES)
def test_query_calls_no_table_function(query: str) -> None:
    """No read reaches outside the database, whatever is bound."""
    sql = _whole(query)
    assert not re.search(r"\b(?:url|file|s3|remote|executable|mysql|postgresql)\s*\(", sql)


def test_every_id_that_the_index_keeps_of_spans_joins() -> None:
    """What leads from an id to a trace also joins that trace with the record of the id."""
    (part,) = (each for each in MIGRATIONS if each.table == "trace_part_mv")
    text = render(part, _NAMES["single"])
    pattern = r"'((?:guid|kong|aws|apim|faas|x-appgw|http\.request\.header)[^']+)'"
    names = [name for name in re.findall(pattern, text) if "|" not in name]
    assert len(names) == len(set(names)) == 28
    assert all(has_request_id({name: "id"}) for name in names)


def test_words_of_statements_are_those_of_the_code() -> None:
    """What the adapters call a source or a flag is what the tables are asked for."""
    side_sources = {
        side_logs.WEBSOCKET_LOG,
        side_logs.LLM_LOG,
        side_logs.MCP_LOG,
        waf.WAF_LOG,
        "app-dependencies",
    }
    assert side_sources == words.SIDE_SOURCES
    assert from_spans.SOURCE == words.SPAN_SOURCE
    assert quality.LEFT_OUT_OF_PERCENTILES == words.UNMEASURED_FLAGS
    is_answer = (_MACRO_DIR / "requests.sql").read_text().partition("record_is_answer() -%}\n")[2]
    assert is_answer.startswith(f"kind != 'websocket' AND NOT has(quality, '{quality.STREAMING}')")


def test_every_macro_is_used() -> None:
    """A macro that no file asks for is deleted."""
    folders = (SCHEMA_DIR, QUERY_DIR, _MACRO_DIR)
    texts = "".join(path.read_text() for each in folders for path in each.glob("*.sql"))
    macros = re.findall(r"\{% macro (\w+)\(", texts)
    assert len(macros) == len(set(macros))
    assert not [name for name in macros if len(re.findall(rf"\b{name}\(", texts)) < 2]


def test_macro_arguments_may_be_bound_parameters() -> None:
    """A parameter's braces go through a macro as they are."""
    sql = fill(
        '{% from "macros/requests.sql" import five_minutes %}'
        '{{ five_minutes("{start_ns:Int64}") }}',
        {},
    )
    assert sql == "toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000)))"


def test_a_name_that_is_not_given_is_an_error() -> None:
    """A slip in a template fails when it is filled in, and not on the server."""
    with pytest.raises(UndefinedError):
        fill("SELECT * FROM {{ databse }}.t", {"database": "hopline"})


@pytest.mark.parametrize("word", ["a-b", "a b", "", "1a", "x; DROP DATABASE y", "ü"])
def test_database_is_a_plain_name(word: str) -> None:
    """Identifiers are pasted into statements, so only plain ones are taken."""
    with pytest.raises(ValueError, match="plain name"):
        build_names(replace(SINGLE, database=word))


@pytest.mark.parametrize("name", ["landing_trace", "landing_log", "gateway_record"])
def test_wire_schema_is_one_text(name: str) -> None:
    """A server gets the schema as text: nothing is imported and nothing commented."""
    text = read_wire_schema(name)
    assert "import" not in text
    assert "//" not in text
    assert text.count("{") == text.count("}")
    assert (WIRE_DIR / f"{name}.proto").read_text().startswith("// ")


def test_checksum_is_of_what_a_file_does() -> None:
    """Comments may change after a file was applied; its statement and its macros may not."""
    (view,) = (each for each in MIGRATIONS if each.table == "landing_trace_mv")
    assert checksum_of("-- a word more\n" + view.text) == view.checksum
    assert checksum_of(view.text.replace("hex_id(", "moment(")) != view.checksum


def test_checksums_are_those_of_the_first_release() -> None:
    """However templates are written, a statement that says the same has the same checksum."""
    (view,) = (each for each in MIGRATIONS if each.table == "source_stat_log_mv")
    assert view.checksum == "4a0a633fddbcbaf2622d11f04c76902f63f9b90d344a81b1062e9d98839d2c67"


def test_parts_are_chosen() -> None:
    """What a query says only sometimes is there when it is asked for; a slip is an error."""
    plain = read_query("find_records", frozenset({"with_ties"}))
    filtered = read_query("find_records", frozenset({"with_ties", "api", "thorough_service"}))
    assert "{api:String}" not in plain
    assert "{service:String}" not in plain
    assert filtered.count("api = {api:String}") == 1
    assert "has(services, {service:String})" in filtered
    with pytest.raises(ValueError, match="find_records has no part apis"):
        read_query("find_records", frozenset({"apis"}))
