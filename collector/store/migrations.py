"""
The tables and views of `schema/NNNN_name.sql`, made once each and in order, or brought up to date.

The files say what is wanted. `schema_migration` keeps the checksum of each statement that was
applied: while none has changed, nothing is compared. `upgrade.py` does the rest.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver import Client

from collector import __version__
from collector.errors import ConfigError
from collector.settings import Retention
from collector.store import upgrade
from collector.store.lifetimes import Lifetime, reconcile
from collector.store.rendering import (
    ENVIRONMENT_NAMES,
    SCHEMA_DIR,
    Names,
    fill,
)
from collector.store.upgrade import Say

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_TTL = re.compile(r"^-- ttl( of spans| of copies| by gateway| by api)?: (.+)$", re.MULTILINE)
_OF_WEEKS = re.compile(r"^PARTITION BY \(?toStartOfWeek\(", re.MULTILINE)
_ONLY = re.compile(r"^-- only: (cluster|single)$", re.MULTILINE)
_AS_GOOD = re.compile(r"^-- as good: ([0-9a-f]{64})", re.MULTILINE)
_DATABASE = "CREATE DATABASE IF NOT EXISTS {{ database }} {{ on_cluster }}"
_TABLE = """
CREATE TABLE IF NOT EXISTS {{ database }}.schema_migration {{ on_cluster }} (
    name String, checksum String, applied DateTime64(3) DEFAULT now64(3), version String
) ENGINE = {{ merge_tree }} ORDER BY name
"""
_VERSION = """
ALTER TABLE {{ database }}.schema_migration {{ on_cluster }} ADD COLUMN IF NOT EXISTS version String
"""
_FIND_APPLIED = """
SELECT name, checksum, version FROM {{ database }}.schema_migration ORDER BY applied
"""
_APPLIED = """
INSERT INTO {{ database }}.schema_migration (name, checksum, version)
SELECT {name:String}, {checksum:String}, {version:String}
"""
_FIND_SETTINGS = "SELECT name FROM system.merge_tree_settings"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """
    One schema file. `checksum` is of its statement with macros, before names are filled in.

    `as_good` are checksums of earlier statements: what cannot be changed of the tables that they
    made (their order, their partitions) may stay as it is. `lifetime` is `None` of views, and of
    tables whose rows have no time to live.
    """

    name: str
    table: str
    text: str
    checksum: str
    as_good: tuple[str, ...]
    lifetime: Lifetime | None
    only: str


def find_migrations(folder: Path = SCHEMA_DIR) -> list[Migration]:
    """Return the schema files in their order."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if not match:
            msg = f"schema file {path.name} must be named NNNN_name.sql"
            raise ConfigError(msg)
        text = path.read_text()
        only = _ONLY.search(text)
        found.append(
            Migration(
                name=path.stem,
                table=match[2],
                text=text,
                checksum=checksum_of(text),
                as_good=tuple(_AS_GOOD.findall(text)),
                lifetime=_find_lifetime(match[2], text),
                only=only[1] if only else "",
            )
        )
    return found


def _find_lifetime(table: str, text: str) -> Lifetime | None:
    found = _TTL.search(text)
    if not found:
        return None
    kept_as = (found[1] or "").strip()
    return Lifetime(table, found[2], kept_as, 7 if _OF_WEEKS.search(text) else 1)


def checksum_of(text: str) -> str:
    """Sum up what the statement does: comments and line breaks may change, macros may not."""
    places = {name: "{{" + name + "}}" for name in ENVIRONMENT_NAMES}
    words = fill(text, places).split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def render(migration: Migration, names: Names) -> str:
    """Return the statement of *migration* for these names."""
    return fill(migration.text, names.values).strip()


def find_table_settings(client: Client) -> frozenset[str]:
    """Return the names of the settings that tables of this server can have."""
    return frozenset(str(name) for (name,) in client.query(_FIND_SETTINGS).result_rows)


