"""What the poller makes of a Log Analytics, a journal or a disk that fails it."""

import json
import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.demo.kusto import kusto_time, time_ns
from collector.demo.log_analytics import Fault
from tests.doubles.azure_scene import SOURCE, TABLE, WORKSPACE, S, Scene, open_scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path) as scene:
        yield scene


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


async def test_throttling_waits_as_long_as_azure_says(scene: Scene) -> None:
    """After 429 nothing is asked before Retry-After has passed, then the rows are read."""
    correlation_id = scene.add()
    scene.azure.script(Fault.error(429, "TooManyRequests", "slow down", retry_after_s=7))
    poller = scene.poller()
    await poller.poll_once()
    scene.clock.advance(s=6)
    assert await poller.poll_once() == 1
    assert len(scene.azure.queries) == 1
    scene.clock.advance(s=1)
    await poller.poll_once()
    assert scene.sink.record_ids == [correlation_id]


async def test_throttling_holds_back_every_source(scene: Scene) -> None:
    """Azure throttles the identity: a table whose query went through waits as well."""
    scene.settings = replace(scene.settings, tables=(TABLE, "AppRequests"))
    scene.azure.script(Fault.error(429, "TooManyRequests", "slow down", retry_after_s=50))
    poller = scene.poller()
    assert await poller.poll_once() == 50


async def test_throttling_holds_back_a_source_that_is_done(scene: Scene) -> None:
    """A table that was up to date before the other one was throttled waits as well."""
    scene.settings = replace(scene.settings, tables=("AppRequests",))
    await scene.poller().poll_once()
    scene.clock.advance(s=30)
    scene.settings = replace(scene.settings, tables=(TABLE, "AppRequests"), max_window_s=600)
    throttled = Fault.error(429, "TooManyRequests", "slow down", retry_after_s=50)
    scene.azure.script(Fault(), Fault(), Fault(), Fault(), throttled)
    poller = scene.poller()
    assert await poller.poll_once() == 50


async def test_window_that_failed_is_asked_in_halves(scene: Scene) -> None:
    """A query that timed out may have asked for too much; after a success windows grow again."""
    scene.settings = replace(scene.settings, max_window_s=1200)
    scene.azure.script(Fault.error(504, "GatewayTimeout", "too slow"))
    poller = scene.poller()
    await poller.poll_once()
    scene.clock.advance(s=30)
    await poller.poll_once()
    lengths_s = [
        (time_ns(end) - time_ns(start)) // S
        for query in scene.azure.queries
        for start, end in [re.findall(r"=datetime\((.+?)\)", query.text)]
    ]
    assert lengths_s == [1200, 600, 1200, 1200, 690]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_overload_backs_off_longer_each_time(scene: Scene, status: int) -> None:
    """Server errors without Retry-After double the wait, up to five minutes."""
    scene.azure.script(*[Fault.error(status, "ServerBusy", "busy")] * 6)
    poller = scene.poller()
    waits = []
    for _ in range(6):
        waits.append(await poller.poll_once())
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
    assert await poller.poll_once() == 300
    error = scene.state()["last_error"]
    assert error["code"] == "source_denied"
    assert hint in error["hint"]
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
    assert "cannot be reached" in scene.state()["last_error"]["message"]


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


async def test_unreadable_watermark_file_starts_from_the_lookback(scene: Scene) -> None:
    """A damaged file is set aside, not fatal: the lookback is read again."""
    scene.settings.state_directory.mkdir(parents=True)
    path = scene.settings.state_directory / f"{WORKSPACE}-{TABLE}.json"
    path.write_bytes(b'{"format": 1, "watermark_ns": "soon"')
    correlation_id = scene.add()
    await scene.poller().poll_once()
    assert scene.sink.record_ids == [correlation_id]
    assert path.with_suffix(".unreadable").exists()


@pytest.mark.parametrize("seed", range(12))
async def test_every_row_is_stored_exactly_once(scene: Scene, seed: int) -> None:
    """Whatever the lateness, limits, faults, refusals and restarts: no row is lost or doubled."""
    chance = random.Random(seed)
    scene.settings = replace(scene.settings, max_window_s=chance.choice([60, 600, 3600]))
    scene.azure.row_limit = chance.choice([20, 100, 10_000])
    faults = [
        Fault.error(429, "TooManyRequests", "slow down", retry_after_s=3),
        Fault.error(503, "ServiceUnavailable", "busy"),
        Fault.error(403, "InsufficientAccessError", "no"),
        Fault(keep_rows=1),
        Fault(body=b""),
        Fault(status=0),
    ]
    poller = scene.poller(row_limit=chance.choice([15, 1000]))
    ids = set()
    for _ in range(25):
        for _ in range(chance.randrange(12)):
            late_s = chance.choice([0.5, 20, 3600, 40 * 3600])
            ids.add(scene.add(ago_s=late_s + 1, ingested_ago_s=chance.uniform(0, 25)))
        if chance.random() < 0.4:
            scene.azure.script(chance.choice(faults))
        if chance.random() < 0.2:
            scene.sink.refusals = 1
        await poller.poll_once()
        if chance.random() < 0.2:
            poller = scene.poller(row_limit=chance.choice([15, 1000]))
        scene.clock.advance(s=chance.choice([5, 30, 400]))
    for _ in range(8):
        scene.clock.advance(s=301)
        await poller.poll_once()
    assert sorted(scene.sink.record_ids) == sorted(ids)
    assert scene.state()["last_error"] is None
