"""
The questions as tools of an assistant: a Model Context Protocol server.

In: a way to ask the query API, and where its pages are. Out: a server for stdio or streamable HTTP.
The SDK takes two seconds to import, so it is loaded by the first request or by `hopline mcp`.

Source: Model Context Protocol, server tools and transports; the official Python SDK.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from collector import __version__
from collector.errors import CollectorError
from collector.identity.paths import request_path

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

Pairs = Sequence[tuple[str, str]]
Ask = Callable[[str, Pairs], Awaitable[Mapping[str, Any] | str]]
"""Asks a path of the query API: JSON as it is, Markdown as text."""

_MAX_CHARACTERS = 24_000
_MAX_BODY_BYTES = 256 * 1024
_MAX_ROWS = 20
_INSTRUCTIONS = (
    "Hopline joins what an API gateway and a service mesh record about the same request. Begin "
    "with list_apis, why_slow or find_requests when there is no id, with explain_request when "
    "there is one; list_changes tells what was rolled out. "
    "Times are UTC: RFC 3339, `-15m`, `09:30` or `yesterday 17:00`. Durations are ms. Null means "
    "that nobody measured it. What is provisional may change as late data arrive."
)
_SUMMARY = (
    "id", "start", "method", "route", "api", "status", "duration_ms", "backend_ms",
    "unexplained_ms", "verdict", "state", "joined", "services",
)  # fmt: skip
_ID = Annotated[
    str,
    Field(
        description="Any id of the request, or text that holds one: trace id, traceparent, gateway "
        "correlation id, x-request-id, span id, an address, a log line."
    ),
]
_Start = Annotated[str, Field(description="Begin of the range; default an hour before its end.")]
_End = Annotated[str, Field(description="End of the range; default now.")]
_Api = Annotated[str, Field(description="Name of an API as list_apis gives it.")]


def build_assistant_server(ask: Ask, pages: str) -> "MCPServer[Any]":
    """Return the server of the tools; *pages* is where people open a request."""
    from mcp.server.mcpserver import MCPServer
    from mcp.types import ToolAnnotations

    server: MCPServer[Any] = MCPServer(
        "hopline", title="Hopline", version=__version__, instructions=_INSTRUCTIONS
    )
    tools = _Tools(ask, pages.rstrip("/"))
    for tool in (
        tools.explain_request,
        tools.find_requests,
        tools.why_slow,
        tools.list_apis,
        tools.list_changes,
        tools.check_budget,
        tools.compare_requests,
        tools.doctor,
        tools.list_sources,
    ):
        server.add_tool(
            tool,
            annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
            structured_output=False,
        )
    return server


class _Tools:
    """What the server offers: a method a tool, its docstring and parameters described to it."""

    def __init__(self, ask: Ask, pages: str) -> None:
        self._ask = ask
        self._pages = pages

    async def explain_request(
        self,
        id: _ID,  # noqa: A002 - the parameter's name in the protocol
        as_of: Annotated[str, Field(description="Tell what was known at this moment.")] = "",
    ) -> str:
        """
        Tell one request in sentences: what happened, where the time went, who failed first, how it
        was joined, what is missing. Every sentence names its rule and the spans it rests on.
        """
        told = await self._get(
            request_path(id, "/explain"), [("as_of", as_of), ("format", "markdown")]
        )
        return self._shorten(f"{told}\nPage: {self._page(id)}")

    async def find_requests(
        self,
        start: _Start = "",
        end: _End = "",
        api: _Api = "",
        service: Annotated[str, Field(description="A service that took part.")] = "",
        route: Annotated[str, Field(description="Route as rows show it.")] = "",
        status: Annotated[str, Field(description="Status code or class: 504, 5xx.")] = "",
        consumer: Annotated[str, Field(description="Who called.")] = "",
        failed: Annotated[bool | None, Field(description="Only failed, or only good ones.")] = None,
        min_duration_ms: Annotated[float | None, Field(description="Shortest time, ms.")] = None,
        q: Annotated[
            str, Field(description="Text inside path, API, operation or error; begin of an id.")
        ] = "",
        newest_first: Annotated[bool, Field(description="Instead of the slowest first.")] = False,
        limit: Annotated[int, Field(ge=1, le=_MAX_ROWS)] = 10,
    ) -> str:
        """
        List requests of a time range, the slowest first, each with its id, how long it took, what
        failed first and a link. Use explain_request with an id to see why.
        """
        found = await self._get_json(
            "/api/v1/requests",
            [
                ("start", start),
                ("end", end),
                ("api", api),
                ("service", service),
                ("route", route),
                ("status", status),
                ("consumer", consumer),
                ("error", "" if failed is None else str(failed).lower()),
                ("min_duration_ms", "" if min_duration_ms is None else f"{min_duration_ms:g}"),
                ("q", q),
                ("order", "-start" if newest_first else ""),
                ("limit", str(limit)),
            ],
        )
        rows = [
            {name: row.get(name) for name in _SUMMARY} | {"page": self._page(row["id"])}
            for row in found["requests"]
        ]
        return self._write(
            {"requests": rows, "more": bool(found["next_cursor"]), "note": found["note"]}
        )

    async def why_slow(
        self,
        start: _Start = "",
        end: _End = "",
        api: _Api = "",
        operation: Annotated[str, Field(description="Operation of the API.")] = "",
        service: Annotated[str, Field(description="A service that took part.")] = "",
        select: Annotated[
            Literal["slow", "failed"], Field(description="Explain the slow or the failed ones.")
        ] = "slow",
    ) -> str:
        """
        Tell what the slow (or failed) requests of a range have that the others have not, the
        likeliest cause first: pod, version, node, zone, revision, consumer, cache, policy, retries;
        and in which phases and calls they spend more time. At most 5 % of findings are chance.
        """
        found = await self._get_json(
            "/api/v1/slow",
            [
                ("start", start),
                ("end", end),
                ("api", api),
                ("operation", operation),
                ("service", service),
                ("select", select),
            ],
        )
        said = [sentence["text"] for sentence in found["sentences"]]
        more = {name: [_moved(row) for row in found[name][:8]] for name in ("phases", "calls")}
        return self._write({**found, "sentences": said, **more})

    async def list_apis(
        self,
        start: _Start = "",
        end: _End = "",
        group_by: Annotated[
            str, Field(description="Fields to tell requests apart by: consumer, operation, region…")
        ] = "",
    ) -> str:
        """
        List the gateways' APIs of a time range with requests, errors by the layer that failed
        first, percentiles in ms, where their time goes, and what changed against the range before,
        a day and a week ago. `group_by=consumer` tells whom it hits.
        """
        pairs = [("start", start), ("end", end), ("group_by", group_by)]
        return self._write(await self._get_json("/api/v1/apis", pairs))

    async def list_changes(
        self,
        start: _Start = "",
        end: _End = "",
        api: _Api = "",
        service: Annotated[str, Field(description="A service.")] = "",
    ) -> str:
        """
        List what changed in a time range: rollouts, API revisions, new pods, nodes, backends and
        policies, what deployment tools told; each with whether latency or failures moved with it.
        """
        found = await self._get_json(
            "/api/v1/changes",
            [("start", start), ("end", end), ("api", api), ("service", service)],
        )
        changes = [
            {
                "first_seen": each["first_seen"],
                "kind": each["kind"],
                "said": each["sentence"],
                "verdict": (each["effect"] or {}).get("verdict"),
                "example_ids": (each["effect"] or {}).get("example_ids"),
                "url": next((told["url"] for told in each["told"] if told["url"]), ""),
            }
            for each in found["changes"]
        ]
        return self._write({**found, "changes": changes})

    async def check_budget(
        self,
        api: _Api = "",
        start: _Start = "",
        end: _End = "",
        p95_ms: Annotated[float | None, Field(description="What the p95 may be, ms.")] = None,
        objective: Annotated[
            float | None, Field(description="Per cent of the requests that have to be good.")
        ] = None,
    ) -> str:
        """
        Tell whether an API keeps its latency and error budget, which hops spend the time, and what
        the percentiles would be if a hop were 30 % faster or gone: an estimate, and at best.
        """
        pairs = [("api", api), ("start", start), ("end", end)]
        pairs += [
            (name, f"{value:g}")
            for name, value in (("p95_ms", p95_ms), ("objective", objective))
            if value is not None
        ]
        found = await self._get_json("/api/v1/budget", pairs)
        return self._write(
            {**found, "spending": found["spending"][:10], "what_if": found["what_if"][:10]}
        )

    async def compare_requests(
        self,
        a: _ID,
        b: Annotated[
            str, Field(description="Another request; empty for the typical one of the same route.")
        ] = "",
    ) -> str:
        """
        Hold one request against another one, or against the typical good one of its route: phases
        and calls side by side, and what only one of them does.
        """
        found = await self._get_json("/api/v1/compare", [("a", a), ("b", b)])
        calls = [
            {
                "call": f"{each['service']} {each['operation']}".strip(),
                "depth": each["depth"],
                "delta_ms": each["delta_ms"],
                "a": _brief(each["a"]),
                "b": _brief(each["b"]),
            }
            for each in found["calls"]
        ]
        said = [sentence["text"] for sentence in found["sentences"]]
        return self._write({**found, "sentences": said, "calls": calls})

    async def doctor(self, start: _Start = "", end: _End = "", api: _Api = "") -> str:
        """
        List what breaks trace context and timings again and again: where, in what share of the
        requests, example ids, and the fix to paste.
        """
        found = await self._get_json(
            "/api/v1/doctor", [("start", start), ("end", end), ("api", api)]
        )
        return self._write(found)

    async def list_sources(self) -> str:
        """
        List every source of data: when it was last seen, how late it is, up to when it is known,
        and how much of it was accepted or rejected.
        """
        return self._write(await self._get_json("/api/v1/sources", []))

    async def _get(self, path: str, pairs: Pairs) -> Mapping[str, Any] | str:
        from mcp.server.mcpserver.exceptions import ToolError

        try:
            return await self._ask(path, [pair for pair in pairs if pair[1]])
        except CollectorError as error:
            hint = f" ({error.hint})" if error.hint else ""
            raise ToolError(f"{error.message}{hint}") from error

    async def _get_json(self, path: str, pairs: Pairs) -> Mapping[str, Any]:
        found = await self._get(path, pairs)
        assert isinstance(found, Mapping)
        return found

    def _page(self, request_id: str) -> str:
        return f"{self._pages}/request?id={quote(request_id, safe='')}"

    def _write(self, document: Mapping[str, Any]) -> str:
        return self._shorten(json.dumps(document, ensure_ascii=False, separators=(",", ":")))

    def _shorten(self, text: str) -> str:
        if len(text) <= _MAX_CHARACTERS:
            return text
        return text[:_MAX_CHARACTERS] + "\n… cut here: narrow the question, or ask the REST API."


def _moved(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return where time goes, without what is empty."""
    names = ("name", "service", "operation", "selected_ms", "baseline_ms", "delta_ms", "share")
    return {name: row[name] for name in names if row[name] not in ("", None)}


