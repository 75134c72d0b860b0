"""
HTTP doors of the span protocols that are older than OTLP: one path, 202, plain text.

Their senders look at the status alone, so an answer has text only when there is something to say:
what was rejected or repaired, or why nothing was taken.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collector.errors import UnknownDoor, UnsupportedFormat, WrongMethod
from collector.http.asgi import Receive, Scope, Send, send_answer
from collector.http.headers import Headers, media_type, peer, refusal_headers
from collector.http.tokens import Caller
from collector.model import Envelope, Receipt, Stream
from collector.receive.doorway import Doorway, as_refusal, open_http_door
from collector.receive.status import describe

_TEXT = b"text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class SpanRoute:
    """
    One protocol over HTTP.

    `formats` maps content types to envelope formats; "" stands for none given. `check_query` may
    refuse a query string. `hint` is added where somebody asks for another path.
    """

    door: str
    source: str
    path: str
    formats: Mapping[str, str]
    hint: str
    check_query: Callable[[str], None] = lambda query: None


class SpanHttp:
    """The ASGI application of one such protocol."""

    def __init__(self, route: SpanRoute, doorway: Doorway) -> None:
        self._route = route
        self._doorway = doorway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        extra: list[tuple[bytes, bytes]] = []
        intake = self._doorway.intake
        try:
            caller = self._enter(scope)
            intake = intake.of(caller.tenant)
            receipt = await self._accept(caller, scope, receive, headers)
            status, text = 202, describe(receipt)
        except Exception as exc:
            error = as_refusal(exc)
            intake.refuse(self._route.door, self._route.source, Stream.TRACE, error)
            status = error.http_status
            text = error.message if not error.hint else f"{error.message} ({error.hint})"
            extra = refusal_headers(error, headers)
        await send_answer(send, status, text.encode("utf-8", "replace"), _TEXT, extra)

    def _enter(self, scope: Scope) -> Caller:
        route = self._route
        if scope["path"].rstrip("/") != route.path:
            msg = f"nothing here; send spans to {route.path}"
            raise UnknownDoor(msg, hint=route.hint)
        if scope["method"] != "POST":
            msg = f"{route.path} takes POST only"
            raise WrongMethod(msg)
        return self._doorway.gate.admit(scope)

    async def _accept(
        self, caller: Caller, scope: Scope, receive: Receive, headers: Headers
    ) -> Receipt:
        route = self._route
        route.check_query(scope["query_string"].decode("latin-1"))
        name = route.formats.get(media_type(headers))
        if name is None:
            msg = f"content type {media_type(headers)[:80]!r} is not read here"
            raise UnsupportedFormat(msg, hint=f"send {', '.join(filter(None, route.formats))}")

        def envelope(body: bytes, received_ns: int) -> Envelope:
            return Envelope(
                signal=Stream.TRACE,
                format=name,
                body=body,
                received_ns=received_ns,
                door=route.door,
                source=route.source,
                peer=peer(scope),
            )

        return await self._doorway.accept(scope, receive, headers, caller, envelope)


@asynccontextmanager
async def open_span_http(route: SpanRoute, doorway: Doorway, port: int) -> AsyncIterator[None]:
    """Serve one such protocol on a port of its own."""
    async with open_http_door(doorway, SpanHttp(route, doorway), port):
        yield
