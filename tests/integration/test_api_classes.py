"""Heavy questions, cheap ones beside them, and askers that go away: a real engine, real sockets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from collector.api.rest.app import build_api
from collector.clock import SystemClock
from collector.config import load_settings
from collector.http.server import open_http_server
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.settings import ApiSettings
from collector.store import Store, open_store
from collector.telemetry import Metrics

_HEAVY = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 7"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[QueryService, Store]]:
    """An empty store, and questions about it of which one report never comes to its end."""
    folder = tmp_path_factory.mktemp("classes")
    clock = SystemClock()
    store = open_store(load_settings(data_dir=folder).store(), clock, Metrics())
    try:
        store.migrate()
        questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=Metrics())

        def heavy(_: Any) -> Any:
            with store.connections.reading() as client:
                return client.query(_HEAVY)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(questions.reports, "apis", heavy)  # a question of known weight
            yield questions, store
        questions.close()
    finally:
        store.close()


@contextlib.asynccontextmanager
async def serving(questions: QueryService) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API on a socket, and open a client of it."""
    app = build_api(questions, ApiSettings("127.0.0.1", 0, ()), lambda: {"store": "ok"})
    limits = httpx.Limits(max_connections=None)
    async with open_http_server(app, "127.0.0.1", 0, has_lifespan=True) as port:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            yield client


def running(store: Store) -> int:
    """Count the heavy queries that the engine works at."""
    sql = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM numbers%'"
    with store.connections.reading() as client:
        return int(client.query(sql).result_rows[0][0])


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.05)


async def test_cheap_questions_do_not_wait_behind_heavy_ones(
    scene: tuple[QueryService, Store],
) -> None:
    """
    With thirty heavy reports asked, one timeline, a bad question and the probes are answered
    first, those for which there is no place are told to come again, and the engine works at few.
    """
    questions, store = scene
    async with serving(questions) as client:
        heavy = [asyncio.create_task(client.get("/api/v1/apis")) for _ in range(30)]
        await eventually(lambda: running(store) == 3)
        for path, status in (
            ("/healthz", 200),
            ("/readyz", 200),
            ("/api/v1/requests/4bf92f3577b34da6a3ce929d0e0e4736", 404),
            ("/api/v1/requests?limit=many", 400),
        ):
            assert (await client.get(path)).status_code in (status, 422), path
        assert sum(task.done() for task in heavy) < 30
        # three are worked at; the others stood in line for as long as one may
        begin = time.monotonic()
        first = await asyncio.gather(*(asyncio.shield(task) for task in heavy[-3:]))
        assert {answer.status_code for answer in first} == {429}
        assert {answer.headers["retry-after"] for answer in first} == {"1"}
        assert time.monotonic() - begin < 25
        for task in heavy:
            task.cancel()
        await asyncio.gather(*heavy, return_exceptions=True)
        await eventually(lambda: running(store) == 0)


async def test_who_goes_away_ends_its_query(scene: tuple[QueryService, Store]) -> None:
    """When the connection of a question is closed, the engine stops working at it."""
    questions, store = scene
    async with serving(questions) as client:
        asked = asyncio.create_task(client.get("/api/v1/apis"))
        await eventually(lambda: running(store) == 1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await eventually(lambda: running(store) == 0)
        assert (await client.get("/healthz")).status_code == 200
