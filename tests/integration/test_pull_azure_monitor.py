"""The poller against a local Log Analytics, over real sockets and with its watermark on disk."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.clock import ManualClock
from collector.config import AzureSettings
from collector.pull.azure_monitor import AzureMonitorPoller
from collector.telemetry import Metrics
from deploy.demo.kusto import kusto_time
from deploy.demo.log_analytics import Fault, LogAnalytics
from tests.doubles.record_sink import RecordSinkDouble

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


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(1_780_000_000 * S)
    azure = LogAnalytics(workspaces=[WORKSPACE], clock=clock)
    endpoint = await azure.start()
    scene = Scene(endpoint, azure, clock, tmp_path)
    yield scene
    await scene.close()
    await azure.stop()


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


async def test_watermark_stays_when_the_journal_refuses(scene: Scene) -> None:
    """No row is lost when the journal is full: the same window is asked again."""
    correlation_id = scene.add()
    scene.sink.refusals = 1
    scene.sink.retry_after_s = 5
    poller = scene.poller()
    await poller.poll_once()
    assert scene.sink.records == []
    assert scene.state()["last_error"]["code"] == "journal"
    scene.clock.advance(s=5)
    await poller.poll_once()
    assert scene.sink.record_ids == [correlation_id]
    assert scene.state()["last_error"] is None


async def test_refusal_in_the_middle_of_a_window_repeats_no_row(scene: Scene) -> None:
    """Rows journaled before a refusal are known when the window is asked again."""
    ids = {scene.add(ingested_ago_s=5 + index / 1000) for index in range(1200)}
    scene.sink.refusals, scene.sink.takes_before_refusing = 1, 1
    scene.sink.retry_after_s = 1
    poller = scene.poller()
    await poller.poll_once()
    assert 0 < len(scene.sink.records) < 1200
    scene.clock.advance(s=1)
    await poller.poll_once()
    assert len(scene.sink.records) == 1200
    assert set(scene.sink.record_ids) == ids


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


async def test_throttling_waits_as_long_as_azure_says(scene: Scene) -> None:
    """After 429 nothing is asked before Retry-After has passed, then the rows are read."""
    correlation_id = scene.add()
    scene.azure.script(Fault.error(429, "TooManyRequests", "slow down", retry_after_s=7))
    poller = scene.poller()
    await poller.poll_once()
    scene.clock.advance(s=6)
    assert poller.seconds_until_due() == 1
    await poller.poll_once()
    assert len(scene.azure.queries) == 1
    scene.clock.advance(s=1)
    await poller.poll_once()
    assert scene.sink.record_ids == [correlation_id]


async def test_throttling_holds_back_every_source(scene: Scene) -> None:
    """Azure throttles the identity: the other tables wait as well."""
    scene.settings = replace(scene.settings, tables=(TABLE, "AppRequests"))
    fault = Fault.error(429, "TooManyRequests", "slow down", retry_after_s=50)
    scene.azure.script(fault, fault)
    poller = scene.poller()
    await poller.poll_once()
    assert poller.seconds_until_due() == 50


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_overload_backs_off_longer_each_time(scene: Scene, status: int) -> None:
    """Server errors without Retry-After double the wait, up to five minutes."""
    scene.azure.script(*[Fault.error(status, "ServerBusy", "busy")] * 6)
    poller = scene.poller()
    waits = []
    for _ in range(6):
        await poller.poll_once()
        waits.append(poller.seconds_until_due())
        scene.clock.advance(s=int(waits[-1]))
    assert waits == [30, 60, 120, 240, 300, 300]
    assert scene.state()["last_error"]["code"] == "source_unavailable"


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Fault.error(401, "AuthenticationFailed", "bad token"), "AZURE_CLIENT_ID"),
        (Fault.error(403, "InsufficientAccessError", "no access"), "Log Analytics Reader"),
        (Fault.error(404, "PathNotFoundError", "no path"), "HOPLINE_AZURE_WORKSPACE_IDS"),
        (Fault.error(400, "BadArgumentError", "no table"), "HOPLINE_AZURE_TABLES"),
    ],
)
async def test_denial_names_what_to_do_and_is_asked_slowly(
    scene: Scene, fault: Fault, hint: str
) -> None:
    """A refusal stays visible with the setting or role that mends it, and polling goes on."""
    correlation_id = scene.add()
    scene.azure.script(fault)
    poller = scene.poller()
    await poller.poll_once()
    error = scene.state()["last_error"]
    assert error["code"] == "source_denied"
    assert hint in error["hint"]
    assert poller.seconds_until_due() == 300
    assert scene.metrics.value("hopline_pull_failures_total", source=SOURCE) == 1
    scene.clock.advance(s=300)
    await poller.poll_once()
    assert scene.state()["last_error"] is None
    assert scene.sink.record_ids == [correlation_id]


async def test_unknown_workspace_is_a_denial(scene: Scene) -> None:
    """A workspace name in place of its id is answered 404, and the hint says so."""
    scene.settings = replace(scene.settings, workspace_ids=("my-workspace",))
    poller = scene.poller()
    await poller.poll_once()
    path = scene.settings.state_directory / f"my-workspace-{TABLE}.json"
    assert "not its name" in json.loads(path.read_bytes())["last_error"]["hint"]


async def test_unknown_column_shows_azures_innermost_message(scene: Scene) -> None:
    """The message that helps is the innermost one of Azure's error body."""
    body = {
        "error": {
            "code": "BadArgumentError",
            "message": "The request had some invalid properties",
            "innererror": {"code": "SemanticError", "message": "no column named 'Foo'"},
        }
    }
    scene.azure.script(Fault(status=400, body=json.dumps(body).encode()))
    await scene.poller().poll_once()
    assert "no column named 'Foo'" in scene.state()["last_error"]["message"]


