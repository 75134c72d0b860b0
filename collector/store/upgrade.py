"""
From the tables that are there to those that the schema files want, in place.

What is wanted is built beside the database in an empty one, so that the engine itself says what
each statement means; then both are compared, table by table. What can be changed where it lies is
changed: columns and indexes are added, defaults, codecs and settings follow, landing tables take
any shape, and views get their new statement. Nothing of that rewrites or drops a row. A new engine,
order, partition or type of a stored column cannot be had that way and is refused with a sentence.

Loads of other nodes may go on meanwhile: tables come before the views that fill them, a landing
table takes messages with fewer fields, and each change is one statement of the engine.

Source: ClickHouse documentation, ALTER COLUMN, ALTER SETTING, ALTER MODIFY QUERY.
"""

import re
import uuid
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from collector.store.rendering import Names, fill, name_engines

Say = Callable[[str], None]

_FIND_TABLES = """
SELECT name, engine, engine_full, sorting_key, partition_key, as_select, create_table_query
FROM system.tables WHERE database = {database:String}
"""
_FIND_COLUMNS = """
SELECT table, name, type, default_kind, default_expression, compression_codec
FROM system.columns WHERE database = {database:String} ORDER BY table, position
"""
_FIND_INDEXES = """
SELECT table, name, expr, type_full, granularity
FROM system.data_skipping_indices WHERE database = {database:String}
"""
_FIND_LEFT_OVER = """
SELECT name FROM system.databases WHERE match(name, {pattern:String}) AND name NOT IN (
    SELECT database FROM system.tables
    WHERE metadata_modification_time > now() - 3600 OR total_rows > 0)
"""
# the same beginning for the databases of all tenants: deploy/clickhouse/users.sql grants it
_ASIDE = "hopline_wanted_"
_SETTING = re.compile(r"(\w+) = ('(?:[^'\\]|\\.)*'|[^,]+)")
_TARGET = re.compile(r"^CREATE MATERIALIZED VIEW \S+ TO (\S+)")
_READ_ONLY_SETTING = 472


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the engine describes it. `default` is `DEFAULT expression`, the like, or ""."""

    name: str
    type: str
    default: str
    codec: str

    @property
    def is_stored(self) -> bool:
        return not self.default.startswith("ALIAS ")

    @property
    def definition(self) -> str:
        return " ".join(filter(None, (f"`{self.name}`", self.type, self.default, self.codec)))


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view as the engine describes it."""

    name: str
    engine: str
    keys: Mapping[str, str]
    settings: Mapping[str, str]
    columns: Mapping[str, Column]
    indexes: Mapping[str, str]
    select: str
    target: str

    @property
    def is_view(self) -> bool:
        return self.engine in ("MaterializedView", "View")

    @property
    def has_rows(self) -> bool:
        return self.engine.endswith("MergeTree")


