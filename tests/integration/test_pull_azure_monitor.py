"""The poller against a local Log Analytics, over real sockets and with its watermark on disk."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.demo.kusto import kusto_time
from collector.demo.log_analytics import Fault
from collector.model import Receipt
from collector.pull.azure_monitor import AzureMonitorPoller
from collector.pull.watermarks import WatermarkFile
from tests.doubles.azure_scene import SOURCE, TABLE, WORKSPACE, S, Scene, open_scene
from tests.manual_clock import ManualClock


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path) as scene:
        yield scene


async def test_rows_become_records(scene: Scene) -> None:
    """A row's values arrive as a gateway record, dynamic columns read from their JSON text."""
    trace_id, span_id = "7d" * 16, "c4" * 8
    correlation_id = scene.add(
        BackendRequestHeaders={"traceparent": f"00-{trace_id}-{span_id}-01"},
        TimeGenerated=kusto_time(scene.clock.now_ns() - 10 * S + 100),
    )
    await scene.poller().poll_once()
    (record,) = scene.sink.records
    assert record.record_id == correlation_id
    assert (record.trace_id, record.outgoing_span_id) == (trace_id, span_id)
    assert record.start_ns == scene.clock.now_ns() - 10 * S + 100, "all seven digits are kept"
    assert (record.duration_ns, record.gateway_ns) == (120_000_000, 20_000_000)
    assert scene.sink.calls == [("pull", SOURCE, 1)]


async def test_overlap_is_asked_again_and_stored_once(scene: Scene) -> None:
    """Rows of the overlap come back with every poll and are journaled the first time only."""
    scene.add()
    poller = scene.poller()
    for _ in range(4):
        await poller.poll_once()
        scene.clock.advance(s=30)
    assert len(scene.sink.records) == 1
    assert scene.state()["rows_repeated"] == 2, "the fourth poll's overlap ends before the row"


async def test_restart_does_not_store_the_overlap_twice(scene: Scene) -> None:
    """The fingerprints of the overlap are on disk beside the watermark."""
    scene.add()
    await scene.poller().poll_once()
    scene.clock.advance(s=1)
    await scene.poller().poll_once()
    assert len(scene.sink.records) == 1


async def test_changed_row_is_a_new_version(scene: Scene) -> None:
    """A row that is ingested again with other content is journaled again."""
    poller = scene.poller()
    correlation_id = scene.add(ResponseCode=200)
    await poller.poll_once()
    scene.clock.advance(s=30)
    scene.add(ago_s=40, CorrelationId=correlation_id, ResponseCode=500)
    await poller.poll_once()
    assert [record.status for record in scene.sink.records] == [200, 500]


async def test_late_row_is_found_by_its_ingestion_time(scene: Scene) -> None:
    """A row about a request of 40 hours ago is read when it is ingested now."""
    poller = scene.poller()
    await poller.poll_once()
    scene.clock.advance(s=30)
    correlation_id = scene.add(ago_s=40 * 3600)
    await poller.poll_once()
    assert scene.sink.record_ids == [correlation_id]


async def test_row_that_appears_after_its_ingestion_time_is_in_the_overlap(scene: Scene) -> None:
    """A row that becomes visible 40 s after its ingestion time says is not missed."""
    poller = scene.poller()
    now_ns = scene.clock.now_ns()
    row = {"CorrelationId": "c0ffee00-aaaa-4bbb-8ccc-000000000001", "TimeGenerated": None}
    scene.azure.add(WORKSPACE, TABLE, row, ingested_ns=now_ns - S, visible_ns=now_ns + 39 * S)
    await poller.poll_once()
    scene.clock.advance(s=40)
    await poller.poll_once()
    assert scene.sink.record_ids == [row["CorrelationId"]]


async def test_table_without_ingestion_time_is_read_by_its_own_time(scene: Scene) -> None:
    """Where the ingestion time policy is off, TimeGenerated stands in for it."""
    row = {
        "CorrelationId": "c0ffee00-aaaa-4bbb-8ccc-000000000002",
        "TimeGenerated": kusto_time(scene.clock.now_ns() - 20 * S),
    }
    scene.azure.add(WORKSPACE, TABLE, row, has_ingestion_time=False)
    await scene.poller().poll_once()
    assert scene.sink.record_ids == [row["CorrelationId"]]


