"""
The port of Jaeger's gRPC query API: tokens, threads, and what errors become.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import grpc
import grpc.aio

from collector.api.audit import Audit
from collector.api.jaeger.queries import QUERIES, Query, describe
from collector.api.readers import Readers
from collector.api.workers import Workers
from collector.errors import CollectorError, QueryTimeout, Unauthenticated
from collector.http.grpc_server import (
    Context,
    RpcHandler,
    call_authorization,
    place_call,
    start_grpc_server,
)
from collector.http.oidc import Issuer
from collector.http.tenants import Tenancy
from collector.http.tokens import Caller
from collector.query.service import QueryService
from collector.settings import ApiSettings

# a question is a few names and times
_MAX_MESSAGE_BYTES = 64 * 1024
_THREADS = 2
_QUEUE = 24
_LINE_S = 5.0
_DRAIN_S = 5
# what of one answer is in memory at a time, besides the trace that it is made of
_PART_BYTES = 2 * 1024 * 1024
_ANSWER_S = 120.0
# as nginx writes it: the client went away
_GONE = 499
Give = Callable[[bytes], Awaitable[None]]
_LOG = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_query_port(
    questions: QueryService,
    settings: ApiSettings,
    others: Mapping[str, QueryService] | None = None,
) -> AsyncIterator[int]:
    """
    Answer until the block is left. With port 0 there is no port.

    *questions* are the default tenant's, *others* those of the others by name.

    Returns:
        The port, 0 when there is none.

    Raises:
        ConfigError: the address or the port cannot be used.
    """
    if not settings.jaeger_query_port:
        yield 0
        return
    one = Workers(threads=_THREADS, queue=_QUEUE, line_s=_LINE_S, name="jaeger-one")
    lists = Workers(threads=_THREADS, queue=_QUEUE, line_s=_LINE_S, name="jaeger-list")
    server, port = await start_grpc_server(
        settings.bind,
        settings.jaeger_query_port,
        [QueryHandler({**(others or {}), "": questions}, settings, one, lists)],
        max_message_bytes=_MAX_MESSAGE_BYTES,
        tls=settings.tls,
        is_inflating=True,
    )
    try:
        yield port
    finally:
        await server.stop(_DRAIN_S)
        await one.close()
        await lists.close()


class QueryHandler(RpcHandler):
    """Serves the methods of both versions. Who may not read is told so before anything is asked."""

    def __init__(
        self,
        questions: Mapping[str, QueryService],
        settings: ApiSettings,
        one: Workers,
        lists: Workers,
    ) -> None:
        issuer = Issuer(settings.oidc) if settings.oidc else None
        self._readers = Readers(settings.tokens, settings.token_file, issuer)
        self._audit = Audit(questions[""].secrets) if settings.is_audited else None
        self._tenancy = Tenancy(settings.tenants)
        self._questions = questions
        self._one, self._lists = one.divide(questions), lists.divide(questions)
        self._handlers = {path: self._handler(path, query) for path, query in QUERIES.items()}

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)

    def _handler(self, path: str, query: Query) -> "grpc.RpcMethodHandler[bytes, bytes]":
        async def answer_many(body: bytes, context: Context) -> None:
            await self._answer(path, query, body, context, context.write)

        async def answer_one(body: bytes, context: Context) -> bytes:
            messages: list[bytes] = []

            async def keep(message: bytes) -> None:
                messages.append(message)

            await self._answer(path, query, body, context, keep)
            (message,) = messages
            return message

        if query.is_stream:
            return grpc.unary_stream_rpc_method_handler(answer_many)
        return grpc.unary_unary_rpc_method_handler(answer_one)

    async def _answer(
        self, path: str, query: Query, body: bytes, context: Context, give: Give
    ) -> None:
        caller, known, status = Caller(), Caller(), 500
        try:
            known = await self._readers.identify(call_authorization(context))
            caller = place_call(context, known, self._tenancy)
            questions = self._questions[caller.tenant]
            workers = (self._one if query.is_about_one else self._lists)[caller.tenant]
            await _give_all(iter(query.answer(questions, body)), workers, give)
            status = 200
        except CollectorError as error:
            status = error.http_status
            await context.abort(grpc.StatusCode[error.grpc_status], error.message)
        except asyncio.CancelledError:
            status = _GONE
            raise
        except Exception as error:
            _LOG.error("answering %s failed", path, exc_info=error)
            await context.abort(grpc.StatusCode.INTERNAL, "Hopline failed to answer: see its log")
        finally:
            if self._audit:
                # what strangers send is not worth a line of theirs
                asked = "" if status == Unauthenticated.http_status else describe(query, body)
                tenant = self._tenancy.name_of(caller.tenant)
                self._audit.log_read(known.name, "gRPC", path, asked, status, tenant=tenant)
            metrics = self._questions[caller.tenant].metrics
            metrics.count("hopline_api_requests_total", route=path, status=str(status))


async def _give_all(messages: Iterator[bytes], workers: Workers, give: Give) -> None:
    """
    Give an answer part by part: a thread works on the next one when the reader has the last.

    Raises:
        QueryTimeout: it is not all read in time.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            while part := await workers.run(take_part, messages):
                for message in part:
                    await give(message)
    except TimeoutError as exc:
        msg = f"the answer was not read within {_ANSWER_S:g} s"
        raise QueryTimeout(msg, hint="ask for fewer traces") from exc


def take_part(messages: Iterator[bytes]) -> list[bytes]:
    """Return the next messages, as many as make up a part; none at the end."""
    part: list[bytes] = []
    size = 0
    for message in messages:
        part.append(message)
        size += len(message)
        if size >= _PART_BYTES:
            break
    return part
