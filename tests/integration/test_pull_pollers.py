"""The configured sources run beside each other, into a real journal."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.clock import SystemClock
from collector.config import Settings
from collector.decode.records.codec import decode_records
from collector.demo.kusto import kusto_time
from collector.demo.log_analytics import LogAnalytics
from collector.errors import ConfigError
from collector.intake import build_intake
from collector.journal import find_sealed, read_messages
from collector.model import GatewayRecord
from collector.pull.pollers import run_pollers
from collector.telemetry import Metrics

WORKSPACE = "9d1b7c52-2f0e-4c0b-8a71-6c3f5e2d4b18"
TABLE = "ApiManagementGatewayLogs"
S = 1_000_000_000


def _settings(path: Path, **changes: Any) -> Settings:
    return Settings(data_dir=path, azure_allow_insecure=True, **changes)


@asynccontextmanager
async def _running(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    clock, stop = SystemClock(), asyncio.Event()
    async with (
        build_intake(settings, clock, metrics) as intake,
        run_pollers(
            settings.azure(),
            settings.event_hub(),
            settings.gateway_log(),
            intake=intake,
            clock=clock,
            metrics=metrics,
            stop=stop,
        ),
    ):
        yield


def _journaled(path: Path) -> list[GatewayRecord]:
    return [
        record
        for segment in find_sealed(path / "journal")
        for _, message in read_messages(segment.path)
        for record in decode_records(message)
    ]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


def _row(correlation_id: str, **changes: Any) -> dict[str, Any]:
    now_ns = SystemClock().now_ns()
    return {
        "TimeGenerated": kusto_time(now_ns - 20 * S),
        "Category": "GatewayLogs",
        "CorrelationId": correlation_id,
        "TotalTime": 31,
        "ClientTime": 1,
        "RequestHeaders": {"Authorization": "Bearer abcdefghijklmnop", "x-request-id": "r-1"},
    } | changes


async def test_polled_and_received_records_reach_the_journal_masked(tmp_path: Path) -> None:
    """Log Analytics and the UDP door end in the same journal, without the secrets they carried."""
    azure = LogAnalytics(workspaces=[WORKSPACE])
    azure.add(WORKSPACE, TABLE, _row("from-azure"), ingested_ns=SystemClock().now_ns() - S)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = _settings(
        tmp_path,
        azure_workspace_ids=WORKSPACE,
        azure_endpoint=await azure.start(),
        gateway_log_udp_port=port,
    )
    metrics = Metrics()
    async with _running(settings, metrics):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            entry = _row("from-udp", RequestHeaders={})
            sender.sendto(json.dumps(entry).encode(), ("127.0.0.1", port))
        await _until(lambda: metrics.value("hopline_intake_records_accepted_total") == 2)
    await azure.stop()
    records = {record.record_id: record for record in _journaled(tmp_path)}
    assert set(records) == {"from-azure", "from-udp"}
    raw = json.loads(records["from-azure"].raw)
    assert raw["RequestHeaders"] == {"Authorization": "[REDACTED]", "x-request-id": "r-1"}


async def test_watermark_is_behind_the_journal(tmp_path: Path) -> None:
    """When the watermark file says that a row was read, the journal has it on disk."""
    azure = LogAnalytics(workspaces=[WORKSPACE])
    settings = _settings(
        tmp_path, azure_workspace_ids=WORKSPACE, azure_endpoint=await azure.start()
    )
    azure.add(WORKSPACE, TABLE, _row("row"), ingested_ns=SystemClock().now_ns() - S)
    watermark = tmp_path / "pull" / f"{WORKSPACE}-{TABLE}.json"
    async with _running(settings, Metrics()):
        await _until(lambda: watermark.exists() and b'"seen":{"' in watermark.read_bytes())
        open_segments = list((tmp_path / "journal").rglob("*.open"))
        sealed = [segment.path for segment in find_sealed(tmp_path / "journal")]
        assert sum(path.stat().st_size for path in [*open_segments, *sealed]) > 0
    await azure.stop()
    assert [record.record_id for record in _journaled(tmp_path)] == ["row"]


async def test_wrong_table_ends_the_start(tmp_path: Path) -> None:
    """A setting that cannot work is said at once, before anything is polled."""
    settings = _settings(
        tmp_path,
        azure_workspace_ids=WORKSPACE,
        azure_endpoint="http://127.0.0.1:9",
        azure_tables="Nonsense",
    )
    with pytest.raises(ConfigError):
        async with _running(settings, Metrics()):
            pass


async def test_failing_source_ends_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint that nobody answers is logged; the block goes on and ends cleanly."""
    settings = _settings(
        tmp_path, azure_workspace_ids=WORKSPACE, azure_endpoint="http://127.0.0.1:9"
    )
    metrics = Metrics()
    with caplog.at_level(logging.WARNING):
        async with _running(settings, metrics):
            await _until(lambda: metrics.value("hopline_pull_failures_total") == 1)
    assert "cannot be reached" in caplog.text


def test_nothing_is_imported_for_nothing() -> None:
    """Who polls no source does not wait for the clients of Azure and Kafka."""
    code = (
        "import sys, collector.pull.pollers;"
        "sys.exit(any(name.startswith(('azure', 'aiokafka')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
