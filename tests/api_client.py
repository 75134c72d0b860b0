"""The query API on a real socket, and a client that asks it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
from pydantic import TypeAdapter

from collector.api.rest.app import Health
from collector.api.serve import run_api
from collector.query.service import QueryService
from collector.settings import ApiSettings


def check_answer(kind: type, document: object) -> None:
    """Assert that *document* has exactly the fields that answers of *kind* are described with."""
    schema = TypeAdapter(kind).json_schema(mode="serialization")
    for each in (schema, *schema.get("$defs", {}).values()):
        if "properties" in each:
            each["additionalProperties"] = False
    jsonschema.validate(document, schema)


@dataclass(frozen=True)
class Asker:
    """Asks, and checks the status of each answer."""

    client: httpx.Client

    @property
    def address(self) -> str:
        """Return scheme, host and port, to put a path behind that httpx would change."""
        return str(self.client.base_url).rstrip("/")

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        """Return the JSON of an answer that must have *status*."""
        answer = self.client.get(path, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def timeline(self, identifier: str, query: str = "") -> Any:
        """Return the timeline of any id."""
        return self.get(f"/api/v1/requests/{quote(identifier, safe='')}{query}")


@contextmanager
def serving(
    questions: QueryService,
    tokens: tuple[str, ...] = (),
    health: Health = lambda: {"store": "ok"},
    jaeger_query_port: int = 0,
) -> Iterator[Asker]:
    """Serve *questions* from a thread as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ApiSettings("127.0.0.1", port, tokens, jaeger_query_port=jaeger_query_port)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()
    server = threading.Thread(
        target=loop.run_until_complete,
        args=(run_api(questions, settings, health, stop, ready.set),),
    )
    server.start()
    try:
        assert ready.wait(60), "the API did not start"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Asker(client)
    finally:
        loop.call_soon_threadsafe(stop.set)
        server.join()
        loop.close()
