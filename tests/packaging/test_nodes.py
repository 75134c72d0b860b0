"""Three nodes that take data in and two that answer, over one ClickHouse, while parts die."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from clickhouse_connect import get_client
from clickhouse_connect.driver.client import Client

from collector.clock import SystemClock
from collector.config import load_settings
from collector.query.background.lease import Lease
from tests.packaging.test_roles import SERVE
from tests.service import Service, start_service
from tests.stored import clickhouse_server, opened
from tests.stories import encode_spans, number_id, unrecorded_story

_TRACES = 60


@dataclass(frozen=True)
class Cluster:
    """What runs: nodes of doors and loader, nodes that answer, and the tables of all."""

    receiving: list[Service]
    answering: list[Service]
    client: Client
    server: str

    def rows(self, sql: str) -> list[tuple[str, int]]:
        """Ask the tables."""
        return [(str(name), int(count)) for name, count in self.client.query(sql).result_rows]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        server = stack.enter_context(clickhouse_server(folder))
        receiving = [
            stack.enter_context(start_service(folder / f"node{n}", clickhouse_url=server))
            for n in range(3)
        ]
        answering = [
            stack.enter_context(_query_node(folder / f"query{n}", server)) for n in range(2)
        ]
        client = get_client(dsn=server)
        stack.callback(client.close)
        yield Cluster(receiving, answering, client, server)


def _query_node(folder: Path, server: str) -> Service:
    return start_service(folder, command=[*SERVE, "query"], clickhouse_url=server)


def _send_all(cluster: Cluster) -> None:
    """Send each trace to the next node that is there; kill parts meanwhile."""
    nodes = itertools.cycle(cluster.receiving)
    kills = {15: ("ingest", 0), 30: ("store", 1), 45: ("ingest", 2)}
    start_ns = time.time_ns() - 5_000_000_000
    for number in range(1, _TRACES + 1):
        body = encode_spans(unrecorded_story(number, start_ns + number * 1_000_000).spans)
        if number in kills:
            role, node = kills[number]
            cluster.receiving[node].kill(role)
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
    for number in (1, 15, 30, 45, _TRACES):
        told = [
            service.get(f"/api/v1/requests/{number_id(number)}")[1] for service in cluster.answering
        ]
        hops = [[hop["service"] for hop in each["hops"]] for each in told]
        assert hops[0] == hops[1]
        assert len(hops[0]) == len(set(hops[0]))
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
