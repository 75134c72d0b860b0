"""
Envoy's gRPC access log service, beside OTLP on the same port.

A stream carries messages for as long as the proxy lives and is never answered: Envoy drops what it
cannot send, so a message that cannot be stored now waits here, and the stream behind it.

Source: envoy/service/accesslog/v3/als.proto (the identifier comes with the first message only).
"""

import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, cast

import grpc
import grpc.aio

from collector.decode.envoy.access_log_service import read_identifier
from collector.errors import CollectorError
from collector.http.grpc_server import Context, call_address
from collector.http.tokens import Caller
from collector.intake import Intake
from collector.model import Envelope, Stream
from collector.receive.body import inflate
from collector.receive.doorway import Doorway
from collector.receive.grpc import admit_call, refuse, sniff_encoding
from collector.retry import until_accepted

DOOR = "envoy-als"
METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    RpcHandler = grpc.GenericRpcHandler[bytes, bytes]
else:
    RpcHandler = grpc.GenericRpcHandler


class AccessLogDoor(RpcHandler):
    """Serves the one method of the service."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._handler = grpc.stream_unary_rpc_method_handler(self._stream)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handler if handler_call_details.method == METHOD else None

    async def _stream(self, _: object, context: Context) -> bytes:
        intake = self._doorway.intake
        try:
            caller = admit_call(context, self._doorway.gate)
            intake, sender = intake.of(caller.tenant), (call_address(context), caller)
        except CollectorError as exc:
            intake.refuse(DOOR, "envoy", Stream.LOG, exc)
            await refuse(context, exc)
        identifier = b""
        while True:
            message = cast(object, await context.read())  # EOF at the end of the stream
            if not isinstance(message, bytes):
                return b""
            received_ns = self._doorway.clock.now_ns()
            take = partial(
                self._take, intake, message, identifier, received_ns, context.peer(), sender
            )
            try:
                identifier = await until_accepted(take)
            except CollectorError as exc:
                # the messages that follow may be in order
                intake.refuse(DOOR, "envoy", Stream.LOG, exc)
                _log.warning("%s: %s", DOOR, exc)
            except Exception:
                _log.exception("%s: a message failed", DOOR)

    async def _take(
        self,
        intake: Intake,
        message: bytes,
        identifier: bytes,
        received_ns: int,
        peer: str,
        sender: tuple[str, Caller],
    ) -> bytes:
        """Accept a message, and return the stream's identifier. Raises `CollectorError`."""
        async with self._doorway.admission.claim(sender) as claim, AsyncExitStack() as turns:
            await claim.grow_to(len(message))
            await turns.enter_async_context(self._doorway.queue.turn(claim))
            encoding = sniff_encoding(message)
            limit = self._doorway.settings.max_body_bytes
            body = await inflate(message, encoding, claim, limit)
            identifier = read_identifier(body) or identifier
            envelope = Envelope(
                signal=Stream.LOG,
                format="envoy-als",
                # fields of one message merge, so the stream's identifier can stand before any
                body=identifier + body,
                received_ns=received_ns,
                door=DOOR,
                source="envoy",
                peer=peer,
            )
            claim.end_turn()
            try:
                await intake.accept(envelope)
            except CollectorError as exc:
                if exc.retryable:
                    raise
                # what identifies the stream is known all the same
                _log.warning("%s: %s", DOOR, exc)
            return identifier
