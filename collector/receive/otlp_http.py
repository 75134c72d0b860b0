"""
OTLP over HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`.

A raw ASGI application: FastAPI's routing costs 44 us a request, twice the rest of a small one.
Every refusal is a `google.rpc.Status` in the encoding of the request.

Source: OTLP specification 1.11.0, OTLP/HTTP.
"""

from collections.abc import Mapping

from collector.errors import UnknownDoor, UnsupportedFormat, WrongMethod
from collector.http.asgi import Receive, Scope, Send, send_answer
from collector.http.headers import Headers, media_type, peer, refusal_headers
from collector.http.tokens import Caller
from collector.model import Envelope, Receipt, Stream
from collector.receive.doorway import Doorway, as_refusal
from collector.receive.status import JSON, PROTOBUF, encode_receipt, encode_status

DOOR = "otlp-http"
PATHS: Mapping[str, Stream] = {
    "/v1/traces": Stream.TRACE,
    "/v1/logs": Stream.LOG,
    "/v1/metrics": Stream.METRIC,
}
_FORMATS = {PROTOBUF: "otlp-protobuf", JSON: "otlp-json"}


class OtlpHttp:
    """The ASGI application of the three paths."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        content_type = media_type(headers)
        signal = PATHS.get(scope["path"], Stream.TRACE)
        intake = self._doorway.intake
        try:
            caller = self._enter(scope)
            intake = intake.of(caller.tenant)
            receipt = await self._accept(caller, scope, receive, headers, content_type)
            body = encode_receipt(signal, receipt, content_type)
            status = 200
            extra: list[tuple[bytes, bytes]] = []
        except Exception as exc:
            error = as_refusal(exc)
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
        return self._doorway.gate.admit(scope)

    async def _accept(
        self, caller: Caller, scope: Scope, receive: Receive, headers: Headers, content_type: str
    ) -> Receipt:
        if content_type not in _FORMATS:
            raise UnsupportedFormat(
                f"content type {content_type[:80]!r} is not read here",
                hint=f"send {PROTOBUF} or {JSON}",
            )

        def envelope(body: bytes, received_ns: int) -> Envelope:
            return Envelope(
                signal=PATHS[scope["path"]],
                format=_FORMATS[content_type],
                body=body,
                received_ns=received_ns,
                door=DOOR,
                peer=peer(scope),
            )

        return await self._doorway.accept(scope, receive, headers, caller, envelope)
