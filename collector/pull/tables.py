"""
The Log Analytics tables that can be polled: what is asked of each, and who reads its rows.

`narrowing` is KQL that keeps the rows of other resources out; it is the only text that differs
between tables. Times are bound as literals that this file writes itself.

Source: azure-monitor-docs reference/tables; logs/data-ingestion-time.md for ingestion_time();
kusto/query pack-all-function (applies to Azure Monitor).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.decode.gateways import get_adapter
from collector.errors import ConfigError
from collector.model import Decoded
from collector.timestamps import NS_PER_S

INGESTED_AT = "HoplineIngestedAt"
"""The column that carries a row's ingestion time; it is not part of the row."""

ROW = "HoplineRow"
"""The column that carries the row as one JSON object, without its nulls."""

# Azure replaces a TimeGenerated older than two days or more than a day ahead by the receive time,
# so no row of a window of ingestion time lies outside this window of TimeGenerated.
_OLDEST = timedelta(days=2)
_NEWEST = timedelta(days=1)
# Most rows are ingested within 10 minutes; a query of a Basic table costs by the bytes in its span.
_LATEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PulledTable:
    """One table: its name, the adapter of its rows, and the condition that they must meet."""

    name: str
    adapter: str
    narrowing: str = ""

    def decode(self, rows: Sequence[Mapping[str, Any]]) -> Decoded:
        """
        Decode rows as the query API returns them.

        Shape: column name to value; dynamic columns as objects or JSON text, a null guid as "None".
        """
        typed = (row if "Type" in row else {**row, "Type": self.name} for row in rows)
        return get_adapter(self.adapter).decode_rows(typed)

    def query(self, start_ns: int, end_ns: int, limit: int | None) -> str:
        """
        Return the KQL for the rows ingested in [start, end).

        Where a table's ingestion time policy is off, ingestion_time() is null: TimeGenerated then
        stands in for it, and late rows are found only as far as the overlap reaches.

        Rows come packed: the SDK spends 70 µs on a row of 50 typed columns, on the event loop and
        in one piece, and cuts datetimes to the microsecond; on a packed one it spends 6 µs.
        """
        lines = [
            f"let start=datetime({_literal(start_ns)});",
            f"let end=datetime({_literal(end_ns)});",
            self.name,
            f"| where TimeGenerated between ((start-{_OLDEST.days}d) .. (end+{_NEWEST.days}d))",
        ]
        if self.narrowing:
            lines.append(f"| where {self.narrowing}")
        lines += [
            f"| extend {INGESTED_AT}=coalesce(ingestion_time(), TimeGenerated)",
            f"| where {INGESTED_AT} >= start and {INGESTED_AT} < end",
            "| project-away TenantId, SourceSystem",
        ]
        if limit is not None:
            lines.append(f"| take {limit}")
        lines.append(f"| project {INGESTED_AT}=tostring({INGESTED_AT}), {ROW}=pack_all(true)")
        return "\n".join(lines)

    def search_query(self, start_ns: int, end_ns: int, limit: int | None) -> str:
        """
        Return the same for a table on the Basic or Auxiliary plan: no `let`, no `TimeGenerated`.

        Such a table is asked by `/search`, which takes the time span beside the query only.
        """
        lines = [self.name]
        if self.narrowing:
            lines.append(f"| where {self.narrowing}")
        lines += [
            f"| extend {INGESTED_AT}=coalesce(ingestion_time(), TimeGenerated)",
            f"| where {INGESTED_AT} >= datetime({_literal(start_ns)}) "
            f"and {INGESTED_AT} < datetime({_literal(end_ns)})",
            "| project-away TenantId, SourceSystem",
        ]
        if limit is not None:
            lines.append(f"| take {limit}")
        lines.append(f"| project {INGESTED_AT}=tostring({INGESTED_AT}), {ROW}=pack_all(true)")
        return "\n".join(lines)


def time_span(start_ns: int, end_ns: int) -> tuple[datetime, datetime]:
    """Return the bounds of TimeGenerated that hold all rows ingested in [start, end)."""
    return _datetime(start_ns) - _OLDEST, _datetime(end_ns) + _NEWEST + timedelta(seconds=1)


def search_time_span(start_ns: int, end_ns: int) -> tuple[datetime, datetime]:
    """
    Return the bounds of TimeGenerated for a table whose queries are paid by what they span.

    Rows that Azure took longer than `_LATEST` to ingest are not found.
    """
    return _datetime(start_ns) - _LATEST, _datetime(end_ns) + timedelta(minutes=1)


def get_table(name: str) -> PulledTable:
    """
    Return the table called *name*.

    Raises:
        ConfigError: no adapter reads it; the hint lists the known ones.
    """
    try:
        return TABLES[name]
    except KeyError:
        raise ConfigError(
            f"HOPLINE_AZURE_TABLES: table {name!r} is not known",
            hint=f"known tables: {', '.join(TABLES)}",
        ) from None


def _literal(moment_ns: int) -> str:
    seconds, rest = divmod(moment_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 100:07d}Z"


def _datetime(moment_ns: int) -> datetime:
    return datetime.fromtimestamp(moment_ns // NS_PER_S, UTC)


# The tables hold the telemetry of every application of the workspace, API Management's too.
_OWN_TELEMETRY = 'Properties has "API Management" or Properties has "API Name"'
TABLES = {
    table.name: table
    for table in (
        PulledTable("ApiManagementGatewayLogs", "azure-apim"),
        PulledTable(
            "AzureDiagnostics", "azure-apim", 'ResourceProvider == "MICROSOFT.APIMANAGEMENT"'
        ),
        PulledTable("ApiManagementGatewayLlmLog", "azure-apim"),
        PulledTable("ApiManagementWebSocketConnectionLogs", "azure-apim"),
        PulledTable("AGWAccessLogs", "azure-application-gateway"),
        PulledTable("AGCAccessLogs", "azure-agc"),
        PulledTable("AppRequests", "azure-app-insights", _OWN_TELEMETRY),
        PulledTable("AppDependencies", "azure-app-insights", _OWN_TELEMETRY),
    )
}
