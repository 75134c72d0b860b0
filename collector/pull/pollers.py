"""Which sources are asked, by the settings; the ingest process runs them beside its doors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from collector.clock import Clock
from collector.pull.sink import RecordSink
from collector.pull.watermarks import ProgressStore
from collector.settings import AzureSettings, EventHubSettings, GatewayLogSettings
from collector.telemetry import Metrics

_log = logging.getLogger(__name__)


@asynccontextmanager
async def run_pollers(
    azure: AzureSettings,
    event_hub: EventHubSettings,
    gateway_log: GatewayLogSettings,
    *,
    intake: RecordSink,
    clock: Clock,
    metrics: Metrics,
    stop: asyncio.Event,
    open_progress: Callable[[str, str], ProgressStore] | None = None,
) -> AsyncIterator[None]:
    """
    Run what is configured until the block is left; then *stop* is set and all is finished.

    One that ends by an error is logged at once and ends nothing else. *open_progress* is where
    several nodes that poll the same workspaces take turns. Event hubs need none: each node is a
    member of one consumer group, whose server deals out the partitions and keeps the offsets.

    Raises:
        ConfigError: a source cannot work with its settings; nothing is started then.
    """
    # The clients of Azure and Kafka take half a second to import: only who uses them waits.
    runs: dict[str, Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = {}
    async with AsyncExitStack() as stack:
        if azure.scopes:
            from collector.pull.azure_monitor import AzureMonitorPoller

            runs["azure-monitor"] = AzureMonitorPoller(
                azure, intake, clock, metrics, open_progress=open_progress
            ).run
        if event_hub.bootstrap_servers:
            from collector.pull.event_hubs import EventHubConsumer

            runs["event-hubs"] = EventHubConsumer(event_hub, intake, clock, metrics).run
        if gateway_log.port:
            from collector.pull.gateway_log import open_gateway_log

            await stack.enter_async_context(open_gateway_log(gateway_log, intake, metrics))
        tasks = [asyncio.create_task(run(stop), name=name) for name, run in runs.items()]
        for task in tasks:
            task.add_done_callback(_log_failure)
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the poller %s has stopped", task.get_name(), exc_info=error)
