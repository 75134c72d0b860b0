"""
OTLP over HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`.

A raw ASGI application: FastAPI's routing costs 44 us a request, twice the rest of a small one.
Every refusal is a `google.rpc.Status` in the encoding of the request.

Source: OTLP specification 1.11.0, OTLP/HTTP.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from collector.clock import Clock
from collector.config import ReceiveSettings
from collector.errors import (
    CollectorError,
    TooLarge,
    Undecodable,
    UnknownDoor,
    UnsupportedFormat,
    WrongMethod,
)
from collector.intake import Intake
from collector.model import Envelope, Receipt, Stream
from collector.receive.auth import Tokens
from collector.receive.body import Admission, Receive, inflate, read_body
from collector.receive.status import JSON, PROTOBUF, encode_receipt, encode_status

DOOR = "otlp-http"
PATHS: Mapping[str, Stream] = {
    "/v1/traces": Stream.TRACE,
    "/v1/logs": Stream.LOG,
    "/v1/metrics": Stream.METRIC,
}
_FORMATS = {PROTOBUF: "otlp-protobuf", JSON: "otlp-json"}
# a small rest of a refused body is read and forgotten; above this the connection is closed
_DRAINED_BYTES = 1024 * 1024
_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Mapping[bytes, bytes]


class OtlpHttp:
    """The ASGI application of the three paths."""

    def __init__(
        self,
        intake: Intake,
        settings: ReceiveSettings,
        admission: Admission,
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._max_body_bytes = settings.max_body_bytes
        self._admission = admission
        self._tokens = tokens
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        content_type = media_type(headers)
        signal = PATHS.get(scope["path"], Stream.TRACE)
        try:
            receipt = await self._accept(scope, receive, headers, content_type)
            body = encode_receipt(signal, receipt, content_type)
            status = 200
            extra: list[tuple[bytes, bytes]] = []
        except Exception as exc:
            error = exc if isinstance(exc, CollectorError) else _unexpected(exc)
            self._intake.refuse(DOOR, "otlp", signal, error)
            content_type = content_type if content_type in _FORMATS else JSON
            body = encode_status(error, content_type)
            status = error.http_status
            extra = refusal_headers(error, headers)
        await send_answer(send, status, body, content_type.encode(), extra)

    async def _accept(
        self, scope: Scope, receive: Receive, headers: Headers, content_type: str
    ) -> Receipt:
        signal = PATHS.get(scope["path"])
        if signal is None:
            raise UnknownDoor(f"nothing here; OTLP paths are {', '.join(PATHS)}")
        if scope["method"] != "POST":
            raise WrongMethod(f"{scope['path']} takes POST only")
        self._tokens.check_header(headers.get(b"authorization", b"").decode("latin-1"))
        if content_type not in _FORMATS:
            raise UnsupportedFormat(
                f"content type {content_type[:80]!r} is not read here",
                hint=f"send {PROTOBUF} or {JSON}",
            )
        async with self._admission.claim(content_length(headers)) as claim:
            body = await read_body(receive, claim, content_length(headers), self._max_body_bytes)
            received_ns = self._clock.now_ns()
            body = await inflate(body, content_encoding(headers), claim, self._max_body_bytes)
            envelope = Envelope(
                signal=signal,
                format=_FORMATS[content_type],
                body=body,
                received_ns=received_ns,
                door=DOOR,
                peer=peer(scope),
            )
            return await self._intake.accept(envelope)


def media_type(headers: Headers) -> str:
    """Return the content type without its parameters, in lower case."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def content_encoding(headers: Headers) -> str:
    """Return how the body is compressed, "" when it is not."""
    return headers.get(b"content-encoding", b"").strip().lower().decode("latin-1")


def content_length(headers: Headers) -> int | None:
    """Return the announced size of the body; `None` when it is not announced."""
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 19 else None


def peer(scope: Scope) -> str:
    """Return the address of the sender, "" when it is not known."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def refusal_headers(error: CollectorError, headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers an error needs; they close a connection with much left to read."""
    extra: list[tuple[bytes, bytes]] = []
    if error.retryable:
        extra.append((b"retry-after", str(error.retry_after_s or 1).encode()))
    if error.http_status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    if error.http_status == 405:
        extra.append((b"allow", b"POST"))
    length = content_length(headers)
    is_chunked = b"transfer-encoding" in headers
    if (length or 0) > _DRAINED_BYTES or (is_chunked and isinstance(error, TooLarge | Undecodable)):
        extra.append((b"connection", b"close"))
    return extra


async def send_answer(
    send: Send, status: int, body: bytes, content_type: bytes, extra: list[tuple[bytes, bytes]]
) -> None:
    """Send a whole answer."""
    head = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _unexpected(exc: Exception) -> CollectorError:
    _log.error("a request failed", exc_info=exc)
    return CollectorError("an internal error; the request was not accepted")
