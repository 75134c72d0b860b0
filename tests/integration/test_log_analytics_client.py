"""The Log Analytics double and the Azure SDK agree on the wire format."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from collector.demo.log_analytics import Fault, LogAnalytics
from collector.errors import ConfigError, SourceDenied, SourceUnavailable
from collector.pull.log_analytics import LogAnalyticsClient
from collector.pull.tables import INGESTED_AT, ROW, TABLES, time_span
from collector.settings import AzureSettings
from tests.manual_clock import ManualClock

WORKSPACE = "2f6d9f0a-3b5e-4c88-8f52-1e4b6a7c9d10"
S = 1_000_000_000
NOW = 1_850_000_000 * S


def _settings(endpoint: str, *, is_insecure_endpoint_allowed: bool = True) -> AzureSettings:
    return AzureSettings(
        workspace_ids=(WORKSPACE,),
        tables=("ApiManagementGatewayLogs",),
        endpoint=endpoint,
        poll_interval_s=30,
        overlap_s=60,
        lookback_s=3600,
        max_window_s=3600,
        state_directory=Path("unused"),
        is_insecure_endpoint_allowed=is_insecure_endpoint_allowed,
    )


@pytest.fixture
async def azure() -> AsyncIterator[LogAnalytics]:
    server = LogAnalytics(workspaces=[WORKSPACE], clock=ManualClock(NOW))
    yield server
    await server.stop()


async def _ask(server: LogAnalytics, table: str = "ApiManagementGatewayLogs") -> Any:
    client = LogAnalyticsClient(_settings(await server.start()))
    text = f"{table}\n| project-away TenantId, SourceSystem"
    try:
        return await client.query(WORKSPACE, text, time_span(NOW - 100 * S, NOW))
    finally:
        await client.close()


async def test_values_arrive_typed_as_the_sdk_types_them(azure: LogAnalytics) -> None:
    """Datetimes aware, dynamics as JSON text, missing strings empty, other nulls None."""
    azure.add(
        WORKSPACE,
        "ApiManagementGatewayLogs",
        {
            "TimeGenerated": "2028-08-15T18:31:20.1234567Z",
            "TotalTime": 5,
            "IsRequestSuccess": False,
            "RequestHeaders": {"a": "b"},
        },
        ingested_ns=NOW - S,
    )
    answer = await _ask(azure)
    (row,) = answer.rows
    assert row["TimeGenerated"] == datetime(2028, 8, 15, 18, 31, 20, 123456, UTC)
    assert json.loads(row["RequestHeaders"]) == {"a": "b"}
    assert (row["TotalTime"], row["IsRequestSuccess"]) == (5, False)
    assert (row["Url"], row["BackendTime"]) == ("", None)
    assert answer.service_now_ns == NOW
    assert (answer.partial_reason, "TenantId" in row) == ("", False)


async def test_null_guid_is_the_text_none(azure: LogAnalytics) -> None:
    """The SDK makes text of guids, also of one that is null."""
    row = {"ResourceProvider": "MICROSOFT.APIMANAGEMENT"}
    azure.add(WORKSPACE, "AzureDiagnostics", row | {"x_g": "a-guid"}, ingested_ns=NOW - 2 * S)
    azure.add(WORKSPACE, "AzureDiagnostics", row, ingested_ns=NOW - S)
    answer = await _ask(azure, "AzureDiagnostics")
    assert [row["x_g"] for row in answer.rows] == ["a-guid", "None"]


async def test_packed_rows_keep_100_ns_and_leave_nulls_out(azure: LogAnalytics) -> None:
    """What the poller asks for is one JSON object a row, datetimes in it with seven digits."""
    row = {"TimeGenerated": "2028-08-15T18:31:20.1234567Z", "RequestHeaders": {"a": "b"}}
    azure.add(WORKSPACE, "ApiManagementGatewayLogs", row | {"Url": ""}, ingested_ns=NOW - S)
    client = LogAnalyticsClient(_settings(await azure.start()))
    text = TABLES["ApiManagementGatewayLogs"].query(NOW - 100 * S, NOW, 10)
    answer = await client.query(WORKSPACE, text, time_span(NOW - 100 * S, NOW))
    await client.close()
    (packed,) = answer.rows
    assert packed[INGESTED_AT] == "2028-08-16T00:53:19.0000000Z"
    ingested = {INGESTED_AT: packed[INGESTED_AT], "Type": "ApiManagementGatewayLogs"}
    assert json.loads(packed[ROW]) == row | ingested


async def test_row_limit_makes_a_partial_result(azure: LogAnalytics) -> None:
    """Above the limit the answer is HTTP 200 with an error, and says how many there may be."""
    azure.row_limit = 2
    for _ in range(3):
        azure.add(WORKSPACE, "ApiManagementGatewayLogs", {}, ingested_ns=NOW - S)
    answer = await _ask(azure)
    assert len(answer.rows) == 2
    assert "set limit of 2 records" in answer.partial_reason


async def test_row_is_invisible_before_its_ingestion_time(azure: LogAnalytics) -> None:
    """Rows may be added ahead: they show when the clock gets there."""
    azure.add(WORKSPACE, "ApiManagementGatewayLogs", {}, ingested_ns=NOW + S)
    assert (await _ask(azure)).rows == []


async def test_old_time_is_replaced_by_the_ingestion_time(azure: LogAnalytics) -> None:
    """Azure does not keep a TimeGenerated of more than two days back."""
    row = {"TimeGenerated": "2028-08-01T00:00:00Z"}
    azure.add(WORKSPACE, "ApiManagementGatewayLogs", row, ingested_ns=NOW - S)
    answer = await _ask(azure)
    assert answer.rows[0]["TimeGenerated"].timestamp() == (NOW - S) / S


async def test_error_bodies_are_azures(azure: LogAnalytics) -> None:
    """A query that cannot be read is 400 with BadArgumentError and an inner error."""
    url = f"{await azure.start()}/v1/workspaces/{WORKSPACE}/query"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"query": "print 1"}) as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"]) == (400, "BadArgumentError")
            assert error["innererror"]["code"] == "SyntaxError"
        async with session.post(url, data=b"query") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_query_by_resource_is_answered(azure: LogAnalytics) -> None:
    """A resource id in place of the workspace is the other documented path."""
    resource = "subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/a"
    azure.add(resource, "ApiManagementGatewayLogs", {"Url": "/x"}, ingested_ns=NOW - S)
    url = f"{await azure.start()}/v1/{resource}/query"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"query": "ApiManagementGatewayLogs"}) as response,
    ):
        assert len((await response.json())["tables"][0]["rows"]) == 1


async def test_retry_after_is_passed_on(azure: LogAnalytics) -> None:
    """The seconds that Azure asks for reach whoever schedules the next try."""
    azure.script(Fault.error(429, "TooManyRequests", "slow down", retry_after_s=11))
    with pytest.raises(SourceUnavailable) as caught:
        await _ask(azure)
    assert caught.value.retry_after_s == 11
    assert len(azure.queries) == 1, "the SDK must not retry behind our back"


def test_plain_http_needs_a_setting() -> None:
    """Nobody sends queries over plain http by a typing error."""
    with pytest.raises(ConfigError) as caught:
        LogAnalyticsClient(_settings("http://127.0.0.1:1", is_insecure_endpoint_allowed=False))
    assert "HOPLINE_AZURE_ALLOW_INSECURE" in caught.value.hint


class _Credential:
    """Gives a token, or says like azure-identity that there is none."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        assert scopes == ("https://127.0.0.1:1/.default",)
        if not self._token:
            raise CredentialUnavailableError("no managed identity here")
        return AccessToken(self._token, 1 << 40)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> "_Credential":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Nothing is open."""


async def test_missing_credential_is_a_denial_that_says_which_variables() -> None:
    """Without an identity nothing is sent, and the hint names the variables."""
    client = LogAnalyticsClient(_settings("https://127.0.0.1:1"), _Credential(""))
    with pytest.raises(SourceDenied) as caught:
        await client.query(WORKSPACE, "T", time_span(NOW, NOW))
    await client.close()
    assert "no managed identity here" in caught.value.message
    assert "AZURE_CLIENT_ID" in caught.value.hint


async def test_https_endpoint_is_asked_with_a_token() -> None:
    """With a token the connection is tried; that nobody listens is a failure to be retried."""
    client = LogAnalyticsClient(_settings("https://127.0.0.1:1"), _Credential("a-token"))
    with pytest.raises(SourceUnavailable):
        await client.query(WORKSPACE, "T", time_span(NOW, NOW))
    await client.close()
