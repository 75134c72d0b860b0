"""
OTLP over HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`.

A raw ASGI application: FastAPI's routing costs 44 us a request, twice the rest of a small one.
Every refusal is a `google.rpc.Status` in the encoding of the request.

Source: OTLP specification 1.11.0, OTLP/HTTP.
"""

import logging
from collections.abc import Mapping

from collector.clock import Clock
from collector.errors import CollectorError, UnknownDoor, UnsupportedFormat, WrongMethod
from collector.http.asgi import Receive, Scope, Send, send_answer
from collector.http.headers import (
    Headers,
    content_encoding,
    content_length,
    media_type,
    peer,
    refusal_headers,
)
from collector.http.tenants import Gate
from collector.http.tokens import Caller
from collector.intake import Intake
from collector.model import Envelope, Receipt, Stream
from collector.receive.body import Admission, inflate, read_body
from collector.receive.status import JSON, PROTOBUF, encode_receipt, encode_status
from collector.settings import ReceiveSettings

DOOR = "otlp-http"
PATHS: Mapping[str, Stream] = {
    "/v1/traces": Stream.TRACE,
    "/v1/logs": Stream.LOG,
    "/v1/metrics": Stream.METRIC,
}
_FORMATS = {PROTOBUF: "otlp-protobuf", JSON: "otlp-json"}
_log = logging.getLogger(__name__)


class OtlpHttp:
    """The ASGI application of the three paths."""

    def __init__(
        self,
        intake: Intake,
        settings: ReceiveSettings,
        admission: Admission,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._max_body_bytes = settings.max_body_bytes
        self._admission = admission
        self._gate = gate
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        content_type = media_type(headers)
        signal = PATHS.get(scope["path"], Stream.TRACE)
        intake = self._intake
        try:
            caller = self._enter(scope)
            intake = intake.of(caller.tenant)
            receipt = await self._accept(intake, caller, scope, receive, headers, content_type)
            body = encode_receipt(signal, receipt, content_type)
            status = 200
            extra: list[tuple[bytes, bytes]] = []
        except Exception as exc:
            error = exc if isinstance(exc, CollectorError) else _unexpected(exc)
            intake.refuse(DOOR, "otlp", signal, error)
            content_type = content_type if content_type in _FORMATS else JSON
            body = encode_status(error, content_type)
            status = error.http_status
            extra = refusal_headers(error, headers)
        await send_answer(send, status, body, content_type.encode(), extra)

    def _enter(self, scope: Scope) -> Caller:
        if scope["path"] not in PATHS:
            raise UnknownDoor(f"nothing here; OTLP paths are {', '.join(PATHS)}")
        if scope["method"] != "POST":
            raise WrongMethod(f"{scope['path']} takes POST only")
        return self._gate.admit(scope)

    async def _accept(
        self,
        intake: Intake,
        caller: Caller,
        scope: Scope,
        receive: Receive,
        headers: Headers,
        content_type: str,
    ) -> Receipt:
        if content_type not in _FORMATS:
            raise UnsupportedFormat(
                f"content type {content_type[:80]!r} is not read here",
                hint=f"send {PROTOBUF} or {JSON}",
            )
        intake.check_room()
        async with self._admission.claim((peer(scope), caller)) as claim:
            body = await read_body(receive, claim, content_length(headers), self._max_body_bytes)
            received_ns = self._clock.now_ns()
            body = await inflate(body, content_encoding(headers), claim, self._max_body_bytes)
            envelope = Envelope(
                signal=PATHS[scope["path"]],
                format=_FORMATS[content_type],
                body=body,
                received_ns=received_ns,
                door=DOOR,
                peer=peer(scope),
            )
            return await intake.accept(envelope)


def _unexpected(exc: Exception) -> CollectorError:
    _log.error("a request failed", exc_info=exc)
    return CollectorError("an internal error; the request was not accepted")
