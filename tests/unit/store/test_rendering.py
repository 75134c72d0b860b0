"""The SQL as text: what is rendered, and what every file of it owes its reader."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from collector.config import StoreSettings
from collector.identity.ids import has_request_id
from collector.store.migrations import Migration, find_migrations, render
from collector.store.rendering import (
    MACRO_DIR,
    QUERY_DIR,
    SCHEMA_DIR,
    WIRE_DIR,
    Names,
    build_names,
    expand,
    expand_macros,
    read_query,
    read_wire_schema,
)
from tests.golden_file import GOLDEN, check_golden

SINGLE = StoreSettings(
    url="",
    directory=Path("unused"),
    database="hopline",
    cluster="",
    ttl_days=30,
    flush_interval_ms=1000,
    memory_bytes=0,
    query_timeout_s=20,
)
CLUSTER = replace(SINGLE, cluster="mesh")
MIGRATIONS = find_migrations()
QUERIES = sorted(path.stem for path in QUERY_DIR.glob("*.sql"))
ONE_ROW = {"count_rows"}
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
    """Return a query with every line that is there only sometimes."""
    texts = [path.read_text() for path in (*QUERY_DIR.glob("*.sql"), *MACRO_DIR.glob("*.sql"))]
    return read_query(query, frozenset(re.findall(r" -- when (\w+)$", "".join(texts), re.M)))


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
    """A schema file creates or changes one object, opens with why, and names its source."""
    statement = render(migration, _NAMES["single" if migration.only != "cluster" else "cluster"])
    assert len(re.findall(r"^(?:CREATE|ALTER) ", statement, re.MULTILINE)) == 1
    assert "IF NOT EXISTS" in statement
    head = re.split("^(?:CREATE|ALTER) ", migration.text, maxsplit=1, flags=re.MULTILINE)[0]
    assert head.startswith("-- ")
    assert "-- Source: " in head


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
    assert re.search(r"\bORDER BY\b", sql) or query in ONE_ROW | PUT_IN_ORDER
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
    names = re.findall(r"'((?:guid|kong|aws|apim|x-appgw|http\.request\.header)[^']+)'", part.text)
    assert len(names) == 9
    assert all(has_request_id({name: "id"}) for name in names)


def test_every_macro_is_used() -> None:
    """A macro that no file asks for is deleted."""
    folders = (SCHEMA_DIR, QUERY_DIR, MACRO_DIR)
    texts = "".join(path.read_text() for each in folders for path in each.glob("*.sql"))
    unused = [p.stem for p in MACRO_DIR.glob("*.sql") if f"{{{{{p.stem}" not in texts]
    assert not unused


def test_macro_arguments_may_be_bound_parameters() -> None:
    """A parameter's braces inside an argument do not end the macro."""
    sql = expand("{{five_minutes:{start_ns:Int64}}}", Names({}, is_cluster=False))
    assert sql == "toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000)))"


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
    view = next(each for each in MIGRATIONS if each.name.endswith("landing_trace_mv"))
    assert "{{attribute_map:" in view.text
    expanded = expand_macros(view.text)
    assert "{{attribute_map:" not in expanded
    assert "{{database}}" in expanded
    assert set(re.findall(r"\{\{(\w+)", expanded)) <= set(_NAMES["cluster"].values)


def test_lines_are_chosen_by_part() -> None:
    """A line marked for a part is there when the part is asked for, and the mark never is."""
    parts = frozenset({"by_duration", "with_ties"})
    plain = read_query("find_records", parts)
    filtered = read_query("find_records", parts | {"api", "thorough_service"})
    assert "{api:String}" not in plain
    assert "{service:String}" not in plain
    assert filtered.count("api = {api:String}") == 1
    assert "has(services, {service:String})" in filtered
    assert " -- when" not in plain + filtered
