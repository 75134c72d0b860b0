"""
The port: one ASGI application that answers statements as ClickHouse's HTTP interface does.

Source: ClickHouse documentation, "HTTP interface"; server/HTTPHandler.cpp for statuses.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import orjson

from collector.api.audit import Audit
from collector.api.clickhouse.limits import check_format, clamp_settings
from collector.api.clickhouse.native import write_empty, write_hello
from collector.api.clickhouse.principals import Principal, Principals
from collector.api.clickhouse.request import Asked, Body, pack, read_credentials, read_request
from collector.api.clickhouse.rules import Judged, judge
from collector.api.workers import Workers
from collector.decode.redaction.secrets import Secrets, built_in
from collector.errors import Overloaded, QueryTimeout, TooSlow
from collector.http.asgi import Receive, Scope, Send, send_answer
from collector.http.origins import Origins, OwnPagesOnly
from collector.http.server import open_http_server
from collector.settings import SqlSettings
from collector.store import Store
from collector.store.sql import CLIENTS, SqlFailure, SqlReader

_QUEUE = 32
_GRACE_S = 5.0
_HELLO = "SELECT displayName(), version(), revision(), timezone()"
_PING_PATHS = frozenset({"/ping", "/replicas_status"})
_STATUSES = {
    47: 404, 46: 404, 48: 501, 50: 404, 60: 404, 62: 400, 72: 400, 73: 404, 81: 404, 115: 404,
    159: 408, 164: 403, 194: 401, 202: 503, 209: 408, 456: 400, 457: 400, 497: 403, 516: 403,
    1002: 503,
}  # fmt: skip
# Parse errors of values and shapes: the asker's fault.
_BAD_REQUESTS = frozenset(
    {6, 26, 27, 36, 38, 41, 43, 53, 69, 70, 130, 158, 191, 215, 241, 307, 386, 396}
)


@contextlib.asynccontextmanager
async def open_sql_port(
    stores: Mapping[str, Store], settings: SqlSettings, secrets: Secrets | None = None
) -> AsyncIterator[int]:
    """
    Answer statements until the block is left. With port 0 there is no port.

    *stores* are the tenants' by name, the default one's under "": a statement sees the database of
    its tenant and no other. *secrets* are masked in the audit log.

    Returns:
        The port, 0 when there is none.

    Raises:
        ConfigError: the address or the port cannot be used.
    """
    if not settings.port:
        yield 0
        return
    readers = {tenant: await asyncio.to_thread(store.open_sql) for tenant, store in stores.items()}
    workers = Workers(threads=CLIENTS, queue=_QUEUE, timeout_s=settings.timeout_s + _GRACE_S)
    is_open = not (settings.tokens or settings.token_file)
    origins = Origins(settings.bind, settings.allowed_hosts, is_open=is_open)
    audit = Audit(secrets or built_in()) if settings.is_audited else None
    app = OwnPagesOnly(SqlPort(readers, workers, settings, audit), origins)
    try:
        async with open_http_server(app, settings.bind, settings.port, tls=settings.tls) as port:
            yield port
    finally:
        await workers.close()


class SqlPort:
    """The application. Statements run in threads; whoever comes while all are taken waits."""

    def __init__(
        self,
        readers: Mapping[str, SqlReader],
        workers: Workers,
        settings: SqlSettings,
        audit: Audit | None = None,
    ) -> None:
        self._readers = readers
        # for what it says of itself, which is the same for all
        self._reader = readers[""]
        self._workers = workers.divide(readers)
        self._timeout_s = settings.timeout_s
        self._audit = audit
        self._principals = Principals(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query_id = str(uuid4())
        content = Body(receive)
        principal, sql, status, refused = Principal(), "", 200, ""
        try:
            if scope["method"] not in ("GET", "POST", "HEAD"):
                raise SqlFailure(48, "Only GET and POST are served")
            if scope["path"] in _PING_PATHS:
                await self._send(send, b"Ok.\n", "text/plain; charset=UTF-8", query_id)
                return
            if scope["path"] not in ("/", "/query"):
                raise SqlFailure(48, f"There is no handle {scope['path'][:100]}")
            principal = self._principals.find(read_credentials(scope), scope)
            asked = await read_request(scope, content)
            query_id = asked.query_id or query_id
            if not asked.sql:
                await self._send(send, b"Ok.\n", "text/plain; charset=UTF-8", query_id)
                return
            sql = asked.sql
            began = time.perf_counter()
            body, answered = await self._workers[principal.tenant].run(
                self._answer, asked, principal
            )
            elapsed_ns = int((time.perf_counter() - began) * 1e9)
            summary = orjson.dumps({"result_bytes": str(len(body)), "elapsed_ns": str(elapsed_ns)})
            extra = [
                (b"x-clickhouse-format", answered.encode()),
                (b"x-clickhouse-summary", summary),
            ]
            await self._send(send, body, check_format(answered), query_id, extra, asked.encoding)
        except SqlFailure as exc:
            refused = exc.who
            await content.discard()
            status = await self._send_failure(send, exc, query_id)
        except TooSlow as exc:
            status = await self._send_failure(send, SqlFailure(209, exc.message), query_id)
        except Overloaded:
            failure = SqlFailure(202, "Too many simultaneous queries: ask again in a moment")
            status = await self._send_failure(send, failure, query_id)
        except QueryTimeout:
            status = await self._send_failure(send, SqlFailure(159, "Timeout exceeded"), query_id)
        finally:
            if self._audit and (sql or status != 200):
                tenant = self._principals.tenancy.name_of(principal.tenant)
                who = principal.name or refused
                self._audit.log_read(
                    who, scope["method"], scope["path"], sql, status, tenant=tenant
                )

    def _answer(self, asked: Asked, principal: Principal) -> tuple[bytes, str]:
        """Judge and run a statement, in a thread; return the answer and its format."""
        reader = self._readers[principal.tenant]
        if asked.database not in ("", "default", reader.database):
            raise SqlFailure(81, f"The database {asked.database[:64]} is not shown here")
        check_format(asked.default_format)
        judged = judge(asked.sql, asked.parameters, reader)
        output_format = judged.output_format or asked.default_format
        if asked.protocol and output_format == "Native" and judged.text == _HELLO:
            hello = write_hello(reader.name, reader.version, reader.timezone, asked.protocol)
            return hello, output_format
        settings = clamp_settings({**asked.settings, **judged.settings}, self._timeout_s)
        body = reader.run(judged.text, output_format, settings=settings)
        if not body and output_format == "Native":
            body = _describe_empty(reader, judged, settings)
        return body, output_format

    async def _send(
        self,
        send: Send,
        body: bytes,
        content_type: str,
        query_id: str,
        extra: list[tuple[bytes, bytes]] | None = None,
        encoding: str = "",
    ) -> None:
        headers = [*self._headers(query_id), *(extra or [])]
        if encoding:
            body = await asyncio.to_thread(pack, body, encoding)
            headers.append((b"content-encoding", encoding.encode()))
        await send_answer(send, 200, body, content_type.encode(), headers)

    async def _send_failure(self, send: Send, failure: SqlFailure, query_id: str) -> int:
        """Send what is the matter, and return the status that says it."""
        body = f"{failure.text} (version {self._reader.version} (official build))\n".encode()
        headers = self._headers(query_id)
        headers.append((b"x-clickhouse-exception-code", str(failure.code).encode()))
        if failure.code == 194:
            headers.append((b"www-authenticate", b'Basic realm="hopline"'))
        if failure.code in (48, 62, 194, 209, 516):  # the rest of the body may not have been read
            headers.append((b"connection", b"close"))
        status = _STATUSES.get(failure.code, 400 if failure.code in _BAD_REQUESTS else 500)
        await send_answer(send, status, body, b"text/plain; charset=UTF-8", headers)
        return status

    def _headers(self, query_id: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-clickhouse-server-display-name", self._reader.name.encode()),
            (b"x-clickhouse-query-id", query_id.encode()),
            (b"x-clickhouse-timezone", self._reader.timezone.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]


def _describe_empty(reader: SqlReader, judged: Judged, settings: dict[str, str]) -> bytes:
    answer = orjson.loads(reader.run(judged.text, "JSONCompact", settings=settings))
    return write_empty([(column["name"], column["type"]) for column in answer["meta"]])
