"""The local Log Analytics reads the poller's language, and refuses what it does not know."""

from typing import Any

import pytest

from collector.demo.kusto import INGESTION, KustoError, read_query, time_ns
from collector.pull.tables import ROW, TABLES

S = 1_000_000_000
T0 = time_ns("2033-06-07T08:00:00Z")


def _row(offset_s: int, ingested_s: int | None, **columns: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": T0 + offset_s * S,
        INGESTION: None if ingested_s is None else T0 + ingested_s * S,
    } | columns


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_query_of_the_poller_is_understood(table: Any) -> None:
    """What the poller asks of each table is read, with and without a limit."""
    for limit in (None, 500):
        query = read_query(table.query(T0, T0 + 60 * S, limit))
        assert (query.table, query.limit) == (table.name, limit)


def test_window_of_ingestion_time_is_half_open() -> None:
    """A row ingested at the start is in, one at the end is not."""
    query = read_query(TABLES["ApiManagementGatewayLogs"].query(T0, T0 + 60 * S, None))
    rows = [_row(0, second, n=second) for second in (-1, 0, 59, 60)]
    assert [row[ROW]["n"] for row in query.run(rows)] == [0, 59]


def test_row_without_ingestion_time_counts_by_its_own_time() -> None:
    """coalesce falls back to TimeGenerated."""
    query = read_query(TABLES["ApiManagementGatewayLogs"].query(T0, T0 + 60 * S, None))
    assert len(query.run([_row(5, None), _row(65, None)])) == 1


def test_rows_of_other_resources_stay_out() -> None:
    """AzureDiagnostics holds many services; only API Management's rows are asked for."""
    query = read_query(TABLES["AzureDiagnostics"].query(T0, T0 + 60 * S, None))
    rows = [
        _row(1, 2, ResourceProvider="MICROSOFT.APIMANAGEMENT"),
        _row(1, 2, ResourceProvider="MICROSOFT.NETWORK"),
        _row(1, 2),
    ]
    assert len(query.run(rows)) == 1


def test_telemetry_of_other_applications_stays_out() -> None:
    """AppRequests holds every application; has looks into the dynamic column."""
    query = read_query(TABLES["AppRequests"].query(T0, T0 + 60 * S, None))
    rows = [
        _row(1, 2, Properties={"Service Type": "API Management"}),
        _row(1, 2, Properties={"API Name": "cranes"}),
        _row(1, 2, Properties={"FullName": "Functions.X"}),
        _row(1, 2),
    ]
    assert len(query.run(rows)) == 2


def test_order_take_and_project_away() -> None:
    """Rows are ordered before they are limited, and removed columns are gone."""
    query = read_query("T\n| order by name desc\n| take 2\n| project-away secret")
    rows = [{"name": name, "secret": 1, INGESTION: None} for name in "acb"]
    assert [(row["name"], "secret" in row) for row in query.run(rows)] == [
        ("c", False),
        ("b", False),
    ]


def test_projected_columns_are_the_only_ones() -> None:
    """project names its columns; pack_all(true) leaves nulls and empty texts out."""
    query = read_query("T\n| project a, At=tostring(ingested), All=pack_all(true)")
    row = {"a": 1, "b": None, "c": "", "ingested": "x", INGESTION: None}
    assert query.run([row]) == [{"a": 1, "At": "x", "All": {"a": 1, "ingested": "x"}}]


@pytest.mark.parametrize(
    "text",
    [
        "ApiManagementGatewayLogs | summarize count()",
        "union A, B",
        "print 1",
        "T\n| where TimeGenerated > ago(1h)",
        "T\n| where TimeGenerated >= later",
        "let x = 5;\nT",
        "T\n| take many",
        "T\n| extend a=strcat(b)",
        "",
    ],
)
def test_other_queries_are_refused(text: str) -> None:
    """Nothing is answered as if it had been understood."""
    with pytest.raises(KustoError):
        read_query(text)


def test_seven_digits_are_kept() -> None:
    """Log Analytics keeps 100 ns."""
    assert time_ns("2033-06-07T08:00:00.0000001Z") == T0 + 100
