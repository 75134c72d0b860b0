"""A workspace in a local Log Analytics, pollers over it, and the clock that both look at."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from collector.demo.kusto import kusto_time
from collector.demo.log_analytics import LogAnalytics
from collector.pull.azure_monitor import AzureMonitorPoller
from collector.settings import AzureSettings
from collector.telemetry import Metrics
from tests.doubles.record_sink import RecordSinkDouble
from tests.manual_clock import ManualClock

WORKSPACE = "5b0cf1a3-6b1e-4a52-9d0e-3a8de3c06f11"
TABLE = "ApiManagementGatewayLogs"
SOURCE = f"azure-monitor/{WORKSPACE}/{TABLE}"
S = 1_000_000_000


class Scene:
    """One workspace, one poller, one clock that both look at."""

    def __init__(self, endpoint: str, azure: LogAnalytics, clock: ManualClock, path: Path) -> None:
        self.azure = azure
        self.clock = clock
        self.sink = RecordSinkDouble()
        self.metrics = Metrics()
        self.settings = AzureSettings(
            workspace_ids=(WORKSPACE,),
            tables=(TABLE,),
            endpoint=endpoint,
            poll_interval_s=30,
            overlap_s=60,
            lookback_s=3600,
            max_window_s=3600,
            state_directory=path / "pull",
            is_insecure_endpoint_allowed=True,
        )
        self._pollers: list[AzureMonitorPoller] = []

    def poller(self, **options: Any) -> AzureMonitorPoller:
        poller = AzureMonitorPoller(self.settings, self.sink, self.clock, self.metrics, **options)
        self._pollers.append(poller)
        return poller

    def add(self, *, ago_s: float = 10, ingested_ago_s: float = 5, **changes: Any) -> str:
        """Ingest a row about a request that began *ago_s* back; return its correlation id."""
        now_ns = self.clock.now_ns()
        row = {
            "TimeGenerated": kusto_time(now_ns - int(ago_s * S)),
            "CorrelationId": str(uuid.uuid4()),
            "Category": "GatewayLogs",
            "Method": "GET",
            "Url": "https://shop.example/orders/7",
            "ResponseCode": 200,
            "IsRequestSuccess": True,
            "TotalTime": 120,
            "BackendTime": 90,
            "ClientTime": 10,
        } | changes
        self.azure.add(WORKSPACE, TABLE, row, ingested_ns=now_ns - int(ingested_ago_s * S))
        return str(row["CorrelationId"])

    def state(self) -> dict[str, Any]:
        path = self.settings.state_directory / f"{WORKSPACE}-{TABLE}.json"
        state: dict[str, Any] = json.loads(path.read_bytes())
        return state

    async def close(self) -> None:
        for poller in self._pollers:
            await poller.close()


@asynccontextmanager
async def open_scene(path: Path) -> AsyncIterator[Scene]:
    """Serve a scene with its watermarks below *path*, and close all of it."""
    clock = ManualClock(1_780_000_000 * S)
    azure = LogAnalytics(workspaces=[WORKSPACE], clock=clock)
    scene = Scene(await azure.start(), azure, clock, path)
    try:
        yield scene
    finally:
        await scene.close()
        await azure.stop()
