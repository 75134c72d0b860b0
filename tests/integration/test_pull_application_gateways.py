"""The access logs of both Application Gateways, polled from a local Log Analytics."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.demo.kusto import kusto_time
from tests.doubles.azure_scene import WORKSPACE, S, open_scene

_V2 = {
    "TransactionId": "9d" * 16,
    "HttpMethod": "GET",
    "RequestUri": "/orders/7",
    "HttpStatus": 200,
    "TimeTaken": 0.12,
    "ServerResponseLatency": "0.09",
    "ServerStatus": "200",
    "ServerRouted": "10.0.0.1:80",
    "_ResourceId": "/subscriptions/s/resourcegroups/g/providers/x/applicationgateways/edge",
}
_CONTAINERS = {
    "TrackingId": "5e9c0f52-0000-4000-8000-5a8e7d1c2b33",
    "HttpMethod": "GET",
    "RequestUri": "/orders/7",
    "HttpStatusCode": 200,
    "TimeTaken": 120,
    "BackendTimeTaken": 90,
    "_ResourceId": "/subscriptions/s/resourcegroups/g/providers/x/trafficcontrollers/edge",
}


@pytest.mark.parametrize(
    ("table", "row", "gateway", "record_id"),
    [
        ("AGWAccessLogs", _V2, "azure-application-gateway", _V2["TransactionId"]),
        ("AGCAccessLogs", _CONTAINERS, "azure-agc", _CONTAINERS["TrackingId"]),
    ],
)
async def test_access_log_rows_become_records(
    tmp_path: Path, table: str, row: dict[str, Any], gateway: str, record_id: str
) -> None:
    """The table named in the setting is read by its own adapter, times and ids in place."""
    async with open_scene(tmp_path) as scene:
        scene.settings = replace(scene.settings, tables=(table,))
        now_ns = scene.clock.now_ns()
        stamped = {**row, "TimeGenerated": kusto_time(now_ns - 10 * S)}
        scene.azure.add(WORKSPACE, table, stamped, ingested_ns=now_ns - 5 * S)
        await scene.poller().poll_once()
        (record,) = scene.sink.records
    assert (record.gateway, record.record_id) == (gateway, record_id)
    assert (record.status, record.duration_ns) == (200, 120_000_000)
    assert (record.method, record.path) == ("GET", "/orders/7")
    assert scene.sink.calls == [("pull", f"azure-monitor/{WORKSPACE}/{table}", 1)]