async def test_window_is_split_until_answers_are_whole(scene: Scene) -> None:
    """Answers above the row limit are not taken; smaller windows are asked instead."""
    ids = {scene.add(ago_s=100 + n, ingested_ago_s=90 + n) for n in range(300)}
    scene.azure.row_limit = 40
    await scene.poller().poll_once()
    assert set(scene.sink.record_ids) == ids
    assert len(scene.sink.records) == 300
    assert scene.metrics.value("hopline_pull_failures_total") == 0


async def test_window_is_split_on_the_byte_limit(scene: Scene) -> None:
    """Answers cut off at the service's byte limit are split like those at the row limit."""
    ids = {scene.add(ago_s=100 + n, ingested_ago_s=90 + n) for n in range(60)}
    scene.azure.byte_limit = 20_000
    await scene.poller().poll_once()
    assert set(scene.sink.record_ids) == ids


async def test_own_row_limit_splits_the_window(scene: Scene) -> None:
    """The poller asks for few enough rows that one answer stays small."""
    ids = {scene.add(ago_s=100 + n, ingested_ago_s=90 + n) for n in range(100)}
    await scene.poller(row_limit=25).poll_once()
    assert set(scene.sink.record_ids) == ids
    assert "| take 25" in scene.azure.queries[0].text


