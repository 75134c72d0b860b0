"""
Tables, views and their changes, from `schema/NNNN_name.sql`, applied once each and in order.
"""

import hashlib
import re
from dataclasses import dataclass

from clickhouse_connect.driver import Client

from collector.errors import ConfigError
from collector.store.rendering import SCHEMA_DIR, Names, expand, strip_comments

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_TTL = re.compile(r"^-- ttl: (.+)$", re.MULTILINE)
_ONLY = re.compile(r"^-- only: (cluster|single)$", re.MULTILINE)
_TABLE = """
CREATE TABLE IF NOT EXISTS {{database}}.schema_migration {{on_cluster}} (
    name String, checksum String, applied DateTime64(3) DEFAULT now64(3)
) ENGINE = {{merge_tree}} ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One schema file. `checksum` is of the text before names are filled in."""

    name: str
    table: str
    text: str
    checksum: str
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
                checksum=hashlib.sha256(text.encode()).hexdigest(),
                ttl=ttl[1] if ttl else "",
                only=only[1] if only else "",
            )
        )
    return found


def render(migration: Migration, names: Names) -> str:
    """Return the statement of *migration* for these names."""
    return strip_comments(expand(migration.text, names)).strip()


def migrate(client: Client, names: Names, ttl_days: int) -> list[str]:
    """
    Bring the database up to date; return the names of the migrations that were applied now.

    Safe to run again and by several processes at once: every statement says IF NOT EXISTS.

    Raises:
        ConfigError: a file was changed after it was applied.
    """
    database = names.values["database"]
    client.command(f"CREATE DATABASE IF NOT EXISTS {database} {names.values['on_cluster']}")
    client.command(expand(_TABLE, names))
    applied = _find_applied(client, database)
    done = []
    for migration in find_migrations():
        if migration.only and (migration.only == "cluster") != names.is_cluster:
            continue
        known = applied.get(migration.name)
        if known == migration.checksum:
            continue
        if known is not None:
            msg = f"schema file {migration.name} was changed after it was applied"
            raise ConfigError(msg, hint="add a new file instead of editing an applied one")
        client.command(render(migration, names))
        client.command(
            f"INSERT INTO {database}.schema_migration (name, checksum) VALUES "  # noqa: S608
            f"('{migration.name}', '{migration.checksum}')"
        )
        done.append(migration.name)
    return done


def _find_applied(client: Client, database: str) -> dict[str, str]:
    sql = f"SELECT name, any(checksum) FROM {database}.schema_migration GROUP BY name"  # noqa: S608
    return {str(name): str(checksum) for name, checksum in client.query(sql).result_rows}
