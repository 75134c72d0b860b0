"""
HTTP doors of the span protocols that are older than OTLP: one path, 202, plain text.

Their senders look at the status alone, so an answer has text only when there is something to say:
what was rejected or repaired, or why nothing was taken.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collector.clock import Clock
from collector.errors import CollectorError, UnknownDoor, UnsupportedFormat, WrongMethod
from collector.http.asgi import App, Receive, Scope, Send, send_answer
from collector.http.headers import (
    Headers,
    content_encoding,
    content_length,
    media_type,
    peer,
    refusal_headers,
)
from collector.http.origins import Origins, OwnPagesOnly
from collector.http.tenants import Gate, Tenancy
from collector.http.tokens import Caller, Tokens
from collector.intake import Intake
from collector.model import Envelope, Receipt, Stream
from collector.receive.body import Admission, inflate, read_body
from collector.receive.status import describe
from collector.settings import ReceiveSettings

_TEXT = b"text/plain; charset=utf-8"
_log = logging.getLogger(__name__)


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

    def __init__(
        self,
        route: SpanRoute,
        intake: Intake,
        settings: ReceiveSettings,
        admission: Admission,
        clock: Clock,
    ) -> None:
        self._route = route
        self._intake = intake
        self._max_body_bytes = settings.max_body_bytes
        self._admission = admission
        self._gate = ingest_gate(settings)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        extra: list[tuple[bytes, bytes]] = []
        intake = self._intake
        try:
            caller = self._enter(scope)
            intake = intake.of(caller.tenant)
            receipt = await self._accept(intake, caller, scope, receive, headers)
            status, text = 202, describe(receipt)
        except Exception as exc:
            error = exc if isinstance(exc, CollectorError) else _unexpected(exc)
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
        return self._gate.admit(scope)

    async def _accept(
        self, intake: Intake, caller: Caller, scope: Scope, receive: Receive, headers: Headers
    ) -> Receipt:
        route = self._route
        route.check_query(scope["query_string"].decode("latin-1"))
        name = route.formats.get(media_type(headers))
        if name is None:
            msg = f"content type {media_type(headers)[:80]!r} is not read here"
            raise UnsupportedFormat(msg, hint=f"send {', '.join(filter(None, route.formats))}")
        intake.check_room()
        length = content_length(headers)
        async with self._admission.claim((peer(scope), caller)) as claim:
            body = await read_body(receive, claim, length, self._max_body_bytes)
            received_ns = self._clock.now_ns()
            body = await inflate(body, content_encoding(headers), claim, self._max_body_bytes)
            return await intake.accept(
                Envelope(
                    signal=Stream.TRACE,
                    format=name,
                    body=body,
                    received_ns=received_ns,
                    door=route.door,
                    source=route.source,
                    peer=peer(scope),
                )
            )


def ingest_gate(settings: ReceiveSettings) -> Gate:
    """Return who may send, and for which tenant."""
    tokens = Tokens(settings.tokens, "HOPLINE_INGEST_TOKENS", settings.token_file)
    return Gate(tokens, Tenancy(settings.tenants))


def keep_pages_out(app: App, settings: ReceiveSettings) -> App:
    """Return *app* for programs: without tokens no page of another site may send to it."""
    is_open = not (settings.tokens or settings.token_file)
    return OwnPagesOnly(app, Origins(settings.bind, settings.allowed_hosts, is_open=is_open))


def _unexpected(exc: Exception) -> CollectorError:
    _log.error("a request failed", exc_info=exc)
    return CollectorError("an internal error; the request was not accepted")
