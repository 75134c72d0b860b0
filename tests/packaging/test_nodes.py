"""Three nodes that take data in and two that answer, over one ClickHouse, while parts die."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import Popen

import pytest
from clickhouse_connect import get_client
from clickhouse_connect.driver.client import Client

from collector.clock import SystemClock
from collector.config import load_settings
from collector.store import Lease
from tests.packaging.test_roles import SERVE
from tests.service import Service, start_service
from tests.stored import opened, start_clickhouse
from tests.stories import encode_spans, number_id, unrecorded_story

_TRACES = 60
_USER = "hopline_ingest"


@dataclass
class Cluster:
    """What runs: nodes of doors and loader, nodes that answer, and the engine with all tables."""

    folder: Path
    stack: ExitStack
    engine: Popen[str]
    server: str
    client: Client
    receiving: list[Service] = field(default_factory=list)
    answering: list[Service] = field(default_factory=list)

    def start_query_node(self, number: int) -> Service:
        """Start a node that answers, which ends with the cluster."""
        return self.stack.enter_context(
            start_service(
                self.folder / f"query{number}",
                command=[*SERVE, "query"],
                clickhouse_url=self.server,
            )
        )

    def restart_query_node(self, number: int) -> None:
        """Kill a node that answers; another one comes in its place, as a pod does."""
        self.answering[number].kill("all")
        self.answering[number] = self.start_query_node(number)

    def restart_engine(self) -> None:
        """Kill the engine, and start it at the same address."""
        self.engine.kill()
        _close(self.engine)
        port = int(self.server.rpartition(":")[2])
        self.engine, _ = start_clickhouse(self.folder, user=_USER, port=port)

    def rows(self, sql: str) -> list[tuple[str, int]]:
        """Ask the tables."""
        return [(str(name), int(count)) for name, count in self.client.query(sql).result_rows]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        engine, port = start_clickhouse(folder, user=_USER)
        server = f"http://default:@127.0.0.1:{port}"
        found = Cluster(folder, stack, engine, server, get_client(dsn=server))
        stack.callback(lambda: _close(found.engine))
        stack.callback(found.client.close)
        found.receiving = [
            stack.enter_context(start_service(folder / f"node{n}", clickhouse_url=server))
            for n in range(3)
        ]
        found.answering = [found.start_query_node(n) for n in range(2)]
        yield found


def _close(engine: Popen[str]) -> None:
    assert engine.stdin and engine.stdout
    engine.stdin.close()
    engine.wait(timeout=30)
    engine.stdout.close()


def _send_all(cluster: Cluster) -> None:
    """Send each trace to the next node that is there; kill each kind of part meanwhile."""
    nodes = itertools.cycle(cluster.receiving)
    kills: dict[int, Callable[[], None]] = {
        15: lambda: cluster.receiving[0].kill("ingest"),
        23: lambda: cluster.restart_query_node(0),
        30: lambda: cluster.receiving[1].kill("store"),
        38: cluster.restart_engine,
        45: lambda: cluster.receiving[2].kill("ingest"),
    }
    start_ns = time.time_ns() - 5_000_000_000
    for number in range(1, _TRACES + 1):
        body = encode_spans(unrecorded_story(number, start_ns + number * 1_000_000).spans)
        if number in kills:
            kills[number]()
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, f"no node took trace {number}"
            try:
                status, _ = next(nodes).post("/v1/traces", body, "application/x-protobuf")
            except OSError:
                continue
            if status == 200:
                break


def test_what_three_nodes_took_is_once_in_the_tables_whatever_died(cluster: Cluster) -> None:
    """Nothing acknowledged is lost, requests are stitched once, and all who answer say the same."""
    _send_all(cluster)
    wanted = {number_id(number) for number in range(1, _TRACES + 1)}
    for service in cluster.answering:
        service.wait_for(
            f"/api/v1/requests?limit={2 * _TRACES}",
            lambda _, answer: len(answer["requests"]) == _TRACES,
            60,
        )
    spans = len(unrecorded_story(1, 0).spans)
    sql = "SELECT TraceId, count() FROM hopline.otel_traces GROUP BY TraceId"
    assert sorted(cluster.rows(sql)) == sorted((trace, spans) for trace in wanted)
    for number in (1, 15, 23, 30, 38, 45, _TRACES):
        path = f"/api/v1/requests/{number_id(number)}"
        told = [service.get(path)[1] for service in cluster.answering]
        for answer in told:
            answer.pop("watermarks")  # goes on from one question to the next
        assert told[0] == told[1]
        hops = [hop["service"] for hop in told[0]["hops"]]
        assert len(hops) == len(set(hops)) > 0
    deadline = time.monotonic() + 90
    while True:
        rows = cluster.rows("SELECT trace_id, count() FROM hopline.requests GROUP BY trace_id")
        if {trace for trace, _ in rows} == wanted or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert sorted(rows) == sorted((trace, 1) for trace in wanted)


def test_every_node_that_answers_knows_what_each_has_counted(cluster: Cluster) -> None:
    """The counts of doors on other machines' disks reach all nodes."""
    for service in cluster.answering:
        service.wait_for(
            "/api/v1/sources",
            lambda _, answer: sum(each["accepted"] or 0 for each in answer["sources"]) > 0,
            60,
        )


def test_another_process_takes_over_when_the_one_that_worked_is_gone(
    cluster: Cluster, tmp_path: Path
) -> None:
    """One at a time holds a piece of work; who comes later waits until nothing is heard of it."""
    settings = replace(load_settings(data_dir=tmp_path).store(), url=cluster.server)
    with opened(settings, SystemClock()) as store:
        first, second = (Lease(store, "trial", lasts_s=3.0) for _ in range(2))
        _wait_for(first.is_held)
        assert not second.is_held()
        # `first` renews no more, as a process that was killed
        _wait_for(second.is_held)
        assert not first.is_held()
        second.give_back()
        _wait_for(first.is_held)


def _wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
