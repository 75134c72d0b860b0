"""
How long the rows of each table live, and from when on its parts lie on cold disks.

A table whose rows have one time to live loses whole parts. Where APIs have times of their own, rows
end with their partition, so that it is rewritten once for each time and not every few hours.

Source: ClickHouse documentation, TTL for columns and tables; storage policies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from collector.errors import ConfigError
from collector.settings import Cold, Retention
from collector.store.rendering import Names

# The sum of a moment and this still fits into a DateTime.
_FOR_EVER_DAYS = 20_000
# BAD_ARGUMENTS, BAD_TTL_EXPRESSION, UNKNOWN_POLICY, UNKNOWN_DISK
_POLICY_CODES = frozenset({36, 450, 478, 479})
_FIND_ENGINES = "SELECT name, engine_full FROM system.tables WHERE database = {database:String}"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """
    What a schema file says of its rows' time to live.

    `moment` is what it counts from. `kept_as` says whether rows are kept as records are ("",
    or with times of APIs `by api`), `of spans`, as the one or the other `by gateway` ("" in that
    column for a span's), or `of copies` of spans. A partition is of `partition_days`.
    """

    table: str
    moment: str
    kept_as: str
    partition_days: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A clause as the engine writes it, and what is bound where it is given to the engine."""

    clause: str
    bound: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


def reconcile(client: Client, names: Names, lifetimes: Sequence[Lifetime], kept: Retention) -> None:
    """
    Give every table the times of *kept*, also those that exist with others.

    Raises:
        ConfigError: there is no such storage policy or volume, or it lacks the table's own disk.
    """
    given = {"database": names.values["database"]}
    found = client.query(_FIND_ENGINES, parameters=given).result_rows
    engines = {str(table): str(engine) for table, engine in found}
    try:
        for statement, parameters in find_changes(names, lifetimes, kept, engines):
            client.command(statement, parameters=dict(parameters))
    except DatabaseError as exc:
        if kept.cold and getattr(exc, "code", None) in _POLICY_CODES:
            msg = f"HOPLINE_RETENTION: cold: {str(exc)[:300]}"
            hint = "see Cold disks in deploy/clickhouse/README.md"
            raise ConfigError(msg, hint=hint) from exc
        raise


def find_changes(
    names: Names, lifetimes: Sequence[Lifetime], kept: Retention, engines: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """
    Yield the statements, with what is bound in them, that tables lack of what *kept* wants.

    *engines* is what `system.tables` calls `engine_full`, by table.
    """
    for each in lifetimes:
        table = each.table + names.values["local"]
        alter = f"ALTER TABLE {names.values['database']}.{table} {names.values['on_cluster']}"
        before, _, settings = engines[table].partition(" SETTINGS ")
        days = _days(each, kept)
        for setting in _settings(kept.cold, is_by_row=bool(days.parameters)):
            if setting not in settings.split(", "):
                yield f"{alter} MODIFY SETTING {setting}", {}
        wanted = _clause(each, days, kept.cold)
        if wanted.clause and not before.endswith(f" TTL {wanted.clause}"):
            yield f"{alter} MODIFY TTL {wanted.bound}", wanted.parameters
        elif not wanted.clause and " TTL " in before:
            yield f"{alter} REMOVE TTL", {}


def _settings(cold: Cold | None, *, is_by_row: bool) -> list[str]:
    only_parts = f"ttl_only_drop_parts = {0 if is_by_row else 1}"
    # a table that had a policy keeps it: its parts may lie there
    return [only_parts, f"storage_policy = '{cold.policy}'"] if cold else [only_parts]


def _clause(lifetime: Lifetime, days: _Wanted, cold: Cold | None) -> _Wanted:
    moment = lifetime.moment
    clauses, bound = list[str](), list[str]()
    if days.parameters:
        start = "toStartOfWeek" if lifetime.partition_days == 7 else "toDate"  # noqa: PLR2004
        for said, into in ((days.clause, clauses), (days.bound, bound)):
            into.append(f"{start}({moment}) + toIntervalDay({said} + {lifetime.partition_days})")
    elif days.clause != "0":
        clauses.append(f"{moment} + toIntervalDay({days.clause})")
        bound = list(clauses)
    if cold:
        move = f"{moment} + toIntervalDay({cold.after_days}) TO VOLUME '{cold.volume}'"
        clauses.append(move)
        bound.append(move)
    return _Wanted(", ".join(clauses), ", ".join(bound), days.parameters)


def _days(lifetime: Lifetime, kept: Retention) -> _Wanted:
    """Return the days of a table's rows, `0` for those that are all kept for ever."""
    if lifetime.kept_as == "of spans":
        return _Wanted(str(kept.span_days))
    if lifetime.kept_as == "by api":
        return _by_api("api", kept.record_days, kept.api_record_days)
    if lifetime.kept_as == "of copies":
        return _by_api("Api", kept.kept_days, kept.api_kept_days)
    if lifetime.kept_as == "by gateway":
        of_records = longest(kept.record_days, kept.api_record_days)
        if of_records != kept.span_days:
            of_spans, of_records = kept.span_days or _FOR_EVER_DAYS, of_records or _FOR_EVER_DAYS
            return _Wanted(f"if(gateway = '', {of_spans}, {of_records})")
        return _Wanted(str(of_records))
    return _Wanted(str(kept.record_days))


def longest(days: int, of_apis: tuple[tuple[str, int], ...]) -> int:
    """Return the longest of the times, 0 where one is for ever."""
    times = [days, *(each for _, each in of_apis)]
    return 0 if 0 in times else max(times)


def _by_api(column: str, usual: int, of_apis: tuple[tuple[str, int], ...]) -> _Wanted:
    others = {api: days or _FOR_EVER_DAYS for api, days in of_apis if days != usual}
    if not others:
        return _Wanted(str(usual))
    names = ", ".join(_quoted(api) for api in others)
    times = ", ".join(map(str, others.values()))
    rest = usual or _FOR_EVER_DAYS
    return _Wanted(
        f"transform({column}, [{names}], [{times}], {rest})",
        f"transform({column}, {{apis:Array(String)}}, [{times}], {rest})",
        {"apis": list(others)},
    )


def _quoted(text: str) -> str:
    """Return *text* as the engine writes it; it is compared with that and never run."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