@dataclass(frozen=True, slots=True)
class Change:
    """
    One statement, and what it does in words.

    An *optional* one may be refused by the engine without harm: it only saves work.
    """

    words: str
    statement: str
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done to tables, then to views, and what cannot be done in place."""

    tables: Sequence[Change]
    views: Sequence[Change]
    obstacles: Sequence[str]


def describe(client: Client, database: str, called: str = "") -> dict[str, Table]:
    """Return the tables and views of *database* by name, as if it were *called* like that."""
    given = {"database": database}
    columns: dict[str, dict[str, Column]] = {}
    for table, name, type_, kind, expression, codec in _rows(client, _FIND_COLUMNS, given):
        default = f"{kind} {expression}" if kind else ""
        columns.setdefault(table, {})[name] = Column(name, type_, default, codec)
    indexes: dict[str, dict[str, str]] = {}
    for table, name, expression, type_, granularity in _rows(client, _FIND_INDEXES, given):
        text = f"{expression} TYPE {type_} GRANULARITY {granularity}"
        indexes.setdefault(table, {})[name] = text
    found = {}
    for name, engine, full, sorting, partition, select, create in _rows(
        client, _FIND_TABLES, given
    ):
        target = _TARGET.match(create)
        found[name] = Table(
            name=name,
            engine=engine.removeprefix("Replicated"),
            keys={"ORDER BY": sorting, "PARTITION BY": partition},
            settings=dict(_SETTING.findall(full.partition(" SETTINGS ")[2])),
            columns=columns.get(name, {}),
            indexes=indexes.get(name, {}),
            select=select.replace(f"{database}.", f"{called or database}."),
            target=target[1].replace(f"{database}.", f"{called or database}.") if target else "",
        )
    return found


@contextmanager
def built_aside(client: Client, names: Names, statements: Sequence[str]) -> Iterator[str]:
    """
    Run the templates *statements* in an empty database of this node and lend its name.

    Those that crashed processes have left for an hour are dropped.
    """
    for (left_over,) in _rows(client, _FIND_LEFT_OVER, {"pattern": f"^{_ASIDE}[0-9a-f]{{12}}$"}):
        client.command(f"DROP DATABASE IF EXISTS {left_over} SYNC")
    aside = f"{_ASIDE}{uuid.uuid4().hex[:12]}"
    engines = name_engines(is_replicated=False)
    values = {**names.values, "database": aside, "on_cluster": "", **engines}
    client.command(f"CREATE DATABASE {aside}")
    try:
        for statement in statements:
            client.command(fill(statement, values))
        yield aside
    finally:
        client.command(f"DROP DATABASE IF EXISTS {aside} SYNC")


def make_plan(
    names: Names,
    actual: Mapping[str, Table],
    wanted: Mapping[str, Table],
    tolerated: Container[str] = (),
) -> Plan:
    """
    Compare what is there with what is wanted.

    Tables in *tolerated* were made by a statement that is named as good as today's: what cannot be
    changed of them stays as it is. Tables and columns that nobody wants any more are left alone,
    and so is what is missing: its own file makes it.
    """
    alter = _Alter(names)
    tables, views, obstacles = list[Change](), list[Change](), list[str]()
    for name, want in wanted.items():
        have = actual.get(name)
        if have is None:
            continue
        if want.is_view and have.engine == want.engine:
            views += _view_changes(alter, have, want)
            continue
        if name not in tolerated or want.is_view or have.is_view:
            obstacles += _obstacles(have, want)
        for find in (_column_changes, _index_changes, _setting_changes):
            tables += find(alter, have, want)
    return Plan(tables, views, obstacles)


def carry_out(client: Client, changes: Sequence[Change], say: Say) -> None:
    """Make the changes, one after the other; asked again after a crash, only the rest is left."""
    for number, change in enumerate(changes, 1):
        say(f"{number} of {len(changes)}: {change.words}")
        try:
            client.command(change.statement)
        except DatabaseError as exc:
            if not (change.is_optional and getattr(exc, "code", None) == _READ_ONLY_SETTING):
                raise


class _Alter:
    """Writes statements about tables of one database."""

    def __init__(self, names: Names) -> None:
        self._database = names.values["database"]
        self._on_cluster = names.values["on_cluster"]
        self.is_cluster = names.is_cluster

    def __call__(self, table: str, words: str, change: str) -> Change:
        return Change(f"{table}: {words}", self.write("ALTER TABLE", table, change))

    def write(self, verb: str, table: str, rest: str) -> str:
        return " ".join(filter(None, (verb, f"{self._database}.{table}", self._on_cluster, rest)))


def find_unwanted_views(
    names: Names, actual: Mapping[str, Table], known: Container[str], wanted: Container[str]
) -> list[Change]:
    """Drop the views that an earlier version made and none of today's files wants."""
    alter = _Alter(names)
    return [
        Change(f"{name}: no longer needed", alter.write("DROP VIEW IF EXISTS", name, "SYNC"))
        for name, table in actual.items()
        if table.is_view and name in known and name not in wanted
    ]


