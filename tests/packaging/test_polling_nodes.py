"""Two nodes that may poll one workspace, over one ClickHouse: one does, and dies."""

import asyncio
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

from clickhouse_connect import get_client

from collector.demo.kusto import kusto_time
from collector.demo.log_analytics import LogAnalytics
from tests.packaging.test_roles import SERVE
from tests.service import Service, free_ports, start_service
from tests.stored import clickhouse_server
from tests.stories import encode_spans, unrecorded_story

WORKSPACE = "0c5e3a52-4f43-4a9b-9d3c-5d1f6a0b7e21"
TABLE = "ApiManagementGatewayLogs"
_TAKE_OVER_S = 60.0
_PATH = "/api/v1/sources"


class _Gateway:
    """Rows that come into the workspace all the time, each about another request."""

    def __init__(self, azure: LogAnalytics) -> None:
        self._azure = azure
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.ids: set[str] = set()

    def __enter__(self) -> "_Gateway":
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._halt.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._halt.wait(0.05):
            now_ns = time.time_ns()
            row = {
                "TimeGenerated": kusto_time(now_ns - 3_000_000_000),
                "CorrelationId": str(uuid.uuid4()),
                "Category": "GatewayLogs",
                "Method": "GET",
                "Url": "https://shop.example/orders/7",
                "ApiId": "orders",
                "ResponseCode": 200,
                "IsRequestSuccess": True,
                "TotalTime": 120,
            }
            self._azure.add(WORKSPACE, TABLE, row, ingested_ns=now_ns)
            self.ids.add(str(row["CorrelationId"]))


@contextmanager
def _log_analytics() -> Iterator[tuple[LogAnalytics, str]]:
    """Serve a workspace from a thread; the value is the server and its address."""
    azure = LogAnalytics(workspaces=[WORKSPACE])
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield azure, asyncio.run_coroutine_threadsafe(azure.start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(azure.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _start(folder: Path, endpoint: str, server: str, *role: str) -> Service:
    return start_service(
        folder,
        command=[*SERVE, *(role or ("all",))],
        clickhouse_url=server,
        azure_workspace_ids=WORKSPACE,
        azure_endpoint=endpoint,
        azure_allow_insecure="true",
        azure_poll_interval_s="1",
    )


def _kill_all(service: Service) -> None:
    """End a node as a power cut does: no process of it gets to say or write anything."""
    pids = service.pids()
    os.kill(pids["all"], signal.SIGSTOP)  # it would start the others again
    for role in ("ingest", "store", "all"):
        os.kill(pids[role], signal.SIGKILL)
    service.process.wait()


def _is_polled_by(service: Service) -> Callable[[int, dict[str, list[dict[str, object]]]], bool]:
    return lambda _, answer: any(
        str(each["polled_by"]).endswith(f":{service.data_dir}") and each["accepted"]
        for each in answer["sources"]
    )


def test_another_node_polls_on_when_the_one_that_polled_dies(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Within a minute, from where it was: every row is there once to whoever counts them."""
    with ExitStack() as stack:
        azure, endpoint = stack.enter_context(_log_analytics())
        server = stack.enter_context(clickhouse_server(tmp_path, user="hopline_ingest"))
        nodes = [
            stack.enter_context(_start(tmp_path / f"node{n}", endpoint, server)) for n in range(2)
        ]
        gateway = _Gateway(azure)
        with gateway:
            answer = nodes[0].wait_for(
                _PATH,
                lambda _, answer: any(
                    each["polled_by"] and each["accepted"] for each in answer["sources"]
                ),
                60,
            )
            [source] = [each for each in answer["sources"] if each["stream"] == "pull"]
            first = next(n for n in nodes if source["polled_by"].endswith(f":{n.data_dir}"))
            second = next(n for n in nodes if n is not first)
            # both say the same, and one alone asks
            told = second.get(_PATH)[1]["sources"]
            assert source["polled_by"] in [each["polled_by"] for each in told]
            asked = len(azure.queries)
            while len(azure.queries) == asked:
                time.sleep(0.001)
            _kill_all(first)
            died = time.monotonic()
            second.wait_for(_PATH, _is_polled_by(second), _TAKE_OVER_S)
            known = len(azure.queries)
            while len(azure.queries) == known:
                assert time.monotonic() - died < _TAKE_OVER_S
                time.sleep(0.01)
            took_s = time.monotonic() - died
            assert took_s < _TAKE_OVER_S
            time.sleep(3)
        # what it had journaled is loaded when its disk is back
        stack.enter_context(_start(first.data_dir.parent, endpoint, server))
        ids = gateway.ids
        client = get_client(dsn=server)
        stack.callback(client.close)
        deadline = time.monotonic() + 60
        while True:
            rows = client.query("SELECT record_id FROM hopline.gateway_record").result_rows
            stored = [str(record_id) for (record_id,) in rows]
            if set(stored) == ids or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert set(stored) == ids
        twice = len(stored) - len(ids)
        record_property("took_s", round(took_s, 1))
        record_property("rows", len(ids))
        record_property("rows_twice", twice)
        print(f"taken over after {took_s:.1f} s, {len(ids)} rows, {twice} of them stored twice")
        [counted] = [
            each for each in second.get("/api/v1/apis?start=-1h")[1]["apis"] if each["api"]
        ]
        assert counted["requests"] == len(ids)
        second.wait_for(
            _PATH,
            lambda _, answer: any(
                each["stream"] == "pull" and each["accepted"] == len(ids)
                for each in answer["sources"]
            ),
        )


def test_doors_do_not_wait_for_clickhouse(tmp_path: Path) -> None:
    """A node whose ClickHouse is away starts and acknowledges; its polls wait, and it says so."""
    [nobody] = free_ports(1)
    server = f"http://127.0.0.1:{nobody}"
    with (
        _log_analytics() as (azure, endpoint),
        _start(tmp_path, endpoint, server, "ingest") as service,
    ):
        body = encode_spans(unrecorded_story(1, time.time_ns()).spans)
        assert service.post("/v1/traces", body, "application/x-protobuf")[0] == 200
        deadline = time.monotonic() + 30
        while "no turn to poll can be claimed" not in service.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not azure.queries
        with urlopen(f"{service.ingest_url}/metrics", timeout=10) as page:
            text = page.read().decode()
        held = [each for each in text.splitlines() if each.startswith("hopline_pull_held{")]
        assert len(held) == 1 and held[0].endswith(" 0")
        began = time.monotonic()
        service.stop()
        assert time.monotonic() - began < 20
