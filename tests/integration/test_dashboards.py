"""The dashboards: what is committed is what the code makes, and every query gives what it must."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector.config import Settings, load_settings
from collector.gateway_rows import GatewayRows
from collector.intake import build_intake
from collector.journal import JournalFolder, find_sealed
from collector.model import Envelope, Stream
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.store import Store, open_store
from collector.telemetry import Metrics
from dashboards.__main__ import FOLDER, render
from tests.manual_clock import ManualClock
from tests.sql_client import SqlClient, sql_port
from tests.stories import (
    MINUTE,
    SECOND,
    Story,
    joined_story,
    make_record,
    number_id,
    refused_story,
    tell,
    unrecorded_story,
)

BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row" and panel["datasource"]["type"] not in ("prometheus", "jaeger")
]
_CONDITIONAL = re.compile(r"\$__conditionalAll\((\w+ IN \(\$\{\w+:singlequote\}\)), ?\$(\w+)\)")
_OURS = re.compile(r"\$\{__data\.fields\.(\w+)[:}]")
_NUMBERS = re.compile(r"(?:Nullable\()?(?:U?Int|Float)\d+\)?")
# the request that its own dashboard is about
REQUEST = 100
CHOSEN = {"gateway": "azure-apim", "api": "orders-api", "operation": "get-order"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClient]:
    with filled_port(tmp_path_factory.mktemp("dashboards")) as client:
        yield client


@contextmanager
def filled_port(folder: Path) -> Iterator[SqlClient]:
    """Give tables with a few minutes of requests of all sorts, stitched, behind the HTTP port."""
    settings = load_settings(data_dir=folder, ttl_days=0)
    now = time.time_ns() // SECOND * SECOND
    clock = ManualClock(now)
    store = open_store(settings.store(), clock, Metrics())
    store.migrate()
    tell(_stories(now - 5 * MINUTE), settings, store, clock)
    _tell_log(settings, store, clock, now - 5 * MINUTE)
    clock.advance(s=30)
    questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=Metrics())
    work = questions.background(1.0)
    while work.step().is_behind:
        pass
    try:
        with sql_port(store) as client:
            yield client
    finally:
        questions.close()
        store.close()


def _tell_log(settings: Settings, store: Store, clock: ManualClock, time_ns: int) -> None:
    """Bring one access log of the request into the tables."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = time_ns
    record.trace_id = bytes.fromhex(number_id(REQUEST))
    record.body.string_value = '"GET /orders/100" 200'
    envelope = Envelope(
        Stream.LOG, "otlp-protobuf", request.SerializeToString(), clock.now_ns(), "otlp-http"
    )

    async def accept() -> None:
        async with build_intake(settings, clock, Metrics()) as intake:
            await intake.accept(envelope)

    asyncio.run(accept())
    directory = settings.journal().directory
    rows = GatewayRows(store, JournalFolder(directory), ())
    for segment in find_sealed(directory):
        rows.load(segment)


def _stories(begin: int) -> list[Story]:
    stories = []
    for number in range(12):
        stories.append(joined_story(REQUEST + number, begin + number * 10 * SECOND))
    for number in range(3):
        failed = joined_story(200 + number, begin + number * 20 * SECOND, failed=True)
        first = failed.spans[0]
        first = replace(first, attributes={**first.attributes, "response_flags": "UF"})
        versioned = [
            replace(span, resource={**span.resource, "service.version": "2.1"})
            for span in failed.spans[1:]
        ]
        stories.append(replace(failed, spans=[first, *versioned]))
        stories.append(refused_story(300 + number, begin + number * 20 * SECOND))
        stories.append(unrecorded_story(400 + number, begin + number * 20 * SECOND))
        lone = make_record(
            500 + number,
            begin + number * 20 * SECOND,
            api="stock-api",
            backend_status=503,
            status=502,
            is_error=True,
            quality=("duration_is_rounded",),
        )
        stories.append(Story([lone]))
    return stories


