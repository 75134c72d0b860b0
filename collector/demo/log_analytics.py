"""
A local Log Analytics: the query API that azure-monitor-query speaks, over rows held in memory.

`POST /v1/workspaces/{id}/query` (and `/v1/{resource id}/query`) answers in the documented wire
format: typed columns, dynamic values as JSON text, datetimes with seven digits, partial results
above the row or byte limit, Azure's error bodies. A row becomes visible when the clock reaches its
ingestion time, so lateness is real. Faults can be scripted; each one costs one query.

Source: learn.microsoft.com/azure/azure-monitor/logs/api (request and response format, errors,
timeouts) and Azure/azure-sdk-for-python sdk/monitor/azure-monitor-query 2.0.0.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from collector.clock import Clock, SystemClock
from collector.demo.kusto import INGESTION, KustoError, Query, kusto_time, read_query, time_ns

_DAY_NS = 86_400 * 1_000_000_000
_ID_LIKE = re.compile(r"[0-9a-fA-F-]{36}|[A-Za-z0-9._-]+")

GATEWAY_LOG_COLUMNS: Mapping[str, str] = {
    "TenantId": "string",
    "TimeGenerated": "datetime",
    "OperationName": "string",
    "CorrelationId": "string",
    "Region": "string",
    "IsRequestSuccess": "bool",
    "Category": "string",
    "TotalTime": "long",
    "CallerIpAddress": "string",
    "Method": "string",
    "Url": "string",
    "ClientProtocol": "string",
    "ResponseCode": "int",
    "BackendMethod": "string",
    "BackendUrl": "string",
    "BackendResponseCode": "int",
    "BackendProtocol": "string",
    "RequestSize": "int",
    "ResponseSize": "int",
    "Cache": "string",
    "CacheTime": "long",
    "BackendTime": "long",
    "ClientTime": "long",
    "ApiId": "string",
    "OperationId": "string",
    "ProductId": "string",
    "UserId": "string",
    "ApimSubscriptionId": "string",
    "BackendId": "string",
    "LastErrorElapsed": "long",
    "LastErrorSource": "string",
    "LastErrorScope": "string",
    "LastErrorSection": "string",
    "LastErrorReason": "string",
    "LastErrorMessage": "string",
    "ApiRevision": "string",
    "ClientTlsVersion": "string",
    "RequestHeaders": "dynamic",
    "ResponseHeaders": "dynamic",
    "BackendRequestHeaders": "dynamic",
    "BackendResponseHeaders": "dynamic",
    "RequestBody": "string",
    "ResponseBody": "string",
    "BackendRequestBody": "string",
    "BackendResponseBody": "string",
    "Errors": "dynamic",
    "TraceRecords": "dynamic",
    "IsTraceRequested": "bool",
    "IsTraceAllowed": "bool",
    "IsTraceExpired": "bool",
    "IsMasterTrace": "bool",
    "WorkspaceId": "string",
    "SourceSystem": "string",
    "Type": "string",
    "_ResourceId": "string",
}
"""Columns of `ApiManagementGatewayLogs`; every row of that table has all of them."""

KNOWN_TABLES: Mapping[str, Mapping[str, str]] = {
    "ApiManagementGatewayLogs": GATEWAY_LOG_COLUMNS,
    "AzureDiagnostics": {},
    "AGWAccessLogs": {},
    "AGCAccessLogs": {},
    "AppRequests": {},
    "AppDependencies": {},
    "ApiManagementGatewayLlmLog": {},
    "ApiManagementWebSocketConnectionLogs": {},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One scripted answer.

    `keep_rows` makes a partial result of the true one; otherwise `status` and `body` are sent as
    they are, and a status of 0 closes the connection without an answer. Without any of the three
    the query is answered truthfully.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    keep_rows: int | None = None

    @classmethod
    def error(
        cls, status: int, code: str, message: str, *, retry_after_s: int | None = None
    ) -> "Fault":
        """Build an Azure error body with this code."""
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        return cls(status=status, headers=headers, body=body)


@dataclass(frozen=True, slots=True)
class ReceivedQuery:
    """One query as it arrived: what a test or the demo may want to know about it."""

    workspace: str
    text: str
    timespan: str | None
    prefer: str
    authorization: str


@dataclass(slots=True)
class _StoredRow:
    ingested_ns: int | None
    visible_ns: int
    values: dict[str, Any]


class LogAnalytics:
    """
    The server. Rows may be added while it runs; `start` gives its base address.

    A workspace is known once it was named, in the constructor or by `add`; others are 404.
    """

    def __init__(
        self,
        *,
        workspaces: Sequence[str] = (),
        clock: Clock | None = None,
        row_limit: int = 500_000,
        byte_limit: int = 100 * 1024 * 1024,
    ) -> None:
        self.queries: list[ReceivedQuery] = []
        self.row_limit = row_limit
        self.byte_limit = byte_limit
        self._clock = clock or SystemClock()
        self._tables: dict[str, dict[str, list[_StoredRow]]] = {name: {} for name in workspaces}
        self._faults: deque[Fault] = deque()
        self._basic: set[str] = set()
        self._runner: web.AppRunner | None = None

    def set_basic(self, table: str) -> None:
        """Put a table on the Basic plan: `/query` refuses it, `/search` asks it."""
        self._basic.add(table)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the endpoint to give to the client."""
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post("/v1/workspaces/{workspace}/query", self._answer)
        app.router.add_post("/v1/{workspace:subscriptions/.+}/query", self._answer)
        app.router.add_post("/v1/workspaces/{workspace}/search", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        actual_port: int = self._runner.addresses[0][1]
        return f"http://{host}:{actual_port}"

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def add(
        self,
        workspace: str,
        table: str,
        row: Mapping[str, Any],
        *,
        ingested_ns: int | None = None,
        visible_ns: int | None = None,
        has_ingestion_time: bool = True,
    ) -> None:
        """
        Ingest one row, now or at *ingested_ns*.

        *visible_ns* is when queries first see it, for rows that appear later than their ingestion
        time says. `TimeGenerated` is an ISO text or a datetime; when it lies over 2 days back or 1
        day ahead Azure replaces it with the ingestion time, and so does this.
        """
        at_ns = self._clock.now_ns() if ingested_ns is None else ingested_ns
        values = {"Type": table, **row}
        generated = values.get("TimeGenerated")
        generated_ns = _moment_ns(generated) if generated is not None else None
        if generated_ns is None or not at_ns - 2 * _DAY_NS <= generated_ns <= at_ns + _DAY_NS:
            generated_ns = at_ns
        values["TimeGenerated"] = kusto_time(generated_ns)
        stored = _StoredRow(
            ingested_ns=at_ns if has_ingestion_time else None,
            visible_ns=at_ns if visible_ns is None else visible_ns,
            values=values,
        )
        self._tables.setdefault(workspace, {}).setdefault(table, []).append(stored)

    def script(self, *faults: Fault) -> None:
        """Answer the next queries with these faults, one each."""
        self._faults.extend(faults)

    async def _answer(self, request: web.Request) -> web.Response:
        body = await _read_body(request)
        if body is None:
            return self._respond(web.Response())  # Azure answers 200 without a body here
        workspace = request.match_info["workspace"]
        is_search = request.path.endswith("/search")
        if is_search:
            body["timespan"] = request.query.get("timespan")
        self.queries.append(
            ReceivedQuery(
                workspace=workspace,
                text=str(body.get("query", "")),
                timespan=body.get("timespan"),
                prefer=request.headers.get("Prefer", ""),
                authorization=request.headers.get("Authorization", ""),
            )
        )
        fault = self._faults.popleft() if self._faults else Fault()
        if fault.status == 0:
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        if fault.status != 200 or fault.body is not None:
            return self._respond(_fault_response(fault))
        try:
            self._check_plan(body, is_search)
            return self._respond(self._query(workspace, body, fault.keep_rows))
        except KustoError as exc:
            return self._respond(_bad_argument(exc))

    def _query(self, workspace: str, body: Mapping[str, Any], keep: int | None) -> web.Response:
        tables = self._tables.get(workspace)
        if tables is None or not _ID_LIKE.fullmatch(workspace.rpartition("/")[2]):
            message = f"The workspace {workspace} could not be found"
            return _error(404, "WorkspaceNotFoundError", message)
        query = read_query(str(body.get("query", "")))
        if query.table not in KNOWN_TABLES and query.table not in tables:
            message = f"Failed to resolve table or column expression named '{query.table}'"
            raise KustoError(message, "SemanticError")
        low_ns, high_ns = _read_timespan(body.get("timespan"))
        now_ns = self._clock.now_ns()
        visible = [
            {**row.values, INGESTION: row.ingested_ns}
            for row in tables.get(query.table, [])
            if row.visible_ns <= now_ns
            and low_ns <= time_ns(row.values["TimeGenerated"]) <= high_ns
        ]
        found = query.run(visible)
        columns = self._columns(query, visible)
        shown = [name for name in columns if name not in query.removed]
        rows = [[_wire_value(row.get(name), columns[name]) for name in shown] for row in found]
        return self._table(shown, columns, rows, keep)

    def _check_plan(self, body: Mapping[str, Any], is_search: bool) -> None:
        text = str(body.get("query", ""))
        if not is_search and self._basic & set(re.findall(r"^\w+$", text, re.MULTILINE)):
            raise KustoError(
                "Query of Basic Logs table is not supported with the API "
                "'https://api.loganalytics.io/v1/workspaces/{workspaceId}/query'.",
                "UnsupportedApiQueryValidationError",
            )
        is_plain = not re.search(r"\blet\b|where TimeGenerated", text)
        if is_search and not (body.get("timespan") and is_plain):
            raise KustoError("not part of the language of a search", "QueryValidationError")

    def _columns(self, query: Query, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        if query.projected:
            return {
                name: "dynamic" if text.startswith("pack_all") else "string"
                for name, text in query.projections.items()
            }
        columns = dict(KNOWN_TABLES.get(query.table, {}))
        columns.setdefault("TimeGenerated", "datetime")
        for row in rows:
            for name, value in row.items():
                if name != INGESTION and value is not None:
                    columns.setdefault(name, _infer_type(name, value))
        return columns | dict.fromkeys(query.computed, "datetime")

    def _table(
        self,
        shown: Sequence[str],
        columns: Mapping[str, str],
        rows: list[list[Any]],
        keep: int | None,
    ) -> web.Response:
        limit = min(self.row_limit, len(rows) if keep is None else keep)
        reason = "" if limit >= len(rows) else f"exceed the set limit of {limit} records"
        encoded = [json.dumps(row, separators=(",", ":")) for row in rows[:limit]]
        while encoded and sum(map(len, encoded)) > self.byte_limit:
            del encoded[-max(1, len(encoded) // 10) :]
            reason = f"exceed the set limit of {self.byte_limit} bytes"
        header = json.dumps([{"name": name, "type": columns[name]} for name in shown])
        error = f',"error":{json.dumps(_partial_error(reason))}' if reason else ""
        text = (
            f'{{"tables":[{{"name":"PrimaryResult","columns":{header},'
            f'"rows":[{",".join(encoded)}]}}]{error}}}'
        )
        return web.Response(text=text, content_type="application/json")

    def _respond(self, response: web.Response) -> web.Response:
        now = datetime.fromtimestamp(self._clock.now_ns() // 1_000_000_000, UTC)
        response.headers["Date"] = format_datetime(now, usegmt=True)
        if response.body:
            # azure-core inflates by itself and does not read the deflate that aiohttp prefers
            response.enable_compression(web.ContentCoding.gzip)
        return response


async def _read_body(request: web.Request) -> dict[str, Any] | None:
    if request.content_type != "application/json":
        return None
    try:
        body = json.loads(await request.read() or b"null")
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _fault_response(fault: Fault) -> web.Response:
    response = web.Response(status=fault.status, body=fault.body or None, headers=fault.headers)
    if fault.body:
        response.content_type = "application/json"
    return response


def _error(status: int, code: str, message: str) -> web.Response:
    return _fault_response(Fault.error(status, code, message))


def _bad_argument(exc: KustoError) -> web.Response:
    inner = {"code": exc.code, "message": str(exc)}
    error = {
        "code": "BadArgumentError",
        "message": "The request had some invalid properties",
        "innererror": inner,
    }
    return web.json_response({"error": error}, status=400)


def _partial_error(reason: str) -> dict[str, Any]:
    message = f"The results of this query {reason}, so not all records were returned."
    inner = {"code": "-2133196797", "message": message, "severity": 2, "severityName": "Error"}
    detail = {
        "code": "EngineError",
        "message": "Something went wrong processing your query on the server.",
        "innererror": inner,
    }
    return {
        "code": "PartialError",
        "message": "There were some errors when processing your query.",
        "details": [detail],
    }


def _read_timespan(text: object) -> tuple[int, int]:
    if text is None:
        return 0, 1 << 62
    low, _, high = str(text).partition("/")
    if high.startswith("PT"):
        low_ns = time_ns(low)
        return low_ns, low_ns + int(float(high[2:-1]) * 1e9)
    return time_ns(low), time_ns(high)


def _moment_ns(value: object) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1_000_000) * 1_000
    return time_ns(str(value))


def _infer_type(name: str, value: object) -> str:
    suffixes = {"_s": "string", "_d": "real", "_b": "bool", "_t": "datetime", "_g": "guid"}
    if name[-2:] in suffixes:
        return suffixes[name[-2:]]
    kinds = ((bool, "bool"), (int, "long"), (float, "real"), (datetime, "datetime"))
    for python_type, kusto_type in kinds:
        if isinstance(value, python_type):
            return kusto_type
    return "dynamic" if isinstance(value, Mapping | list) else "string"


def _wire_value(value: object, column_type: str) -> object:
    if value is None:
        # Strings are never null in Kusto: a missing one is the empty text.
        return "" if column_type == "string" else None
    if column_type == "datetime":
        return value if isinstance(value, str) else kusto_time(_datetime_or_ns(value))
    if column_type == "dynamic":
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return value


def _datetime_or_ns(value: object) -> int:
    return value if isinstance(value, int) else _moment_ns(value)