def _brief(side: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if side is None:
        return None
    return {name: side[name] for name in ("calls", "critical_ms", "errors", "statuses")}


class AssistantDoor:
    """
    `/mcp` of the query API: streamable HTTP without sessions, so any node answers any request.

    The server is made by the first request. *hosts* are the names under which a browser on this
    machine may reach it; without any, tokens keep strangers out.
    """

    def __init__(self, ask: Ask, pages: str, hosts: Sequence[str]) -> None:
        self._ask = ask
        self._pages = pages
        self._hosts = hosts
        self._starting = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or await self._start()
        await app(scope, receive, send)

    async def close(self) -> None:
        """Let what is under way end."""
        self._stopping.set()
        if self._running is not None:
            await self._running

    async def _start(self) -> ASGIApp:
        async with self._starting:
            if self._app is None:
                server = await asyncio.to_thread(build_assistant_server, self._ask, self._pages)
                app = self._open(server)
                is_up = asyncio.Event()
                self._running = asyncio.create_task(self._run(server, is_up), name="assistants")
                await is_up.wait()
                self._app = app
            return self._app

    def _open(self, server: "MCPServer[Any]") -> ASGIApp:
        from mcp.server.transport_security import TransportSecuritySettings

        origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in self._hosts]
        return server.streamable_http_app(
            json_response=True,
            stateless_http=True,
            max_request_body_size=_MAX_BODY_BYTES,
            transport_security=TransportSecuritySettings(
                enable_dns_rebinding_protection=bool(self._hosts),
                allowed_hosts=list(self._hosts),
                allowed_origins=origins,
            ),
        )

    async def _run(self, server: "MCPServer[Any]", is_up: asyncio.Event) -> None:
        async with server.session_manager.run():
            is_up.set()
            await self._stopping.wait()