def _view_changes(alter: _Alter, have: Table, want: Table) -> Iterator[Change]:
    if have.target != want.target:
        # rows that another node loads between the two statements are missing from this one table
        drop = alter.write("DROP VIEW IF EXISTS", have.name, "SYNC")
        create = f"TO {want.target} AS {want.select}"
        yield Change(f"{have.name}: drop", drop)
        verb = "CREATE MATERIALIZED VIEW IF NOT EXISTS"
        yield Change(f"{want.name}: create", alter.write(verb, want.name, create))
    elif want.engine == "View" and have.select != want.select:
        create = alter.write("CREATE OR REPLACE VIEW", want.name, f"AS {want.select}")
        yield Change(f"{want.name}: new statement", create)
    elif have.select != want.select or _shape(have) != _shape(want):
        yield alter(want.name, "new statement", f"MODIFY QUERY {want.select}")
        # Until it is read again from disk, a changed view takes no part in the deduplication: a
        # segment that was loaded and not yet released would come a second time (ClickHouse 26.9).
        # Nodes of a cluster may load in between: there the second time is the smaller harm.
        if not alter.is_cluster:
            yield Change(f"{want.name}: close", alter.write("DETACH TABLE", want.name, "SYNC"))
            yield Change(f"{want.name}: open", alter.write("ATTACH TABLE", want.name, ""))


def _obstacles(have: Table, want: Table) -> Iterator[str]:
    if have.engine != want.engine:
        yield f"{have.name} has the engine {have.engine} and needs {want.engine}"
    if not want.has_rows:
        return
    for key, expression in want.keys.items():
        if have.keys[key] != expression:
            yield f"{have.name} has {key} {have.keys[key]} and needs {expression}"
    for name, column in want.columns.items():
        held = have.columns.get(name)
        if held and held.is_stored and held.type != column.type:
            yield f"column {have.name}.{name} is {held.type} and has to become {column.type}"


def _column_changes(alter: _Alter, have: Table, want: Table) -> Iterator[Change]:
    before = ""
    for name, column in want.columns.items():
        held = have.columns.get(name)
        if held is None:
            place = f"AFTER `{before}`" if before else "FIRST"
            change = f"ADD COLUMN IF NOT EXISTS {column.definition} {place}"
            yield alter(want.name, f"new column {name}", change)
        elif held != column:
            yield from _column_change(alter, want, held, column)
        before = name


def _column_change(alter: _Alter, want: Table, held: Column, column: Column) -> Iterator[Change]:
    words = f"column {column.name}"
    if held.default and not column.default:
        kind = held.default.split(" ", 1)[0]
        yield alter(want.name, words, f"MODIFY COLUMN `{column.name}` REMOVE {kind}")
    if held.codec and not column.codec:
        yield alter(want.name, words, f"MODIFY COLUMN `{column.name}` REMOVE CODEC")
    if held.type != column.type and want.has_rows and held.is_stored:
        return  # an obstacle, or tolerated
    left = replace(held, default=column.default and held.default, codec=column.codec and held.codec)
    if left != column:
        yield alter(want.name, words, f"MODIFY COLUMN {column.definition}")


def _index_changes(alter: _Alter, have: Table, want: Table) -> Iterator[Change]:
    for name, text in want.indexes.items():
        held = have.indexes.get(name)
        if held == text:
            continue
        if held is not None:
            yield alter(want.name, f"index {name}", f"DROP INDEX IF EXISTS {name}")
        yield alter(want.name, f"index {name}", f"ADD INDEX IF NOT EXISTS {name} {text}")


def _setting_changes(alter: _Alter, have: Table, want: Table) -> Iterator[Change]:
    for name, value in want.settings.items():
        if have.settings.get(name) != value:
            change = alter(want.name, f"setting {name}", f"MODIFY SETTING {name} = {value}")
            yield replace(change, is_optional=True)


def _shape(table: Table) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in table.columns.values()]


def _rows(client: Client, statement: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(statement, parameters=dict(given)).result_rows]
