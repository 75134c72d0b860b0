"""
Gateway records pushed over HTTP: `POST /v1/gateway/{adapter}`.

Amazon Data Firehose delivers any gateway's records in a way of its own: see `firehose`.
"""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from collector.decode.gateways import Adapter, get_adapter
from collector.errors import CollectorError
from collector.http.errors import error_document
from collector.http.headers import Headers, authorization, peer, refusal_headers
from collector.http.tokens import Caller
from collector.model import Envelope, Receipt, Stream
from collector.receive.doorway import Doorway
from collector.receive.firehose import (
    ACCESS_KEY_HEADER,
    DELIVERY_HEADER,
    is_delivery,
    write_answer,
)

DOOR = "gateway-http"
_MAX_ERRORS = 100
_EXAMPLE = {
    "accepted": 2,
    "rejected": 1,
    "ignored": 1,
    "errors": [
        {"index": 2, "reason": "TimeGenerated: is missing"},
        {"index": 3, "reason": "ignored: an event of the gateway, not a request"},
    ],
}


class GatewayPush:
    """The route and what it needs."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self.router = APIRouter()
        self.router.add_api_route(
            "/v1/gateway/{adapter}",
            self.push,
            methods=["POST"],
            summary="Take gateway records",
            responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
        )

    async def push(self, adapter: str, request: Request) -> Response:
        """
        Take one body in the gateway product's own format.

        The answer counts what is durable; records that cannot be used are listed with their index
        and do not cost the others. What is no request of an API is ignored, and listed by reason.
        """
        headers: Headers = dict(request.scope["headers"])
        known: Adapter | None = None
        outcome: Receipt | CollectorError
        intake = self._doorway.intake
        try:
            known = get_adapter(adapter)
            caller = self._admit(request, headers)
            intake = intake.of(caller.tenant)
            envelope = partial(self._envelope, known, headers, request)
            outcome = await self._doorway.accept(
                request.scope, request.receive, headers, caller, envelope
            )
        except CollectorError as exc:
            intake.refuse(DOOR, known.name if known else "unknown", Stream.RECORD, exc)
            outcome = exc
        return self._answer(headers, outcome)

    def _admit(self, request: Request, headers: Headers) -> Caller:
        if ACCESS_KEY_HEADER in headers and not authorization(headers):
            token = headers[ACCESS_KEY_HEADER].decode("latin-1")
            return self._doorway.gate.admit_token(token, request.scope)
        return self._doorway.gate.admit(request.scope)

    def _envelope(
        self, adapter: Adapter, headers: Headers, request: Request, body: bytes, received_ns: int
    ) -> Envelope:
        return Envelope(
            signal=Stream.RECORD,
            format="gateway",
            body=body,
            received_ns=received_ns,
            door=DOOR,
            source=adapter.name,
            adapter=adapter.name,
            peer=peer(request.scope),
            delivery_id=headers.get(DELIVERY_HEADER, b"").decode("latin-1"),
        )

    def _answer(self, headers: Headers, outcome: Receipt | CollectorError) -> Response:
        status = 200
        extra: dict[str, str] = {}
        if isinstance(outcome, CollectorError):
            status = outcome.http_status
            refusal = refusal_headers(outcome, headers)
            extra = {name.decode(): value.decode() for name, value in refusal}
        if is_delivery(headers):
            body = write_answer(headers, outcome, self._doorway.clock.now_ns())
            return Response(body, status, extra, "application/json")
        if isinstance(outcome, CollectorError):
            return JSONResponse(error_document(outcome), status, extra)
        return JSONResponse(
            {
                "accepted": outcome.accepted,
                "rejected": outcome.rejected,
                "ignored": outcome.ignored,
                "errors": [
                    {"index": error.index, "reason": error.reason}
                    for error in outcome.errors[:_MAX_ERRORS]
                ],
            }
        )
