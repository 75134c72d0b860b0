"""
Tables, views and their changes, from `schema/NNNN_name.sql`, applied once each and in order.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver import Client

from collector.errors import ConfigError
from collector.store.rendering import (
    SCHEMA_DIR,
    Names,
    expand,
    expand_macros,
    strip_comments,
)

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_TTL = re.compile(r"^-- ttl: (.+)$", re.MULTILINE)
_ONLY = re.compile(r"^-- only: (cluster|single)$", re.MULTILINE)
_AS_GOOD = re.compile(r"^-- as good: ([0-9a-f]{64})", re.MULTILINE)
_DATABASE = "CREATE DATABASE IF NOT EXISTS {{database}} {{on_cluster}}"
_TABLE = """
CREATE TABLE IF NOT EXISTS {{database}}.schema_migration {{on_cluster}} (
    name String, checksum String, applied DateTime64(3) DEFAULT now64(3)
) ENGINE = {{merge_tree}} ORDER BY name
"""
_FIND_APPLIED = (
    "SELECT name, argMax(checksum, applied) FROM {{database}}.schema_migration GROUP BY name"
)
_APPLIED = """
INSERT INTO {{database}}.schema_migration (name, checksum) SELECT {name:String}, {checksum:String}
"""
_FIND_ENGINES = "SELECT name, engine_full FROM system.tables WHERE database = {database:String}"
_FIND_SETTINGS = "SELECT name FROM system.merge_tree_settings"
_ALTER = "ALTER TABLE {{{{database}}}}.{table} {{{{on_cluster}}}} {change}"


@dataclass(frozen=True, slots=True)
class Migration:
    """
    One schema file. `checksum` is of its statement with macros, before names are filled in.

    `as_good` are checksums of earlier statements: what they made holds and answers the same, and
    stays as it is.
    """

    name: str
    table: str
    text: str
    checksum: str
    as_good: tuple[str, ...]
    ttl: str
    only: str


def find_migrations() -> list[Migration]:
    """Return the schema files in their order."""
    found = []
    for path in sorted(SCHEMA_DIR.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if not match:
            msg = f"schema file {path.name} is not called NNNN_name.sql"
            raise ConfigError(msg)
        text = path.read_text()
        ttl, only = _TTL.search(text), _ONLY.search(text)
        found.append(
            Migration(
                name=path.stem,
                table=match[2],
                text=text,
                checksum=checksum_of(text),
                as_good=tuple(_AS_GOOD.findall(text)),
                ttl=ttl[1] if ttl else "",
                only=only[1] if only else "",
            )
        )
    return found


def checksum_of(text: str) -> str:
    """Sum up what the statement does: comments and line breaks may change."""
    words = strip_comments(expand_macros(text)).split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def render(migration: Migration, names: Names) -> str:
    """Return the statement of *migration* for these names."""
    return strip_comments(expand(migration.text, names)).strip()


def find_table_settings(client: Client) -> frozenset[str]:
    """Return the names of the settings that tables of this server can have."""
    return frozenset(str(name) for (name,) in client.query(_FIND_SETTINGS).result_rows)


def migrate(client: Client, names: Names, ttl_days: int) -> list[str]:
    """
    Bring the database up to date; return the names of the migrations that were applied now.

    Safe to run again and by several processes at once: every statement says IF NOT EXISTS.

    Raises:
        ConfigError: a file was changed after it was applied.
    """
    client.command(expand(_DATABASE, names))
    client.command(expand(_TABLE, names))
    applied = _find_applied(client, names)
    migrations = [
        each
        for each in find_migrations()
        if not each.only or (each.only == "cluster") == names.is_cluster
    ]
    done = [each.name for each in migrations if _apply(client, names, each, applied)]
    _reconcile_ttl(client, names, migrations, ttl_days)
    return done


def _apply(client: Client, names: Names, migration: Migration, applied: Mapping[str, str]) -> bool:
    known = applied.get(migration.name)
    if known is not None and known not in (migration.checksum, *migration.as_good):
        database = names.values["database"]
        msg = (
            f"the tables of database {database} were made by another version of Hopline: "
            f"{migration.name} was changed after it was applied"
        )
        hint = "set HOPLINE_CLICKHOUSE_DATABASE to a new name to begin anew beside them; read the "
        raise ConfigError(msg, hint=hint + "old ones with the version that made them")
    if known is None:
        client.command(render(migration, names))
        client.command(
            expand(_APPLIED, names),
            parameters={"name": migration.name, "checksum": migration.checksum},
        )
    return known is None


def _find_applied(client: Client, names: Names) -> dict[str, str]:
    rows = client.query(expand(_FIND_APPLIED, names)).result_rows
    return {str(name): str(checksum) for name, checksum in rows}


def _reconcile_ttl(
    client: Client, names: Names, migrations: Sequence[Migration], ttl_days: int
) -> None:
    """Give every table the time to live of the settings, also those that exist with another one."""
    engines = {
        str(table): str(engine)
        for table, engine in client.query(
            _FIND_ENGINES, parameters={"database": names.values["database"]}
        ).result_rows
    }
    for migration in migrations:
        if not migration.ttl:
            continue
        table = migration.table + names.values["local"]
        wanted = f"TTL {migration.ttl} + toIntervalDay({ttl_days})"
        change = ""
        if ttl_days and f"{wanted} SETTINGS" not in engines[table]:
            change = f"MODIFY {wanted}"
        elif not ttl_days and " TTL " in engines[table]:
            change = "REMOVE TTL"
        if change:
            client.command(expand(_ALTER.format(table=table, change=change), names))