async def test_smallest_window_is_taken_incomplete_with_a_warning(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """When one second holds more than the service returns, what it returns is kept and counted."""
    for _ in range(50):
        scene.add(ingested_ago_s=5)
    scene.azure.row_limit = 10
    await scene.poller().poll_once()
    assert len(scene.sink.records) == 10
    assert scene.metrics.value("hopline_pull_failures_total", reason="partial") == 1
    assert "incomplete" in caplog.text


async def test_partial_error_is_asked_again(scene: Scene) -> None:
    """A partial result for any reason is not taken while the window can still be split."""
    ids = {scene.add(ago_s=100 + n, ingested_ago_s=90 + n) for n in range(10)}
    scene.azure.script(Fault(keep_rows=3))
    await scene.poller().poll_once()
    assert set(scene.sink.record_ids) == ids
    assert len(scene.azure.queries) > 2


async def test_catch_up_after_downtime_goes_in_windows(scene: Scene) -> None:
    """Hours of downtime are read in windows no longer than the setting allows."""
    await scene.poller().poll_once()
    asked = len(scene.azure.queries)
    scene.settings = replace(scene.settings, max_window_s=600)
    ids = set()
    for _ in range(6):
        scene.clock.advance(s=1000)
        ids.add(scene.add())
    await scene.poller().poll_once()
    assert set(scene.sink.record_ids) == ids
    assert len(scene.azure.queries) - asked == 11


async def test_catch_up_keeps_what_it_reached(scene: Scene) -> None:
    """A failure in the middle of a catch-up does not start it over."""
    scene.settings = replace(scene.settings, max_window_s=600)
    scene.azure.script(Fault(), Fault(), Fault.error(503, "ServiceUnavailable", "busy"))
    poller = scene.poller()
    await poller.poll_once()
    reached_ns = scene.state()["watermark_ns"]
    assert reached_ns == scene.clock.now_ns() - 3600 * S - 60 * S + 1200 * S
    scene.clock.advance(s=30)
    await poller.poll_once()
    assert scene.state()["watermark_ns"] == scene.clock.now_ns()


async def test_clock_ahead_of_azure_skips_nothing(scene: Scene) -> None:
    """With our clock an hour fast, rows ingested after Azure's now are still read."""
    ours = ManualClock(scene.clock.now_ns() + 3600 * S)
    poller = AzureMonitorPoller(scene.settings, scene.sink, ours, scene.metrics)
    await poller.poll_once()
    assert scene.state()["watermark_ns"] == scene.clock.now_ns()
    scene.clock.advance(s=300)
    ours.advance(s=300)
    correlation_id = scene.add(ago_s=120, ingested_ago_s=100)
    await poller.poll_once()
    await poller.close()
    assert scene.sink.record_ids == [correlation_id]


async def test_every_table_of_every_workspace_is_polled(scene: Scene) -> None:
    """Each (workspace, table) has its own watermark file and lag."""
    other = "1c2d3e4f-0000-4000-8000-00000000abcd"
    scene.azure.add(other, "AppRequests", {"Id": "x"})
    scene.settings = replace(
        scene.settings, workspace_ids=(WORKSPACE, other), tables=(TABLE, "AppRequests")
    )
    await scene.poller().poll_once()
    assert {path.name for path in scene.settings.state_directory.glob("*.json")} == {
        f"{workspace}-{table}.json"
        for workspace in (WORKSPACE, other)
        for table in (TABLE, "AppRequests")
    }
    text = scene.metrics.exposition()[0].decode()
    assert len(re.findall(r"^hopline_pull_lag_seconds{source=.*} 0$", text, re.MULTILINE)) == 4


async def test_source_that_is_slow_holds_up_no_other(scene: Scene) -> None:
    """While one table's rows wait for the journal, another table is read."""
    scene.settings = replace(scene.settings, tables=(TABLE, "AppRequests"))
    scene.add()
    gate = asyncio.Event()
    taken: list[str] = []

    async def accept_records(records: Any, *, door: str, source: str) -> Receipt:
        if source == SOURCE:
            await gate.wait()
        taken.append(source)
        return Receipt(len(records), 0)

    scene.sink.accept_records = accept_records  # type: ignore[method-assign]  # one slow table
    properties = {"Service Type": "API Management"}
    row = {"Id": "ab" * 8, "OperationId": "cd" * 16, "Properties": properties}
    scene.azure.add(WORKSPACE, "AppRequests", row, ingested_ns=scene.clock.now_ns() - S)
    stop = asyncio.Event()
    task = asyncio.create_task(scene.poller().run(stop))
    async with asyncio.timeout(30):
        while not taken:
            await asyncio.sleep(0.01)
        assert taken == [f"azure-monitor/{WORKSPACE}/AppRequests"]
        gate.set()
        stop.set()
        await task


async def test_run_polls_until_it_is_stopped(scene: Scene) -> None:
    """`run` stores what is there and returns soon after its event is set."""
    correlation_id = scene.add()
    stop = asyncio.Event()
    task = asyncio.create_task(scene.poller().run(stop))
    async with asyncio.timeout(30):
        while not scene.sink.records:
            await asyncio.sleep(0.01)
        stop.set()
        await task
    assert scene.sink.record_ids == [correlation_id]


class _Turn(WatermarkFile):
    """A source's progress that is another's to move on while `is_mine` says so."""

    is_mine: Callable[[], bool] = staticmethod(lambda: True)

    def is_held(self) -> bool:
        return self.is_mine()


async def test_answer_that_comes_after_the_turn_is_not_stored(scene: Scene) -> None:
    """What is asked before a turn is lost and answered afterwards is the next one's to store."""
    turn = _Turn(scene.settings.state_directory, WORKSPACE, TABLE)
    poller = scene.poller(open_progress=lambda *_: turn)
    await poller.poll_once()
    before = scene.state()
    asked = len(scene.azure.queries)
    correlation_id = scene.add()
    scene.clock.advance(s=30)
    turn.is_mine = lambda: len(scene.azure.queries) == asked
    for _ in range(2):
        await poller.poll_once()
        assert len(scene.azure.queries) == asked + 1
    assert scene.sink.records == []
    assert scene.state() == before
    turn.is_mine = lambda: True
    await poller.poll_once()
    assert scene.sink.record_ids == [correlation_id]


async def test_lag_is_shown_by_who_has_the_turn(scene: Scene) -> None:
    """An old lag of who lost the turn would stay for ever, and be an alert."""
    turn = _Turn(scene.settings.state_directory, WORKSPACE, TABLE)
    poller = scene.poller(open_progress=lambda *_: turn)
    await poller.poll_once()
    assert b"hopline_pull_lag_seconds{" in scene.metrics.exposition()[0]
    turn.is_mine = lambda: False
    stop = asyncio.Event()
    task = asyncio.create_task(poller.run(stop))
    async with asyncio.timeout(30):
        while b"hopline_pull_lag_seconds{" in scene.metrics.exposition()[0]:
            await asyncio.sleep(0.01)
        stop.set()
        await task
