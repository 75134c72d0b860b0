"""
The Log Analytics tables that can be polled: what is asked of each, and who reads its rows.

`narrowing` is KQL that keeps the rows of other resources out; it is the only text that differs
between tables. Times are bound as literals that this file writes itself.

Source: azure-monitor-docs reference/tables; logs/data-ingestion-time.md for ingestion_time();
kusto/query pack-all-function (applies to Azure Monitor).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.decode.gateways import (
    azure_agc,
    azure_apim,
    azure_app_insights,
    azure_application_gateway,
)
from collector.errors import ConfigError
from collector.model import Decoded

INGESTED_AT = "HoplineIngestedAt"
"""The column that carries a row's ingestion time; it is not part of the row."""

ROW = "HoplineRow"
"""The column that carries the row as one JSON object, without its nulls."""

# Azure replaces a TimeGenerated older than two days or more than a day ahead by the receive time,
# so no row of a window of ingestion time lies outside this window of TimeGenerated.
_OLDEST = timedelta(days=2)
_NEWEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PulledTable:
    """One table: its name, the condition its rows must meet, and the decoder of its rows."""

    name: str
    decode: Callable[[Sequence[dict[str, Any]]], Decoded]
    narrowing: str = ""

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


def time_span(start_ns: int, end_ns: int) -> tuple[datetime, datetime]:
    """Return the bounds of TimeGenerated that hold all rows ingested in [start, end)."""
    return _datetime(start_ns) - _OLDEST, _datetime(end_ns) + _NEWEST + timedelta(seconds=1)


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
    seconds, rest = divmod(moment_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 100:07d}Z"


def _datetime(moment_ns: int) -> datetime:
    return datetime.fromtimestamp(moment_ns // 1_000_000_000, UTC)


def _apim(name: str, narrowing: str = "") -> PulledTable:
    return PulledTable(name, lambda rows: azure_apim.decode_rows(name, rows), narrowing)


def _app_insights(name: str) -> PulledTable:
    # The table holds the telemetry of every application of the workspace, API Management's too.
    narrowing = 'Properties has "API Management" or Properties has "API Name"'
    return PulledTable(name, lambda rows: azure_app_insights.decode_rows(name, rows), narrowing)


TABLES = {
    table.name: table
    for table in (
        _apim("ApiManagementGatewayLogs"),
        _apim("AzureDiagnostics", 'ResourceProvider == "MICROSOFT.APIMANAGEMENT"'),
        _apim("ApiManagementGatewayLlmLog"),
        _apim("ApiManagementWebSocketConnectionLogs"),
        PulledTable("AGWAccessLogs", azure_application_gateway.decode_rows),
        PulledTable("AGCAccessLogs", azure_agc.decode_rows),
        _app_insights("AppRequests"),
        _app_insights("AppDependencies"),
    )
}
