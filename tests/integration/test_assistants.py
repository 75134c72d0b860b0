"""The questions as tools, asked with the protocol's own client, over HTTP and over stdio."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from collector.query.service import QueryService
from tests.api_client import Asker, serving
from tests.stories import MINUTE, MS, NOW, asking, joined_story, number_id, refused_story

SLOW = joined_story(1, NOW - 20 * MINUTE, 1_400 * MS, failed=True)
GOOD = [joined_story(n, NOW - n * MINUTE) for n in range(2, 12)]
REFUSED = refused_story(90, NOW - 5 * MINUTE)
TOKEN = "an-assistants-token"
TOOLS = {
    "explain_request",
    "find_requests",
    "why_slow",
    "list_apis",
    "list_changes",
    "check_budget",
    "compare_requests",
    "doctor",
    "list_sources",
}


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryService]:
    folder = tmp_path_factory.mktemp("assistants")
    with asking([SLOW, *GOOD, REFUSED], folder) as (questions, _):
        yield questions


@pytest.fixture(scope="module")
def asker(questions: QueryService) -> Iterator[Asker]:
    with serving(questions, tokens=(TOKEN,)) as found:
        yield found


@asynccontextmanager
async def connected(asker: Asker, form: str) -> AsyncIterator[Client]:
    """Yield a client of the API's own door, or of the command that serves over stdio."""
    if form == "stdio":
        arguments = ["-m", "collector", "mcp", "--url", asker.address, "--token", TOKEN]
        async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:
            yield client
        return
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{asker.address}/mcp", http_client=http)) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> str:
    """Return the text of a tool's answer, which must not be an error."""
    answer = await client.call_tool(tool, arguments)
    text: str = answer.content[0].text  # type: ignore[union-attr]  # every answer is text
    assert not answer.is_error, text
    return text


@pytest.mark.parametrize("form", ["http", "stdio"])
async def test_an_assistant_asks_its_way_to_the_cause(asker: Asker, form: str) -> None:
    """From the list of APIs to the slow request, to its explanation and what is not typical."""
    async with connected(asker, form) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        assert all(tool.description and tool.annotations for tool in tools)
        apis = json.loads(await call(client, "list_apis"))["apis"]
        assert [api["api"] for api in apis] == ["orders-api"]
        found = json.loads(await call(client, "find_requests", api="orders-api", limit=1))
        [request] = found["requests"]
        assert request["id"] == SLOW.records[0].record_id
        assert request["page"].endswith(f"/request?id={request['id']}")
        told = await call(client, "explain_request", id=f"the request {request['id']}, please")
        assert told.startswith("# GET /orders/1\n")
        assert "failed first" in told
        compared = json.loads(await call(client, "compare_requests", a=request["id"]))
        assert compared["b"]["requests"] == len(GOOD)
        assert "postgresql" in compared["sentences"][1]


async def test_every_tool_answers_briefly(asker: Asker) -> None:
    """No answer is longer than an assistant can use, and doctor and sources are among them."""
    async with connected(asker, "http") as client:
        assert "findings" in json.loads(await call(client, "doctor"))
        assert "differences" in json.loads(await call(client, "why_slow", select="failed"))
        assert "changes" in json.loads(await call(client, "list_changes", service="orders"))
        kept = json.loads(await call(client, "check_budget", objective=99.5, p95_ms=300))
        assert kept["targets"][0]["target_ms"] == 300.0
        groups = json.loads(await call(client, "list_apis", group_by="consumer"))["apis"]
        assert groups[0]["groups"]["consumer"]
        assert "log-analytics" in await call(client, "list_sources")
        assert len(await call(client, "find_requests", limit=20)) < 25_000


async def test_what_cannot_be_asked_is_told(asker: Asker) -> None:
    """A bad parameter, an unknown id and one out of bounds are errors in the words of the API."""
    async with connected(asker, "http") as client:
        for tool, arguments, words in (
            ("find_requests", {"start": "someday"}, "start: 'someday' is not a moment"),
            ("explain_request", {"id": number_id(77)}, "nothing is stored under"),
            ("compare_requests", {"a": ""}, "a: is missing"),
            ("find_requests", {"limit": 10_000}, "limit"),
        ):
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error
            assert words in str(answer.content[0])


def test_strangers_are_kept_out(asker: Asker) -> None:
    """The door takes the same tokens as every other question."""
    answer = httpx.post(f"{asker.address}/mcp", json={})
    assert answer.status_code == 401


def test_a_page_of_another_name_may_not_ask(questions: QueryService) -> None:
    """Without tokens only names of this machine are served: a rebound name reaches nothing."""
    with serving(questions) as open_door:
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        headers = {
            "Accept": "application/json, text/event-stream",
            "Host": "evil.example:8080",
            "Origin": "http://evil.example:8080",
        }
        answer = httpx.post(f"{open_door.address}/mcp", json=request, headers=headers)
        assert answer.status_code in (403, 421)
