"""
What the tables take on the disk, by kind of row and day.

Source: ClickHouse documentation, system.parts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse_connect.driver import Client

from collector.settings import Retention

SPANS, KEPT, LOGS, METRICS, RECORDS, REQUESTS, OTHER = (
    "spans", "kept spans", "logs", "metrics", "records", "requests", "other",
)  # fmt: skip
_KINDS = {
    "otel_traces": SPANS,
    "otel_traces_trace_id_ts": SPANS,
    "trace_summary": SPANS,
    "otel_traces_kept": KEPT,
    "otel_logs_kept": KEPT,
    "otel_logs": LOGS,
    "logged_request": LOGS,
    "gateway_record": RECORDS,
    "record_hour": RECORDS,
    "request": REQUESTS,
}
_MAIN = {
    SPANS: "otel_traces",
    KEPT: "otel_traces_kept",
    LOGS: "otel_logs",
    RECORDS: "gateway_record",
    REQUESTS: "request",
}
_FIND_PARTS = """
SELECT table, partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts
FROM system.parts WHERE database = {database:String} AND active
GROUP BY table, partition ORDER BY table, partition
"""
_COUNT_LATEST = """
SELECT toDate(bucket) AS day, count() FROM {database:Identifier}.{table:Identifier} FINAL
WHERE day IN {days:Array(Date)}
GROUP BY day
SETTINGS do_not_merge_across_partitions_select_final = 1
"""
_COUNT_BY_API = """
SELECT if(has({apis:Array(String)}, api), api, '') AS which, count() AS rows,
    countIf(toDate(day) BETWEEN today() - 7 AND today() - 1) AS recent
FROM (
    SELECT {column:Identifier} AS api, {moment} AS day
    FROM {database:Identifier}.{table:Identifier}
)
GROUP BY which ORDER BY which
"""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class DayOfKind:
    """
    Rows of one kind in one table's partition.

    `day` is the first day of the partition in Unix days, `None` of a table that has none.
    `rows` counts what people count, 0 in tables that only lead there.
    """

    kind: str
    day: int | None
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ApiShare:
    """
    What one API has of a kind's rows.

    `growth_ratio` is its share of the rows of the last seven full days; of all, if there are none.
    """

    kind: str
    api: str
    rows: int
    ratio: float
    growth_ratio: float


def get_api_shares(client: Client, database: str, kept: Retention) -> Sequence[ApiShare]:
    """Return the shares of the APIs that have times of their own."""
    of_records = [api for api, _ in kept.api_record_days]
    of_copies = [api for api, _ in kept.api_kept_days]
    return [
        share
        for kind, column, moment, apis in (
            (RECORDS, "api", "fromUnixTimestamp64Nano(received_ns)", of_records),
            (REQUESTS, "api", "bucket", of_records),
            (KEPT, "Api", "Received", of_copies),
        )
        if apis
        for share in _count_shares(client, database, kind, column, moment, apis)
    ]


def _count_shares(
    client: Client, database: str, kind: str, column: str, moment: str, apis: Sequence[str]
) -> Iterator[ApiShare]:
    given = {"database": database, "table": _MAIN[kind], "column": column, "apis": list(apis)}
    found = client.query(_COUNT_BY_API.replace("{moment}", moment), parameters=given).result_rows
    rows = {str(api): (int(count), int(recent)) for api, count, recent in found}
    total, grown = (sum(each[at] for each in rows.values()) for at in (0, 1))
    for api in apis:
        count, recent = rows.get(api, (0, 0))
        ratio = count / total if total else 0.0
        yield ApiShare(kind, api, count, ratio, recent / grown if grown else ratio)


def get_days(client: Client, database: str) -> Sequence[DayOfKind]:
    """
    Return what lies on the disk of the node that is asked.

    A stitched request that was corrected is counted once, also before its rows are merged: days of
    several parts are counted for that, one part holds a request once.
    """
    found = client.query(_FIND_PARTS, parameters={"database": database}).result_rows
    latest: dict[tuple[str, str], int] = {}
    unmerged: dict[str, list[str]] = {}
    for table, partition, _, _, parts in found:
        if table in ("request", "request_local") and parts > 1:
            unmerged.setdefault(table, []).append(str(partition).strip("'"))
    for name, days in unmerged.items():
        given = {"database": database, "table": name, "days": days}
        counted = client.query(_COUNT_LATEST, parameters=given).result_rows
        latest |= {(name, str(day)): int(rows) for day, rows in counted}
    return [
        _day_of(
            str(table).removesuffix("_local"),
            str(partition),
            latest.get((str(table), str(partition).strip("'")), int(rows)),
            int(size),
        )
        for table, partition, rows, size, _ in found
    ]


def _day_of(table: str, partition: str, rows: int, size: int) -> DayOfKind:
    kind = _KINDS.get(table, METRICS if table.startswith("otel_metrics_") else OTHER)
    if (
        table == "id_index"
    ):  # its partitions are weeks, and whether a gateway's record carries the id
        kind = SPANS if re.search(r",\s*(?:1|true)\)", partition) else RECORDS
    found = _DAY.search(partition)
    day = None
    if found:
        moment = datetime.fromisoformat(found[0]).replace(tzinfo=UTC)
        day = int(moment.timestamp()) // 86_400
    counts = _MAIN.get(kind, table) == table and kind != OTHER
    return DayOfKind(kind, day, rows if counts else 0, size)
