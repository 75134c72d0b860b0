"""
What the tables take on the disk, by kind of row and day.

Source: ClickHouse documentation, system.parts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse_connect.driver import Client

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