def test_committed_files_are_what_the_code_makes() -> None:
    """After a change of the code, `python -m dashboards` has to be run."""
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == render()


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_panel_says_what_it_shows(board: Mapping[str, Any]) -> None:
    """Each has a title, a sentence and, where it has one number or a scale, a unit."""
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        assert len(panel["description"]) > 20, panel["title"]
        if panel["type"] in ("timeseries", "stat", "heatmap"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_links_lead_to_dashboards_and_variables_that_are_there(board: Mapping[str, Any]) -> None:
    """A link to another dashboard names its id and variables of it."""
    known = {
        each["uid"]: {v["name"] for v in each["templating"]["list"]} for each in BOARDS.values()
    }
    own = known[board["uid"]]
    text = json.dumps(board)
    for uid, rest in re.findall(r'"/d/([\w-]+)\?([^"]*)"', text):
        assert set(re.findall(r"&var-(\w+)=", rest)) <= known[uid], uid
    used = set(re.findall(r"\$\{(\w+)[:}]", text)) | set(re.findall(r", ?\$(\w+)\)", text))
    assert {name for name in used if not name.startswith("__")} <= own


@pytest.mark.parametrize("chosen", [{}, CHOSEN], ids=["all", "chosen"])
@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_gets_the_columns_it_needs(
    port: SqlClient, panel: dict[str, Any], chosen: Mapping[str, str]
) -> None:
    """Each query runs on the real engine, over the real port, and gives rows in the right shape."""
    frames = {target["refId"]: _ask(port, target["rawSql"], chosen) for target in panel["targets"]}
    for columns, rows in frames.values():
        if panel["title"] not in _MAY_BE_EMPTY or not chosen:
            assert rows, panel["title"]
        _check_shape(panel, columns, rows)
    if panel["type"] == "nodeGraph":
        _check_graph(frames["nodes"][1], frames["edges"][1])


# What is chosen has none of these.
_MAY_BE_EMPTY = {
    "What the gateway says, what the backend said",
    "Records that contradict themselves",
}


def test_the_trace_of_a_request_is_asked_of_jaegers_data_source() -> None:
    """Any id goes there as it is: Hopline finds the request by each of them."""
    (panel,) = [each for each in BOARDS["request"]["panels"] if each["type"] == "traces"]
    (target,) = panel["targets"]
    assert target["query"] == "${request:raw}"
    assert target["datasource"] == panel["datasource"] == {"type": "jaeger", "uid": "${jaeger}"}


def _check_shape(
    panel: Mapping[str, Any], columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> None:
    kind = panel["type"]
    numbers = [name for name, type_ in columns.items() if _NUMBERS.fullmatch(type_)]
    if kind in ("timeseries", "heatmap"):
        assert next(iter(columns.items())) == ("time", columns["time"])
        assert columns["time"].startswith("DateTime")
        assert set(columns) - {"time", "series"} == set(numbers)
        assert not rows or any(row[name] is not None for row in rows for name in numbers)
    elif kind == "stat":
        assert list(columns) == numbers
        assert len(rows) == len(numbers) == 1
        assert rows[0][numbers[0]] is not None
    elif kind == "logs":
        assert list(columns)[:3] == ["timestamp", "body", "level"]
    elif kind == "table":
        overrides = panel["fieldConfig"]["overrides"]
        assert {each["matcher"]["options"] for each in overrides} <= set(columns)
        assert set(_OURS.findall(json.dumps(overrides))) <= set(columns)


def _check_graph(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> None:
    ids = {node["id"] for node in nodes}
    assert "azure-apim" in ids
    assert {"orders", "payments"} <= ids
    assert {edge["source"] for edge in edges} | {edge["target"] for edge in edges} <= ids
    assert any(edge["source"] == "azure-apim" for edge in edges)
    for node in nodes:
        assert {"id", "title", "subtitle", "mainstat", "secondarystat"} <= set(node)
        assert node["arc__ok"] + node["arc__failed"] == pytest.approx(1)


@pytest.mark.parametrize("name", [n for n, b in BOARDS.items() if n != "itself"])
def test_variables_have_values_and_marks_their_columns(port: SqlClient, name: str) -> None:
    """What can be chosen is what the tables have; marks are where revisions were first seen."""
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            columns, rows = _ask(port, variable["query"], {})
            assert list(columns) == [variable["name"]]
            assert rows, variable["name"]
            if variable["name"] in CHOSEN:
                assert CHOSEN[variable["name"]] in {row[variable["name"]] for row in rows}
    for mark in BOARDS[name]["annotations"]["list"]:
        columns, rows = _ask(port, mark["target"]["rawSql"], {})
        assert list(columns) == ["time", "text", "tags"]
        assert rows, mark["name"]


def _ask(
    port: SqlClient, sql: str, chosen: Mapping[str, str]
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    answer = port.post(expand(sql, chosen) + " FORMAT JSON")
    assert answer.status_code == 200, (answer.text, sql)
    body = answer.json()
    return {column["name"]: column["type"] for column in body["meta"]}, body["data"]


def expand(sql: str, chosen: Mapping[str, str]) -> str:
    """Put in what the data source puts in for its macros, for the last hour by minutes."""

    def condition(found: re.Match[str]) -> str:
        name = found[2]
        if name not in chosen:
            return "1=1"
        return found[1].replace(f"${{{name}:singlequote}}", f"'{chosen[name]}'")

    since, until = int(time.time()) - 3600, int(time.time()) + 1
    sql = _CONDITIONAL.sub(condition, sql)
    sql = re.sub(
        r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", sql
    )
    sql = re.sub(
        r"\$__timeFilter\((\w+)\)",
        rf"\1 >= toDateTime({since}) AND \1 <= toDateTime({until})",
        sql,
    )
    sql = sql.replace("$__fromTime", f"toDateTime({since})")
    sql = sql.replace("$__toTime", f"toDateTime({until})").replace("$__interval_s", "60")
    sql = sql.replace("${request:singlequote}", f"'{make_record(REQUEST, 0).record_id}'")
    assert "$" not in sql, sql
    return sql
