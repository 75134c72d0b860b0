"""ClickHouse's HTTP interface on a real socket, and a client that speaks to it in plain HTTP."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from collector.api.clickhouse.server import open_sql_port
from collector.settings import SqlSettings
from collector.store import Store


@dataclass(frozen=True)
class SqlClient:
    """Sends statements. `url` is the port's address."""

    client: httpx.Client

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def post(
        self,
        sql: str | bytes,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a statement as body."""
        return self.client.post("/", content=sql, params=parameters, headers=headers)

    def rows(self, sql: str, **parameters: str) -> list[list[str]]:
        """Return the rows of a statement that must succeed, as texts."""
        answer = self.post(sql, {"default_format": "TabSeparated", **parameters})
        assert answer.status_code == 200, answer.text
        return [line.split("\t") for line in answer.text.splitlines()]

    def refusal(self, sql: str | bytes, **parameters: str) -> tuple[int, int, str]:
        """Return status, ClickHouse's code and text of a statement that must fail."""
        answer = self.post(sql, parameters)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, int(answer.headers["x-clickhouse-exception-code"]), answer.text


@contextmanager
def sql_port(
    store: Store, tokens: tuple[str, ...] = (), timeout_s: int = 20, *, is_audited: bool = False
) -> Iterator[SqlClient]:
    """Serve the tables of *store* from a thread as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = SqlSettings("127.0.0.1", port, tokens, timeout_s, is_audited=is_audited)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with open_sql_port({"": store}, settings):
            ready.set()
            await stop.wait()

    server = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    server.start()
    try:
        assert ready.wait(30), "the port did not open"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield SqlClient(client)
    finally:
        loop.call_soon_threadsafe(stop.set)
        server.join()
        loop.close()