async def test_204_is_an_empty_table(scene: Scene) -> None:
    """204 means that the workspace has nothing for the table: a success, and time moves on."""
    scene.azure.script(Fault(status=204))
    await scene.poller().poll_once()
    state = scene.state()
    assert state["last_error"] is None
    assert state["watermark_ns"] == scene.clock.now_ns()


@pytest.mark.parametrize(
    "fault",
    [Fault(body=b""), Fault(body=b"{}"), Fault(body=b'{"tables": ['), Fault(status=0)],
    ids=["empty body", "no table", "cut off", "connection closed"],
)
async def test_answer_without_result_does_not_move_the_watermark(
    scene: Scene, fault: Fault
) -> None:
    """An answer that is no result is a failure, never "no rows"."""
    correlation_id = scene.add()
    scene.azure.script(fault)
    poller = scene.poller()
    await poller.poll_once()
    assert scene.state()["last_error"]["code"] == "source_unavailable"
    assert scene.sink.records == []
    scene.clock.advance(s=30)
    await poller.poll_once()
    assert scene.sink.record_ids == [correlation_id]


async def test_unreachable_endpoint_is_unavailable(scene: Scene) -> None:
    """A connection that is refused is tried again and said plainly."""
    scene.settings = replace(scene.settings, endpoint="http://127.0.0.1:9")
    await scene.poller().poll_once()
    assert "can not be reached" in scene.state()["last_error"]["message"]


async def test_bad_row_costs_only_itself(scene: Scene) -> None:
    """A row with an impossible value is counted as rejected, the others are stored."""
    good = {scene.add(), scene.add()}
    scene.add(TotalTime=None, ResponseCode=77_777)
    await scene.poller().poll_once()
    assert set(scene.sink.record_ids) == good
    assert scene.state()["rows_rejected"] == 1
    assert scene.metrics.value("hopline_intake_records_rejected_total", door="pull") == 1


async def test_unreadable_row_costs_only_itself(scene: Scene) -> None:
    """Kusto makes null of a packed row above 1 MB: it is counted, and the source goes on."""
    columns = [
        {"name": "HoplineIngestedAt", "type": "string"},
        {"name": "HoplineRow", "type": "dynamic"},
    ]
    row = json.dumps({"CorrelationId": "c-1", "TimeGenerated": kusto_time(scene.clock.now_ns())})
    now = kusto_time(scene.clock.now_ns())
    rows = [[now, None], ["", row], [now, "[1]"], [now, "{"], [now, row]]
    tables = [{"name": "PrimaryResult", "columns": columns, "rows": rows}]
    scene.azure.script(Fault(body=json.dumps({"tables": tables}).encode()))
    await scene.poller().poll_once()
    assert scene.sink.record_ids == ["c-1"]
    state = scene.state()
    assert (state["rows_rejected"], state["last_error"]) == (4, None)


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
    lags = scene.metrics.snapshot()["hopline_pull_lag_seconds"]
    assert [lag for _, lag in lags] == [0, 0, 0, 0]


async def test_unreadable_watermark_file_starts_from_the_lookback(scene: Scene) -> None:
    """A damaged file is set aside, not fatal: the lookback is read again."""
    scene.settings.state_directory.mkdir(parents=True)
    path = scene.settings.state_directory / f"{WORKSPACE}-{TABLE}.json"
    path.write_bytes(b'{"format": 1, "watermark_ns": "soon"')
    correlation_id = scene.add()
    await scene.poller().poll_once()
    assert scene.sink.record_ids == [correlation_id]
    assert path.with_suffix(".unreadable").exists()


async def test_run_polls_until_it_is_stopped(scene: Scene) -> None:
    """`run` stores what is there and returns soon after its event is set."""
    correlation_id = scene.add()
    stop = asyncio.Event()
    task = asyncio.create_task(scene.poller().run(stop))
    async with asyncio.timeout(10):
        while not scene.sink.records:
            await asyncio.sleep(0.01)
        stop.set()
        await task
    assert scene.sink.record_ids == [correlation_id]