def migrate(
    client: Client,
    names: Names,
    kept: Retention,
    *,
    migrations: Sequence[Migration] | None = None,
    say: Say | None = None,
) -> list[str]:
    """
    Bring the database up to date; return the names of the migrations that were applied now.

    Safe to interrupt, to run again, and to run by several processes at once: every statement may
    be repeated, and what is compared is what is there. A database that a later version has changed
    is left as it is. Each step of an upgrade is told to *say*, else to the log.

    Raises:
        ConfigError: a table would have to be rewritten. Nothing was changed.
    """
    say = say or _log.info
    client.command(fill(_DATABASE, names.values))
    client.command(fill(_TABLE, names.values))
    client.command(fill(_VERSION, names.values))
    wanted = [
        each
        for each in (find_migrations() if migrations is None else migrations)
        if not each.only or (each.only == "cluster") == names.is_cluster
    ]
    applied = _find_applied(client, names)
    if any(_ordered(each.version) > _ordered(__version__) for each in applied.values()):
        say(f"the tables of {names.values['database']} are of a later version: nothing is changed")
        return []
    if any(_is_changed(each, applied) for each in wanted):
        done = _upgrade(client, names, wanted, applied, say)
    else:
        done = [each.name for each in wanted if each.name not in applied]
        for each in wanted:
            if each.name in done:
                client.command(render(each, names))
                _record(client, names, each)
    reconcile(client, names, [each.lifetime for each in wanted if each.lifetime], kept)
    return done


@dataclass(frozen=True, slots=True)
class _Applied:
    """The checksums of a file that were applied, oldest first, and the latest version to do so."""

    checksums: tuple[str, ...]
    version: str


def _is_changed(migration: Migration, applied: Mapping[str, _Applied]) -> bool:
    known = applied.get(migration.name)
    return known is not None and known.checksums[-1] != migration.checksum


def _upgrade(
    client: Client,
    names: Names,
    wanted: Sequence[Migration],
    applied: Mapping[str, _Applied],
    say: Say,
) -> list[str]:
    database = names.values["database"]
    with upgrade.built_aside(client, names, [each.text for each in wanted]) as aside:
        goal = upgrade.describe(client, aside, called=database)
    present = upgrade.describe(client, database)
    tolerated = {
        each.table + names.values["local"]
        for each in wanted
        if each.name in applied and set(each.as_good) & set(applied[each.name].checksums)
    }
    plan = upgrade.make_plan(names, present, goal, tolerated)
    if plan.obstacles:
        msg = f"the tables of database {database} cannot be upgraded: {'; '.join(plan.obstacles)}"
        hint = "set HOPLINE_CLICKHOUSE_DATABASE to a new name to start with empty tables; read the "
        raise ConfigError(msg, hint=hint + "old ones with the version that made them")
    known = {name.partition("_")[2] for name in applied}
    upgrade.carry_out(client, upgrade.find_unwanted_views(names, present, known, goal), say)
    upgrade.carry_out(client, plan.tables, say)
    for each in wanted:
        if each.name not in applied or each.table not in present:
            client.command(render(each, names))
    upgrade.carry_out(client, plan.views, say)
    done = [
        each
        for each in wanted
        if each.name not in applied or applied[each.name].checksums[-1] != each.checksum
    ]
    for each in done:
        _record(client, names, each)
    return [each.name for each in done]


def _record(client: Client, names: Names, migration: Migration) -> None:
    given = {"name": migration.name, "checksum": migration.checksum, "version": __version__}
    client.command(fill(_APPLIED, names.values), parameters=given)


def _find_applied(client: Client, names: Names) -> dict[str, _Applied]:
    found: dict[str, _Applied] = {}
    for name, checksum, version in client.query(fill(_FIND_APPLIED, names.values)).result_rows:
        before = found.get(name, _Applied((), ""))
        latest = max(before.version, version, key=_ordered)
        found[name] = _Applied((*before.checksums, checksum), latest)
    return found


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
